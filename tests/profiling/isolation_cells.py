"""What the tests of isolation run in processes of their own."""

import ctypes
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from evalkit.errors import ImageError, KilledError

MIB = 2**20


def echo(emit, **arguments):
    emit({"arguments": arguments})


def surroundings(emit, names):
    emit(
        {
            "modules": [name for name in names if name in sys.modules],
            "main": getattr(sys.modules["__main__"], "__file__", None),
            "variable": os.environ.get("EVALKIT_TEST"),
            "folder": str(Path.cwd()),
            "pid": os.getpid(),
            "parent": os.getppid(),
            "n_threads": threading.active_count(),
        }
    )


def count(emit, n, then):
    """Emit `n` messages, then end in the way that is named."""
    for number in range(n):
        emit({"number": number})
    getattr(Ending, then)()


class Ending:
    def segfault():
        ctypes.string_at(0)

    def exit():
        os._exit(3)

    def clean_exit():
        os._exit(0)

    def abort():
        os.abort()

    def system_exit():
        sys.exit("no reason")

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    def bus_error():
        os.kill(os.getpid(), signal.SIGBUS)

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)

    def disk_full():
        Path("/dev/full").write_text("x", encoding="utf-8")

    def wrapped():
        try:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        except OSError as error:
            raise ImageError("x.png cannot be read") from error

    def hidden():
        raise RuntimeError("PytorchStreamWriter failed: file write failed")

    def child_killed():
        raise KilledError("ncnn ended with exit code -9")

    def no_such_file():
        Path("/no/such/file").read_bytes()

    def no_memory():
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    def error():
        raise ValueError("the tile is -1 px")

    def memory_error():
        raise MemoryError

    def rejected():
        from evalkit.errors import OutputRejectedError

        raise OutputRejectedError("the output is 0 everywhere")

    def out_of_memory():
        from evalkit.errors import OutOfMemoryError

        raise OutOfMemoryError("the GPU has 3 GiB")

    def bad_alloc():
        os.write(2, b"terminate called after throwing 'std::bad_alloc'\n")
        os.abort()

    def hang():
        time.sleep(600)

    def hang_in_c():
        ctypes.CDLL(None).sleep(600)

    def ignore_signals():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(600)


def limited(emit, library):
    """Allocate beyond a real limit of data memory, as the experiments set it."""
    emit({"limited": True})
    if library == "torch":
        import torch
    limit = (256 if library == "nothing" else 2048) * MIB
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    if library == "numpy":
        import numpy as np

        emit({"sum": float(np.ones(4096 * MIB, np.uint8).sum())})
    elif library == "torch":
        emit({"sum": float(torch.ones(4096 * MIB, dtype=torch.uint8).sum())})
    else:
        small = []
        while True:  # until nothing is left, not even for the report
            small.append(bytes(1000))


def first_victim(emit, n_mib):
    """Use so much memory, as the process that the kernel kills first."""
    Path("/proc/self/oom_score_adj").write_text("1000", encoding="utf-8")
    emit({"size": len(b"x" * (n_mib * MIB))})
    time.sleep(1)


def open_files(emit):
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    emit({"files": [os.open(os.devnull, os.O_RDONLY) for _ in range(100)]})


def allocate(emit, n_mib):
    data = b"x" * (n_mib * MIB)
    emit({"size": len(data)})


def peaks(emit, n_mib):
    """The peaks of three blocks: nothing, `n_mib`, nothing again."""
    from evalkit.profiling.memory import MemoryPeaks, rss_mib

    for size in (0, n_mib, 0):
        memory = MemoryPeaks()
        before = rss_mib()
        data = b"x" * (size * MIB)
        del data
        emit({"before": before, **memory.read()})


def with_child(emit):
    """Start a child and leave it behind."""
    emit({"child": subprocess.Popen(["sleep", "600"]).pid})


def family(emit, file):
    """Write who is there, then hang: worker, server and a child of the worker."""
    child = subprocess.Popen(["sleep", "600"])
    pids = [os.getpid(), os.getppid(), child.pid]
    emit({"pids": pids})
    Path(file).write_text(" ".join(map(str, pids)), encoding="utf-8")
    time.sleep(600)


def talk(emit):
    print("first\nloading  1 %\rloading 100 %")
    print("a complaint", file=sys.stderr)
    os.write(1, b"written past Python\n")
    os._exit(9)


def big(emit, n_mib):
    emit({"data": b"x" * (n_mib * MIB)})


def nested(emit):
    from evalkit.profiling.isolation import run_cell

    found = []
    result = run_cell(
        "isolation_cells:echo", {"a": 1}, on_message=found.append, preload=()
    )
    emit({"outcome": result.outcome, "found": found})


def flags(emit):
    from evalkit.profiling.clock import torch_flags

    emit(torch_flags())
