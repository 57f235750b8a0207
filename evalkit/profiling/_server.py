"""The process that cells are forked from: it has imported, and has run nothing.

The standard library's forkserver would do with fewer lines, but it reaps by waitpid:
the peak memory of a cell that was killed, and whether the kernel killed it, are lost
with it. It also has one list of modules, where each library needs a process of its own.
"""

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from dataclasses import dataclass
from typing import Any

from evalkit.imports import without_collector
from evalkit.machine.cgroup import oom_kills
from evalkit.profiling._worker import DUMP_SIGNAL, work
from evalkit.profiling.memory import max_rss_mib, process_peak_rss_mib

READY = b"r"
FORK, SPAWN, STOP = b"f", b"s", b"k"

REQUEST = struct.Struct("!cQd")
"""What to do, the cell's number, the seconds it may take (infinite: no limit).

With `FORK` and `SPAWN` come three descriptors: the worker's socket of messages, the
pipe for the facts of its end, the file of its output."""

SAMPLE_S = 0.1
DUMP_S = 0.2  # what a worker gets to write where it hangs, before it is killed

PROGRAM = (
    "import json, sys; call = json.loads(sys.argv[1]); sys.path[:] = call['path']; "
    "from evalkit.profiling import {0}; {0}.{1}(**call['arguments'])"
)
"""A fresh interpreter's program: this module's `serve`, or the worker's `work`."""


@dataclass
class _Cell:
    pid: int
    status: int  # descriptor
    deadline: float
    n_oom_kills: int
    peak_rss_mib: float = 0.0
    dumped_at: float | None = None


def program(module: str, function: str, **arguments: Any) -> list[str]:
    """The command of a fresh interpreter that sees the modules this one sees."""
    call = json.dumps({"path": [str(p) for p in sys.path], "arguments": arguments})
    return [sys.executable, "-c", PROGRAM.format(module, function), call]


def serve(control: int, parent: int, preload: list[str]) -> None:
    """Import `preload`, then fork workers on request, until the parent ends.

    Requests come from the socket with the descriptor `control`.
    """
    with without_collector():
        for name in preload:
            importlib.import_module(name)
    gc.freeze()  # a worker's collector leaves these pages shared
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = socket.socket(fileno=control)
    requests.sendall(READY)
    try:
        _Server(requests, parent).run()
    finally:
        # it holds no file and no lock, and taking torch apart costs the next step
        # most of a second
        os._exit(0)


class _Server:
    def __init__(self, requests: socket.socket, parent: int) -> None:
        self.requests, self.parent = requests, parent
        self.cells: dict[int, _Cell] = {}
        self.woken, self.wake = socket.socketpair()

    def run(self) -> None:
        """Serve until the parent ends; leave no worker."""
        self.woken.setblocking(False)
        self.wake.setblocking(False)
        signal.set_wakeup_fd(self.wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        try:
            # a copy of the socket may live on in a child of the parent: check both
            while os.getppid() == self.parent and self._serve_once():
                pass
        finally:
            for cell in self.cells.values():
                _kill(cell.pid)

    def _serve_once(self) -> bool:
        timeout = SAMPLE_S if self.cells else 1.0
        ready, _, _ = select.select([self.requests, self.woken], [], [], timeout)
        if self.woken in ready:
            self.woken.recv(4096)
        if self.requests in ready and not self._take_request():
            return False
        for number in list(self.cells):
            self._look_after(number)
        return True

    def _take_request(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self.requests, REQUEST.size, 3)
        if not data:
            return False
        what, number, allowed_s = REQUEST.unpack(data)
        if what == STOP:
            if number in self.cells:
                _kill(self.cells[number].pid)
            return True
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        messages, status, output = descriptors
        try:
            pid = self._fork(messages, output, is_fresh=what == SPAWN)
        except OSError as error:
            _tell(status, {"refused": error.errno})
        else:
            deadline = time.monotonic() + allowed_s
            self.cells[number] = _Cell(pid, status, deadline, oom_kills())
        os.close(messages)
        os.close(output)
        return True

    def _fork(self, messages: int, output: int, *, is_fresh: bool) -> int:
        server = os.getpid()
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            if is_fresh:
                for descriptor in (messages, output):
                    os.set_inheritable(descriptor, True)
                command = program(
                    "_worker", "work", messages=messages, output=output, server=server
                )
                os.execv(command[0], command)
            # what stays open here would hide another's end from the parent
            self.requests.close()
            for cell in self.cells.values():
                os.close(cell.status)
            work(messages, output, server)
        finally:
            os._exit(70)

    def _look_after(self, number: int) -> None:
        cell = self.cells[number]
        peak_mib = process_peak_rss_mib(cell.pid) or 0.0  # the worker may reset it
        cell.peak_rss_mib = max(cell.peak_rss_mib, peak_mib)
        pid, code, usage = os.wait4(cell.pid, os.WNOHANG)
        if pid:
            cell.peak_rss_mib = max(cell.peak_rss_mib, max_rss_mib(usage))
            held_mib = sum(running.peak_rss_mib for running in self.cells.values())
            del self.cells[number]
            _kill(cell.pid)  # what it started and did not wait for
            _tell(
                cell.status,
                {
                    "code": os.waitstatus_to_exitcode(code),
                    "is_late": cell.dumped_at is not None,
                    "n_oom_kills": oom_kills() - cell.n_oom_kills,
                    "held_mib": held_mib,  # by all cells that ran until now
                    "peak_rss_mib": cell.peak_rss_mib,
                },
            )
        elif cell.dumped_at is not None:
            if time.monotonic() > cell.dumped_at + DUMP_S:
                _kill(cell.pid)
        elif time.monotonic() > cell.deadline:
            cell.dumped_at = time.monotonic()
            os.kill(cell.pid, DUMP_SIGNAL)


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _tell(status: int, facts: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):  # nobody waits for it any more
        os.write(status, json.dumps(facts).encode())
    os.close(status)
