"""A verified download: resumed, checked by size and SHA-256, moved at the end."""

import hashlib
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from errno import EDQUOT, ENOSPC
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, BinaryIO

from evalkit.errors import HashMismatchError, WeightsError

if TYPE_CHECKING:
    from requests import Response

CONNECT_LIMIT_S = 5.0
"""For one address of a host."""
OPENING_LIMIT_S = 10.0
"""From the question to the answer's head: name lookup, redirects, all of it."""
READ_LIMIT_S = 20.0
"""Between two pieces of the body."""
LOWEST_RATE_S = 30.0
LOWEST_RATE_BYTES = 30 * 1024
"""What must come in each such span of time: at 1 KiB a second the smallest GPEN takes
20 hours, so a server that gives less is as good as none. A telephone modem gives 5.
"""
CHUNK_BYTES = 1 << 16


class _AddressError(WeightsError):
    """One address did not give the file; another may."""


def download(
    urls: Sequence[str], path: Path, *, size_bytes: int, sha256: str, advice: str
) -> None:
    """Download one file; `path` is there afterwards, whole and verified, or untouched.

    What came of an interrupted download stays beside `path` in a hidden ``.part``
    file: the next call asks only for the rest. It never counts as the file. The
    addresses, which all give the same bytes, are asked in order, each once, and a dead
    network ends within seconds; when none gives the file, `advice` ends the error. A
    progress bar goes to stderr.

    Raises
    ------
    HashMismatchError
        No address gave the file, and at least one gave another.
    WeightsError
        No address gave the file, or the disk is full.
    OSError
        The folder cannot be written.

    """
    part = path.with_name(f".{path.name}.{sha256[:16]}.part")
    failures: list[WeightsError] = []
    for url in urls:
        try:
            _obtain(url, part, size_bytes, sha256)
        except (_AddressError, HashMismatchError) as error:
            failures.append(error)
        else:
            part.replace(path)
            return
    kinds = {type(error) for error in failures}
    kind = HashMismatchError if HashMismatchError in kinds else WeightsError
    told = "".join(f"\n  {error}" for error in failures) or " no address is known"
    raise kind(
        f"{path.name} ({size_bytes} bytes, SHA-256 {sha256}) could not be "
        f"downloaded:{told}\n{advice}"
    )


def _obtain(url: str, part: Path, size_bytes: int, sha256: str) -> None:
    """Make `part` the whole, verified file."""
    start = part.stat().st_size if part.exists() else 0
    if start > size_bytes:
        part.unlink()
        start = 0
    if start < size_bytes:
        with _opened(url, start) as response:
            _transfer(url, response, part, start, size_bytes)
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found == sha256:
        return
    part.unlink()
    if start:  # the old half may have been at fault
        _obtain(url, part, size_bytes, sha256)
        return
    raise HashMismatchError(
        f"{url}: expected SHA-256 {sha256}, got {found}: the address holds another "
        "file of the same size; it was deleted"
    )


def _opened(url: str, start: int) -> "Response":
    """The server's answer, from byte `start` on if it can.

    The question is asked in a thread of its own, since no time limit of a client
    covers the lookup of a name or a row of redirects.
    """
    import requests

    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    answers: SimpleQueue[requests.Response | OSError] = SimpleQueue()

    def ask() -> None:
        limits = (CONNECT_LIMIT_S, READ_LIMIT_S)
        try:
            answers.put(requests.get(url, headers=headers, stream=True, timeout=limits))
        except OSError as error:  # what all errors of requests derive from
            answers.put(error)

    Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=OPENING_LIMIT_S)
    except Empty:
        raise _AddressError(f"{url}: no answer in {OPENING_LIMIT_S:g} s") from None
    if isinstance(answer, OSError):
        raise _AddressError(f"{url}: {_root(answer)}") from answer
    if answer.status_code not in (200, 206):
        answer.close()
        raise _AddressError(f"{url}: HTTP status {answer.status_code}")
    return answer


