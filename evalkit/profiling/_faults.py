"""Ends that the machine or a person caused, not the restorer: no result of a cell."""

import errno
import signal
from collections.abc import Iterator

from evalkit.errors import MACHINE, KilledError

ERRNOS = MACHINE | frozenset(
    getattr(errno, name)
    for name in (
        *("EFBIG", "EACCES", "EPERM"),  # `ulimit -f`; no permission
        *("ESTALE", "ENODEV", "ENXIO", "EREMOTEIO", "ENOTCONN"),  # a disk is gone
    )
    if hasattr(errno, name)
)
"""Of an `OSError`. No memory is another outcome, no such file often our own fault."""

PHRASES = (
    "no space left on device",
    "disk quota exceeded",
    "disk is full",  # SQLite
    "file write failed",  # PyTorch's writer of archives
    "permission denied",
    "read-only file system",
    "readonly database",
    "too many open files",
    "input/output error",
    "disk i/o error",
    "stale file handle",
    "transport endpoint is not connected",
)
"""Words of libraries that hand on no number, in small letters."""

SIGNALS = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT}
    | {signal.SIGXCPU, signal.SIGXFSZ, signal.SIGUSR1}  # limits; Slurm's warning
)
"""Signals that a person or a scheduler sends; no fault of a process raises them."""


def is_fault(error: BaseException) -> bool:
    """Whether an error is the machine's, or was made of one that is.

    It is known by class and number; by words only where Python has no class for it.
    """
    return any(
        isinstance(link, KeyboardInterrupt | KilledError)
        or (isinstance(link, OSError) and link.errno in ERRNOS)
        or (_is_foreign(link) and tells_of_fault(str(link)))
        for link in _chain(error)
    )


def tells_of_fault(text: str) -> bool:
    """Whether a library's words name such a fault."""
    return any(phrase in text.lower() for phrase in PHRASES)


def _is_foreign(error: BaseException) -> bool:
    is_builtin = type(error).__module__ == "builtins"
    return not is_builtin or isinstance(error, OSError | RuntimeError)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that it was raised from or while handling."""
    ids: set[int] = set()
    while error is not None and id(error) not in ids:
        ids.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
