"""The side of `evalkit.study.forked` that has imported: a step, and its kernel.

Imported by the server that steps are forked from, and in no other process.
"""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from subprocess import Popen
from typing import Any, NoReturn, cast

from evalkit.imagesets import imagesets
from evalkit.imports import without_collector
from evalkit.profiling.parents import die_with_parent
from evalkit.records import code_digest
from evalkit.restorers import restorers
from evalkit.study.experiment import experiments
from evalkit.study.notebooks import main, without_grammars

NEEDED = (
    *("ipykernel.zmqshell", "pandas", "jinja2", "tabulate", "sqlalchemy"),
    *("matplotlib.font_manager", "matplotlib.backends.backend_agg"),
    *("evalkit.figures", "evalkit.figures._pictures", "evalkit.report"),
    *("evalkit.study.steps", "evalkit.study.worker", "evalkit.rating.store"),
)
"""What most notebooks import; torch and scipy, which few do, each imports itself, and
so it does pyplot, which looks for a notebook when it is imported."""

with without_collector():
    with without_grammars():
        import papermill  # noqa: F401
    import cv2
    import matplotlib as mpl
    from ipykernel import kernelapp
    from jupyter_client.manager import AsyncKernelManager
    from jupyter_client.provisioning.local_provisioner import LocalProvisioner
    from threadpoolctl import threadpool_limits

    for name in NEEDED:
        import_module(name)
    _ = [experiments(), imagesets(), restorers()]
    # the files that make a picture are read here, and once for all steps
    code_digest(["evalkit.restorers.auto", "evalkit.restorers.hybrid"])

POLL_S = 0.01
INLINE = "module://matplotlib_inline.backend_inline"
"""The backend of a kernel's figures, as ipykernel has it."""


def run_forked(_emit: Callable[[Any], None], *, arguments: list[str]) -> None:
    """Be a step, whose notebook runs in a kernel that is forked now.

    Parameters
    ----------
    arguments
        As of the program `evalkit.study.notebooks`.

    """
    sys.argv[1:] = arguments  # for whoever reports a fault
    # before this process has a thread or a socket of a notebook
    main(arguments, kernel_manager_class=manager_of(Kernel()))


def manager_of(kernel: "Kernel") -> type[AsyncKernelManager]:
    """A class of managers, as nbclient takes one, that starts no kernel but this."""

    class Provisioner(LocalProvisioner):
        async def launch_kernel(self, cmd: list[str], **given: Any) -> Any:
            kernel.launch(cmd, given["env"])
            self.process = cast("Popen[bytes]", kernel)
            self.pid = self.pgid = kernel.pid
            return self.connection_info

    class Manager(AsyncKernelManager):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            self.provisioner = Provisioner(parent=self, kernel_spec=self.kernel_spec)

    return Manager


class Kernel:
    """The process of a kernel that waits for its command; with methods of `Popen`."""

    stdin = stdout = stderr = None

    def __init__(self) -> None:
        orders, self._orders = os.pipe()
        step = os.getpid()
        self.returncode: int | None = None
        self.pid = os.fork()
        if not self.pid:
            os.close(self._orders)
            _be_kernel(orders, step)
        os.close(orders)

    def launch(self, command: list[str], environ: dict[str, str]) -> None:
        """Let it run the command of a kernel in the folder where this process is."""
        with os.fdopen(self._orders, "wb") as orders:
            pickle.dump((command, environ, str(Path.cwd())), orders)

    def poll(self) -> int | None:
        """Give the exit code; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        """Wait for its end; give the exit code."""
        while (code := self.poll()) is None:
            time.sleep(POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _be_kernel(orders: int, step: int) -> NoReturn:
    try:
        os.setsid()
        die_with_parent(step)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with os.fdopen(orders, "rb") as stream:
            command, environ, folder = pickle.load(stream)
        os.environ.clear()
        os.environ.update(environ)
        os.chdir(folder)
        _limit_threads(int(environ.get("OMP_NUM_THREADS", 0)))
        # which matplotlib takes from the variable that the kernel sets, when imported
        mpl.rcParams["backend"] = environ.get("MPLBACKEND", INLINE)
        options = command[command.index("-f") :]
        kernelapp.launch_new_instance([*options, f"--IPKernelApp.parent_handle={step}"])
    finally:
        os._exit(0)


def _limit_threads(n_threads: int) -> None:
    """Do what the libraries did when they were loaded, had they known the variable."""
    if n_threads:
        threadpool_limits(n_threads)
        cv2.setNumThreads(n_threads)