def _transfer(
    url: str, response: "Response", part: Path, start: int, size_bytes: int
) -> None:
    """Write the body to `part`, behind the `start` bytes that are there.

    A server that does not know ranges begins anew, and so does the file.
    """
    start, total = _offered(response, start)
    if total not in (None, size_bytes):
        raise HashMismatchError(
            f"{url}: expected {size_bytes} bytes, the server offers {total}"
        )
    _check_space(part, size_bytes - start)
    try:
        with part.open("ab" if start else "wb") as file:
            received = _write(file, url, response, start, size_bytes)
    except OSError as error:
        if error.errno not in (ENOSPC, EDQUOT):
            raise
        part.unlink(missing_ok=True)
        raise WeightsError(
            f"the disk of {part.parent} is full: {size_bytes} bytes were expected; "
            "make room, or set EVALKIT_CACHE to a folder on another disk"
        ) from error
    if received == size_bytes:
        return
    part.unlink()
    raise HashMismatchError(
        f"{url}: expected {size_bytes} bytes, got {received} or more; deleted"
    )


def _offered(response: "Response", start: int) -> tuple[int, int | None]:
    """Where the body begins in the file, and the file's size where it is said."""
    span = re.fullmatch(
        r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "")
    )
    if response.status_code == 206 and span and int(span[1]) == start:
        return start, None if span[2] == "*" else int(span[2])
    if response.status_code == 206:
        raise _AddressError(f"{response.url}: answered with a range not asked for")
    is_plain = response.headers.get("Content-Encoding", "identity") == "identity"
    length = response.headers.get("Content-Length") if is_plain else None
    # one that is no number tells nothing; what comes is counted all the same
    is_number = length is not None and re.fullmatch("[0-9]{1,18}", length)
    return 0, int(length) if length and is_number else None


def _check_space(part: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(part.parent).free
    if needed_bytes > free_bytes:
        raise WeightsError(
            f"{part.parent} has {free_bytes / 2**20:.0f} MiB free, "
            f"{needed_bytes / 2**20:.0f} MiB are needed; make room, or set "
            "EVALKIT_CACHE to a folder on another disk"
        )


def _write(
    file: BinaryIO, url: str, response: "Response", start: int, size_bytes: int
) -> int:
    """Copy the body; the bytes in the file then, at most one piece too many."""
    from tqdm import tqdm

    received = start
    with tqdm(
        desc=Path(url).name,
        total=size_bytes,
        initial=start,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
    ) as bar:
        for piece in _pieces(url, response):
            file.write(piece)
            bar.update(len(piece))
            received += len(piece)
            if received > size_bytes:
                break
    file.flush()
    os.fsync(file.fileno())
    return received


def _pieces(url: str, response: "Response") -> Iterator[bytes]:
    """The body, with the network's errors told from the disk's.

    urllib3 waits for a whole piece, however slowly it comes, so pieces are what has
    arrived: a server that gives a byte a second would else never be found out.
    """
    from urllib3.exceptions import HTTPError

    began, n_received = time.monotonic(), 0
    while True:
        try:
            piece = response.raw.read1(CHUNK_BYTES, decode_content=True)
        except (OSError, HTTPError) as error:
            raise _AddressError(
                f"{url}: the connection broke ({_root(error)}); what came is kept, the "
                "next attempt asks for the rest"
            ) from error
        if not piece:
            return
        yield piece
        n_received += len(piece)
        passed_s = time.monotonic() - began
        if passed_s < LOWEST_RATE_S:
            continue
        if n_received < LOWEST_RATE_BYTES:
            raise _AddressError(
                f"{url}: {n_received} bytes in {passed_s:.0f} s, less than "
                f"{LOWEST_RATE_BYTES}: too slow to wait for; what came is kept"
            )
        began, n_received = time.monotonic(), 0


def _root(error: BaseException) -> str:
    """What the operating system said, below the layers that each repeat it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error) or type(error).__name__
