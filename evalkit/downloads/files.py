"""Registered files: known by size and SHA-256, wherever they lie."""

import hashlib
import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from evalkit.downloads import FULL, obtain
from evalkit.errors import HashMismatchError, WeightsError
from evalkit.paths import mirror_dirs

SETTLING_NS = 2_000_000_000
"""A file changed so lately may change again with the same time stamp."""


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; computed once for each state of the file."""
    state = path.stat()
    is_settled = time.time_ns() - state.st_mtime_ns > SETTLING_NS
    compute = _digest if is_settled else _digest.__wrapped__
    return compute(path, state.st_ino, state.st_size, state.st_mtime_ns)


@cache
def _digest(path: Path, _inode: int, _size_bytes: int, _mtime_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget_digests() -> None:
    """Let the next `digest` read every file anew."""
    _digest.cache_clear()


def is_registered(path: Path, size_bytes: int, sha256: str) -> bool:
    """Whether `path` is a readable file of that size and that digest."""
    if not path.is_file() or path.stat().st_size != size_bytes:
        return False
    return os.access(path, os.R_OK) and digest(path) == sha256


def find_in_mirrors(size_bytes: int, sha256: str) -> Path | None:
    """A file of that size and digest below a folder of ``$EVALKIT_MIRROR``.

    Names do not matter. Only files of that size are read.
    """
    for mirror in mirror_dirs():
        for path in sorted(mirror.absolute().rglob("*")):
            if is_registered(path, size_bytes, sha256):
                return path
    return None


def fetch_file(
    urls: Sequence[str], *, file_name: str, size_bytes: int, sha256: str, folder: Path
) -> tuple[Path, Literal["released", "mirror"]]:
    """One registered file: from `folder`, else a mirror, else downloaded to `folder`.

    Two processes that ask at once download once. The addresses, the publisher's first,
    all give the same bytes, and are tried in order. An interrupted download leaves a
    hidden ``.part`` file, which never counts as the file. `file_name` is the path below
    `folder`.

    Returns
    -------
    tuple
        Where it is, and ``released`` (in `folder`) or ``mirror``.

    Raises
    ------
    HashMismatchError
        An address gave something else.
    WeightsError
        No address gave the file, ``EVALKIT_OFFLINE=1``, or `folder` cannot be
        written; the text says what to do.

    """
    path = folder / file_name
    if is_registered(path, size_bytes, sha256):
        return path, "released"
    if mirrored := find_in_mirrors(size_bytes, sha256):
        return mirrored, "mirror"
    wanted = f"{file_name} ({size_bytes} bytes, SHA-256 {sha256})"
    if os.environ.get("EVALKIT_OFFLINE") == "1":
        raise WeightsError(
            f"{wanted} is not here, and EVALKIT_OFFLINE=1 forbids a download; "
            f"{_what_to_do(path)}"
        )
    part = path.with_name(f".{path.name}.{sha256[:16]}.part")
    failures: list[WeightsError] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path):
            if is_registered(path, size_bytes, sha256):
                return path, "released"
            for url in urls:
                try:
                    obtain(url, part, size_bytes, sha256)
                except WeightsError as error:
                    failures.append(error)
                else:
                    return part.replace(path), "released"
    except OSError as error:
        full = f"the disk of {path.parent} is full ({error.strerror})"
        raise WeightsError(
            f"{wanted} cannot be kept: {full if error.errno in FULL else error}; make "
            "room, or set EVALKIT_CACHE to a folder on another disk that can be written"
        ) from error
    is_other = any(isinstance(error, HashMismatchError) for error in failures)
    lines = "".join(f"\n  {error}" for error in failures) or " no address is known"
    raise (HashMismatchError if is_other else WeightsError)(
        f"{wanted} could not be downloaded:{lines}\n{_what_to_do(path)}"
    )


def _lock(path: Path) -> AbstractContextManager[object]:
    """A lock, held until its ``with`` ends; says so before it waits for it."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        return lock.acquire(timeout=0.5)
    except Timeout:
        print(f"another process is downloading {path.name}; waiting", file=sys.stderr)
        return lock.acquire()


def _what_to_do(path: Path) -> str:
    mirrors = [
        f"{folder}{'' if folder.is_dir() else ' (no such folder)'}"
        for folder in mirror_dirs()
    ]
    return (
        f"put the file at {path}, or into a folder named by EVALKIT_MIRROR "
        f"(searched: {', '.join(mirrors) or 'none set'})"
    )
