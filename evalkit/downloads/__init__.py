"""A verified download: resumed, checked by size and SHA-256, moved at the end."""

import hashlib
import os
import re
import shutil
import sys
import time
from concurrent.futures import Future
from errno import EDQUOT, ENOSPC
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

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
FULL = (ENOSPC, EDQUOT)
"""What the system says where a disk, or a share of it, is full."""


def obtain(url: str, part: Path, size_bytes: int, sha256: str) -> None:
    """Complete and verify `part`, which may hold the beginning of the file.

    An interrupted download keeps what came: the next call, for any address, asks only
    for the rest. A dead network ends within seconds. A progress bar goes to stderr.

    Raises
    ------
    HashMismatchError
        The address gives another file.
    WeightsError
        The address does not give the file.
    OSError
        `part` cannot be written; with an ``errno`` of `FULL`, there is no room.

    """
    start = part.stat().st_size if part.exists() else 0
    if start < size_bytes:
        with _opened(url, start) as response:
            _transfer(url, response, part, start, size_bytes)
    with part.open("rb") as file:
        part_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if part_sha256 == sha256:
        return
    n_bytes = part.stat().st_size
    is_longer = n_bytes > size_bytes
    part.unlink()
    if start:  # the old half may have been at fault
        obtain(url, part, size_bytes, sha256)
        return
    raise HashMismatchError(
        f"{url}: expected {size_bytes} bytes, got {n_bytes}{' or more' * is_longer}; "
        f"expected SHA-256 {sha256}, got {part_sha256}: another file, which was deleted"
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
    answer: Future[requests.Response] = Future()

    def ask() -> None:
        limits = (CONNECT_LIMIT_S, READ_LIMIT_S)
        try:
            response = requests.get(url, headers=headers, stream=True, timeout=limits)
        except OSError as error:  # what all errors of requests derive from
            answer.set_exception(error)
        else:
            answer.set_result(response)

    Thread(target=ask, daemon=True).start()
    try:
        response = answer.result(OPENING_LIMIT_S)
    except OSError as error:
        late = f"no answer in {OPENING_LIMIT_S:g} s"
        raise WeightsError(f"{url}: {_root(error) or late}") from error
    if response.status_code not in (200, 206):
        response.close()
        raise WeightsError(f"{url}: HTTP status {response.status_code}")
    return response


def _transfer(
    url: str, response: "Response", part: Path, start: int, size_bytes: int
) -> None:
    """Write the body to `part`, behind the `start` bytes that are there.

    A server that does not know ranges begins anew, and so does the file. urllib3 waits
    for a whole piece, however slowly it comes, so pieces are what has arrived: a server
    that gives a byte a second would else never be found out.
    """
    from tqdm import tqdm
    from urllib3.exceptions import HTTPError

    start = _check_offer(url, response, start, size_bytes)
    free_bytes = shutil.disk_usage(part.parent).free
    if free_bytes < size_bytes - start:
        wanted = f"{(size_bytes - start) / 2**20:.0f} MiB are needed"
        raise OSError(ENOSPC, f"{free_bytes / 2**20:.0f} MiB are free, {wanted}")
    bar = tqdm(
        desc=Path(url).name,
        total=size_bytes,
        initial=start,
        unit="B",
        unit_scale=True,
        unit_divisor=1024,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
    )
    began, received, received_before = time.monotonic(), start, start
    try:
        with part.open("ab" if start else "wb") as file, bar:
            while received <= size_bytes and (
                piece := response.raw.read1(CHUNK_BYTES, decode_content=True)
            ):
                file.write(piece)
                bar.update(len(piece))
                received += len(piece)
                passed_s = time.monotonic() - began
                if passed_s < LOWEST_RATE_S:
                    continue
                if received - received_before < LOWEST_RATE_BYTES:
                    raise WeightsError(
                        f"{url}: {received - received_before} bytes in "
                        f"{passed_s:.0f} s, less than {LOWEST_RATE_BYTES}: too slow to "
                        "wait for; what came is kept"
                    )
                began, received_before = time.monotonic(), received
            file.flush()
            os.fsync(file.fileno())
    except HTTPError as error:
        raise WeightsError(
            f"{url}: the connection broke ({_root(error)}); what came is kept, the "
            "next attempt asks for the rest"
        ) from error
    except OSError as error:
        if error.errno in FULL:
            part.unlink()
        raise


def _check_offer(url: str, response: "Response", start: int, size_bytes: int) -> int:
    """Where in the file the body begins, 0 or `start`.

    Raises
    ------
    WeightsError
        A part of the file that was not asked for.
    HashMismatchError
        The server says that the file has another size.

    """
    headers = response.headers
    is_plain = headers.get("Content-Encoding", "identity") == "identity"
    total = headers.get("Content-Length", "") if is_plain else ""
    if response.status_code == 206:
        span = re.fullmatch(
            rf"bytes {start}-\d+/(.+)", headers.get("Content-Range", "")
        )
        if span is None:
            raise WeightsError(f"{url}: answered with a range not asked for")
        total = span[1]
    # one that is no number tells nothing; what comes is counted all the same
    if re.fullmatch("[0-9]{1,18}", total) and int(total) != size_bytes:
        raise HashMismatchError(
            f"{url}: expected {size_bytes} bytes, the server offers {total}"
        )
    return start if response.status_code == 206 else 0


def _root(error: BaseException) -> str:
    """What the operating system said, below the layers that each repeat it."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error)
