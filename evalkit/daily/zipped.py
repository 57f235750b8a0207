"""Files as one ZIP, written while it is read: it lies nowhere, nor in memory."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile, ZipInfo

PART_BYTES = 2**20


class _Passing:
    """What a ZIP is written to: keeps it until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing waits: see `taken`."""

    def taken(self) -> bytes:
        whole = b"".join(self._parts)
        self._parts.clear()
        return whole


def zipped(files: Mapping[str, Path]) -> Iterator[bytes]:
    """A ZIP in parts; pictures are stored as they are, since they are packed already.

    Parameters
    ----------
    files
        By their names in it.

    Raises
    ------
    OSError
        A file that has gone: the ZIP ends there.

    """
    passing = _Passing()
    now = time.localtime()[:6]
    with ZipFile(passing, "w", ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name, file in files.items():
            with (
                archive.open(ZipInfo(name, now), "w", force_zip64=True) as entry,
                file.open("rb") as source,
            ):
                while part := source.read(PART_BYTES):
                    entry.write(part)
                    yield passing.taken()
    yield passing.taken()
