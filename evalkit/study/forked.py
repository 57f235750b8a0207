"""Steps of a study that are forked from one process, which has imported for all.

A step by itself is two interpreters, papermill's and the kernel's, which import for
most of their time. Here a job of Snakemake (`evalkit.study.job`) asks the study's
process, which has a server of `evalkit.profiling` fork the step, and the step forks
its kernel before it does anything else (`evalkit.study.preloaded`). A fresh kernel a
notebook stays, and a fresh process a timed cell: that one is not forked from here.
"""

import json
import os
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingUnixStreamServer
from tempfile import TemporaryDirectory
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.profiling import _server
from evalkit.profiling._client import Worker
from evalkit.study.job import ALONE, VARIABLE

PRELOADED = "evalkit.study.preloaded"


class Steps(ThreadingUnixStreamServer):
    """Forks a step for each job that connects, and tells it how that ended."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what went wrong, unless the study has ended and its steps with it."""
        if self.socket.fileno() >= 0:
            super().handle_error(request, client_address)

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables of a job that is to find it."""
        return {VARIABLE: str(self.server_address)}

    def start(self) -> None:
        """Serve in a thread of its own, as long as this process lives."""
        threading.Thread(target=self.serve_forever, daemon=True).start()


@contextmanager
def steps_socket() -> Iterator[Steps | None]:
    """Listen where only this user may connect; None where a path is too long for it."""
    with TemporaryDirectory(prefix="evalkit-") as folder:
        path = Path(folder) / "steps"
        if len(os.fsencode(path)) > 100:  # 108 on Linux, 104 elsewhere
            yield None
        else:
            with Steps(str(path), _Job) as steps:
                yield steps


class _Job(BaseRequestHandler):
    def handle(self) -> None:
        size, descriptors, _, _ = socket.recv_fds(self.request, 8, 1)
        with FileIO(descriptors[0], "w") as log, self.request.makefile("rb") as stream:
            arguments, environ, folder = json.loads(stream.read(int.from_bytes(size)))
            setup = {"path": sys.path, "environ": environ, "folder": folder}
            call = (f"{PRELOADED}:run_forked", {"arguments": arguments})
            try:
                self._run(pickle.dumps(setup) + pickle.dumps(call), log)
            except EvalkitError as error:  # a package that only some steps need
                log.write(f"{error}; the step starts an interpreter\n".encode())
                self.request.sendall(ALONE)

    def _run(self, request: bytes, log: FileIO) -> None:
        with Worker(_server.FORK, (PRELOADED,), None, log) as worker:
            threading.Thread(target=self._end, args=(worker,), daemon=True).start()
            ends = [end for end in worker.messages(request) if end[0] == "end"]
        self.request.sendall(bytes([not ends or ends[0][1] != "ok"]))

    def _end(self, worker: Worker) -> None:
        with suppress(OSError):  # closed before it is read: the step has ended
            self.request.recv(1)  # nothing comes but the job's end
        worker.stop()
