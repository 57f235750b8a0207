"""A file of JSON objects, one a line, that a killed writer cannot spoil."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.errors import TableError


class Scanned(NamedTuple):
    """How far a file was read.

    Attributes
    ----------
    end
        Offset in bytes behind the last whole line.
    n_lines
        Whole lines up to there, blank ones included.
    torn
        What a killed writer left behind them; empty as a rule.

    """

    end: int = 0
    n_lines: int = 0
    torn: bytes = b""


_MARK_BYTES = 1 << 16  # more than a line, which names its cell near its begin


def scan(
    path: Path,
    take: Callable[[int, dict[str, Any]], None],
    start: Scanned = Scanned(),  # noqa: B008
) -> Scanned:
    """Give each whole line behind `start`, in order, to ``take(offset, row)``.

    A last line without its newline is whole when it is a JSON object: half of one never
    is. A file that is not there has no lines.

    Raises
    ------
    TableError
        A file that cannot be read; with its number, a broken line that is not the
        last, or one that `take` refuses with a `ValueError`.

    """
    if not path.exists():
        return Scanned()
    try:
        with path.open("rb") as file:
            file.seek(start.end)
            content = file.read()
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror}") from error
    lines = content.split(b"\n")
    position = 0
    for number, line in enumerate(lines, start.n_lines + 1):
        if line.strip():
            try:
                # only the first line can begin with the mark of UTF-8
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
                if not isinstance(row, dict):
                    raise ValueError("not a JSON object")
            except (ValueError, RecursionError) as error:
                if not content[position + len(line) :].strip():
                    torn = content[position:]
                    return Scanned(start.end + position, number - 1, torn)
                raise TableError(
                    f"{path}: line {number} is broken ({error}), and is not the last: "
                    "no writer was interrupted there, something else changed the "
                    "file. Mend or delete that line; the others stand"
                ) from error
            try:
                take(start.end + position, row)
            except (ValueError, RecursionError) as error:
                raise TableError(f"{path}: line {number}: {error}") from error
        position += len(line) + 1
    return Scanned(start.end + len(content), start.n_lines + len(lines) - 1)


def mark(path: Path, end: int) -> tuple[int, bytes]:
    """The file, and what stands before an offset: equal where it has only grown."""
    if not end:
        return 0, b""
    with path.open("rb") as file:
        file.seek(max(0, end - _MARK_BYTES))
        before = file.read(min(end, _MARK_BYTES))
        return os.fstat(file.fileno()).st_ino, before


def append(path: Path, lines: bytes, *, torn_at: int | None = None) -> None:
    """Append whole lines and flush them to the disk, or leave the file as it was.

    Each line has its newline. A half-written last line of the file, which begins at
    `torn_at`, is cut off first.

    Raises
    ------
    OSError
        The disk refused.

    """
    is_new = not path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    try:
        if torn_at is not None:
            os.ftruncate(file, torn_at)
        _write(file, lines)
    finally:
        os.close(file)
    if is_new:
        _sync_folder(path.parent)


def _write(file: int, lines: bytes) -> None:
    size = os.fstat(file).st_size
    is_open = size and os.pread(file, 1, size - 1) != b"\n"  # an editor took it
    unwritten = memoryview((b"\n" if is_open and lines else b"") + lines)
    try:
        while unwritten:
            unwritten = unwritten[os.write(file, unwritten) :]
        os.fsync(file)
    except BaseException:
        os.ftruncate(file, size)
        raise


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
