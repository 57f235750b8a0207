"""What Snakemake starts for a step: it has the study fork it, and ends as that does.

A program of the standard library alone, to be run by ``python -I -S`` in 20 ms. Where
no study listens, as on another machine of a cluster, it becomes the step itself.
"""

import json
import os
import socket
import sys
from contextlib import suppress

VARIABLE = "EVALKIT_STEPS"
"""Names the socket of the study that forks steps; see `evalkit.study.forked`."""

ALONE = b"\2"
"""In place of an exit status: the study cannot fork steps."""


def _ask(study: socket.socket) -> bytes:
    """Let the study run the step; give its exit status, nothing if it was killed."""
    try:
        study.connect(os.environ[VARIABLE])
    except (OSError, KeyError):
        return ALONE
    request = [sys.argv[1:], dict(os.environ), os.getcwd()]  # noqa: PTH109
    data = json.dumps(request).encode()
    with suppress(ConnectionError):
        socket.send_fds(study, [len(data).to_bytes(8)], [2])
        study.sendall(data)
        return study.recv(1)
    return b""


if __name__ == "__main__":
    with socket.socket(socket.AF_UNIX) as study:
        status = _ask(study)
    if status == ALONE:
        step = [sys.executable, "-m", "evalkit.study.notebooks", *sys.argv[1:]]
        os.execv(sys.executable, step)
    os._exit(int.from_bytes(status or b"\1"))
