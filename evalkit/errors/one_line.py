"""One line for whatever ends a program: an error of ours, of the machine, a fault."""

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from errno import EACCES, EDQUOT, EMFILE, ENOSPC, ENOTDIR, EPERM, EROFS
from pathlib import Path

from evalkit.errors import EvalkitError
from evalkit.paths import cache_dir

STOPPED = 130
"""The exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""

STOPPED_LINE = "stopped; run it again to go on"

_ROOM = "make room there, or set EVALKIT_RUNS or EVALKIT_CACHE to another disk"
_ACCESS = "give access to it, or name another place"
WHAT_TO_DO = {
    ENOSPC: _ROOM,
    EDQUOT: _ROOM,
    EACCES: _ACCESS,
    EPERM: _ACCESS,
    EROFS: _ACCESS,
    ENOTDIR: "a part of this path is a file; name another place",
    EMFILE: "raise the limit of open files (ulimit -n), or run fewer at once",
}
"""What to do, by the system's error; the others need no advice."""


@contextmanager
def errors_in_a_line() -> Iterator[None]:
    """End the program with a line on stderr in place of a traceback.

    The exit status is 1; after Ctrl-C `STOPPED`. What is neither an `EvalkitError` nor
    the machine's is a fault of evalkit: its trace goes to a file in the cache folder.
    """
    try:
        yield
    except KeyboardInterrupt:
        _end(STOPPED_LINE, STOPPED)
    except SystemExit as end:
        if end.code == STOPPED:  # click has caught Ctrl-C
            _end(STOPPED_LINE, STOPPED)
        raise
    except EvalkitError as error:
        _end(str(error))
    except BrokenPipeError:  # whoever read the output has gone
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        sys.exit(1)
    except OSError as error:
        _end(machine_error(error))
    except MemoryError:
        _end("the machine's memory is full; end other programs, or take less at once")
    except Exception as error:  # noqa: BLE001, whatever it is, it gets its line
        _end(_fault(error))


def machine_error(error: OSError) -> str:
    """The file, what the system said of it, and what to do."""
    files = [os.fsdecode(f) for f in (error.filename, error.filename2) if f is not None]
    reason = error.strerror or str(error) or type(error).__name__
    message = ": ".join(filter(None, [" -> ".join(files), reason]))
    advice = WHAT_TO_DO.get(error.errno or 0)
    return f"{message}; {advice}" if advice else message


def _fault(error: Exception) -> str:
    """Write the trace to a file; return the message that names it."""
    trace = "".join(traceback.format_exception(error))
    name = f"evalkit-error-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    file: Path | str = cache_dir() / name
    command = " ".join(sys.argv)
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        Path(file).write_text(
            f"{command}\n\n{trace}", encoding="utf-8", errors="backslashreplace"
        )
    except OSError:
        print(trace, file=sys.stderr)
        file = "the lines above"
    first = (str(error).splitlines() or [""])[0]
    return (
        f"a fault of evalkit, {type(error).__name__}: {first}; its trace is in {file}: "
        "please report it with that"
    )


def _end(message: str, status: int = 1) -> None:
    line = re.sub(r"\s*\n\s*", " ", message.strip())
    print(f"evalkit: {line}", file=sys.stderr)
    sys.exit(status)
