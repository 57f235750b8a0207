"""The server of workers and one worker, seen from the process that needs them."""

import atexit
import itertools
import json
import math
import os
import pickle
import re
import select
import selectors
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, Any, Self

from evalkit.errors import EvalkitError
from evalkit.profiling import _server
from evalkit.profiling._worker import LENGTH

TAIL_BYTES = 2000
STOP_S = 10.0

_LIBRARY_VARIABLES = re.compile(
    "OMP_|MKL_|OPENBLAS_|OPENCV_|KMP_|GOMP_|ONEDNN_|DNNL_|CUDA|NVIDIA_|TORCH|PYTORCH|"
    "LD_|MALLOC"
)
"""Variables that a library reads when it is loaded: a server keeps their old values."""

_OWN_FRAMES = re.compile(r'  File "(_worker\.py|_server\.py|<string>)", line .*\n?')
"""Frames below the cell's function, in the dump of a crashed or late worker."""

_servers: dict[tuple[Any, ...], "_Server"] = {}
_starting = threading.Lock()


class Worker:
    """The process of one cell: start it, read its messages, leave nothing of it.

    Its server imports `modules` and starts it by `method`, `_server.FORK` or
    `_server.SPAWN`; its standard output and error go to `output`. `facts` says how it
    ended (see `_server`): None until then, and when the server was lost.
    """

    def __init__(
        self,
        method: bytes,
        modules: tuple[str, ...],
        timeout_s: float | None,
        output: IO[bytes],
    ) -> None:
        self.facts: dict[str, Any] | None = None
        self._messages, theirs = socket.socketpair()
        self._status, status = os.pipe()
        descriptors = [theirs.fileno(), status, output.fileno()]
        allowed_s = math.inf if timeout_s is None else timeout_s
        try:
            self._server, self._number = _start(modules, method, allowed_s, descriptors)
        except BaseException:
            self._close()
            raise
        finally:
            theirs.close()
            os.close(status)

    def messages(self, request: bytes) -> Iterator[tuple[Any, ...]]:
        """Send a request; give each message as it comes, until the process ends."""
        with suppress(BrokenPipeError):  # dead already: its status will say how
            self._messages.sendall(request)
        self._messages.setblocking(False)
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            messages = selector.register(self._messages, selectors.EVENT_READ)
            selector.register(self._status, selectors.EVENT_READ)
            has_ended = False
            while not has_ended:
                ready = {key.fd for key, _ in selector.select()}
                has_ended = self._status in ready
                if messages.fd in ready or has_ended:
                    data, is_open = self._receive()
                    if not (is_open or has_ended):
                        selector.unregister(self._messages)
                    received += data
                    yield from _unpack(received)
        if report := os.read(self._status, 65536):
            self.facts = json.loads(report)

    def stop(self) -> None:
        """Let the server kill it, if it runs."""
        self._server.send(_server.STOP, self._number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.facts is None:
            self.stop()
            select.select([self._status], [], [], STOP_S)
        self._close()

    def _receive(self) -> tuple[bytes, bool]:
        """The bytes that have come, and whether more may come."""
        data = b""
        while True:
            try:
                more = self._messages.recv(65536)
            except BlockingIOError:
                return data, True
            except ConnectionResetError:
                return data, False
            if not more:
                return data, False
            data += more

    def _close(self) -> None:
        self._messages.close()
        os.close(self._status)


def tail(file: IO[bytes]) -> str:
    """The end of a file of output, as a terminal would show it, without folders."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - TAIL_BYTES))
    lines = file.read().decode(errors="replace").split("\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    text = re.sub('File "[^"]*/', 'File "', "\n".join(lines))
    return _OWN_FRAMES.sub("", text).strip()


def _unpack(received: bytearray) -> Iterator[tuple[Any, ...]]:
    """Take whole messages from the front of what was received."""
    while len(received) >= LENGTH.size:
        end = LENGTH.size + LENGTH.unpack_from(received)[0]
        if len(received) < end:
            return
        message = pickle.loads(received[LENGTH.size : end])
        del received[:end]
        yield message


class _Server:
    """A running server; see `_server.serve`."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self._requests, theirs = socket.socketpair()
        self._numbers = itertools.count()
        self._sending = threading.Lock()
        with theirs, TemporaryFile() as log:
            arguments = {"control": theirs.fileno(), "parent": os.getpid()}
            self.process = subprocess.Popen(
                _server.program("_server", "serve", preload=modules, **arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in a terminal is for us
            )
            theirs.close()
            if self._requests.recv(1) != _server.READY:
                self.close()
                raise EvalkitError(
                    f"the server of workers, which imports {list(modules)}, did not "
                    f"start: {tail(log)}"
                )

    def send(
        self,
        what: bytes,
        number: int | None = None,
        allowed_s: float = math.inf,
        descriptors: list[int] | None = None,
    ) -> int:
        """Send one request; return its cell's number, a new one if none is given."""
        with self._sending:
            if number is None:
                number = next(self._numbers)
            data = _server.REQUEST.pack(what, number, allowed_s)
            if self._requests.fileno() >= 0:  # else it has ended, and its workers
                with suppress(BrokenPipeError):  # whoever waits for it learns it
                    socket.send_fds(self._requests, [data], descriptors or [])
            return number

    def close(self) -> None:
        """Let the server, and with it every worker, end."""
        with self._sending:  # a thread may be about to stop a worker, which ends anyway
            self._requests.close()
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _start(
    modules: tuple[str, ...], method: bytes, allowed_s: float, descriptors: list[int]
) -> tuple[_Server, int]:
    """Let a server start a worker; return the server and the cell's number."""
    libraries = sorted(
        pair for pair in os.environ.items() if _LIBRARY_VARIABLES.match(pair[0])
    )
    key = (os.getpid(), modules, tuple(libraries))
    with _starting:
        server = _servers.get(key)
        if server is None or server.process.poll() is not None:
            if not _servers:
                atexit.register(_close_servers, os.getpid())
            server = _servers[key] = _Server(modules)
    return server, server.send(method, None, allowed_s, descriptors)


def _close_servers(owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child
        while _servers:
            _servers.popitem()[1].close()
