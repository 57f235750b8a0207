"""What happens in the process of one cell: take the request, call, report, end."""

import faulthandler
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Mapping
from importlib import import_module
from types import TracebackType
from typing import Any, NoReturn

from evalkit.errors import INTERRUPTED, OutputRejectedError, SourceChangedError
from evalkit.machine.out_of_memory import is_out_of_memory
from evalkit.profiling._faults import is_fault
from evalkit.profiling.memory import whole_peak_rss_mib
from evalkit.profiling.parents import die_with_parent

LENGTH = struct.Struct("!I")
"""The length in bytes that stands before each message."""

DUMP_SIGNAL = signal.SIGUSR2
"""The signal that makes the worker write to its output where it is."""

EXIT_UNREPORTED, EXIT_OUT_OF_MEMORY = 70, 71


def work(messages: int, output: int, server: int) -> NoReturn:
    """Be the worker of one cell; does not return, nor outlive its parent, `server`.

    The request comes from the socket with the descriptor `messages`, and messages go
    to it; standard output and error go to the file `output`.
    """
    code = EXIT_UNREPORTED
    try:
        die_with_parent(server)
        _take_over(output)
        _answer(socket.socket(fileno=messages))
        code = 0
    finally:
        error = sys.exc_info()[1]
        if isinstance(error, MemoryError):
            code = EXIT_OUT_OF_MEMORY
        elif error is not None:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # a forked process must not unwind into its server


def _take_over(output: int) -> None:
    """Leave the server behind: streams, signals, limits."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable(all_threads=False)
    faulthandler.register(DUMP_SIGNAL, all_threads=False)


def _answer(connection: socket.socket) -> None:
    lock = threading.Lock()

    def send(*message: Any) -> None:
        data = pickle.dumps(message)
        with lock:
            connection.sendall(LENGTH.pack(len(data)) + data)

    def emit(message: Mapping[str, Any]) -> None:
        send("message", dict(message))

    ending: tuple[str, str | None] = ("ok", None)
    try:
        with connection.makefile("rb") as request:
            _prepare(**pickle.load(request))
            function, arguments = pickle.load(request)
        module, _, name = function.partition(":")
        getattr(import_module(module), name)(emit, **arguments)
    except BaseException as error:  # noqa: BLE001 - each failure becomes an outcome
        ending = _describe(error)
    send("end", *ending, whole_peak_rss_mib())


def _prepare(path: list[str], environ: dict[str, str], folder: str) -> None:
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)


def _describe(error: BaseException) -> tuple[str, str]:
    """The outcome, and the error's type, message and last line."""
    where = _last_line(error.__traceback__)
    traceback.clear_frames(error.__traceback__)  # they may hold all of the memory
    text = f"{type(error).__name__}: {error}".removesuffix(": ") + where
    if isinstance(error, OutputRejectedError):
        return "rejected", text
    if isinstance(error, SourceChangedError):
        return INTERRUPTED, str(error)
    if is_out_of_memory(error):
        return "oom", text
    return (INTERRUPTED if is_fault(error) else "error"), text


def _last_line(tb: TracebackType | None) -> str:
    if tb is None:
        return ""
    while tb.tb_next is not None:
        tb = tb.tb_next
    code = tb.tb_frame.f_code
    return f" ({os.path.basename(code.co_filename)}:{tb.tb_lineno} in {code.co_name})"  # noqa: PTH119
