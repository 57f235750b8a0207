"""The pictures of a reader's folder: which files they are, and what is left out."""

import os
import re
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from evalkit.errors import ImageError, TableError
from evalkit.images import SUFFIXES
from evalkit.images.kinds import picture_kind

NOT_READ = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"}
    | {".exr", ".hdr", ".pbm", ".pgm", ".pnm", ".ppm", ".psd", ".qoi", ".tga"}
)
"""Suffixes of pictures that we cannot read; such a file is a row that says so. Cameras'
raw files begin like a TIFF, some of them, and hold a small one."""

LITTER = frozenset({"thumbs.db", "desktop.ini"})
"""Files that systems leave in folders of pictures, beside hidden ones."""

KINDS_FILE = "kinds.csv"
KINDS = (
    *("aligned-face", "building", "group", "mixed", "other", "portrait", "product"),
    *("surveillance", "text"),
)
"""What a picture can show, for the judges of claims; ``aligned-face``: one face and
nothing else, which GPEN takes as it is."""

UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, ends of lines, and bytes that are not UTF-8: legal in a file's
name, and no part of a name that people read."""

MOST_NAMED = 20


def check_is_read(file: Path) -> None:
    """Refuse a file that only begins like a picture we read.

    Raises
    ------
    ImageError
        Its suffix is one of `NOT_READ`.

    """
    if file.suffix.lower() in NOT_READ:
        raise ImageError(
            f"{file}: {file.suffix} is not read; convert it to .tif or .png"
        )


class Album(NamedTuple):
    """The content of a folder.

    Attributes
    ----------
    files
        Pictures, and files that should be pictures by their names; sorted.
    left_out
        Lines that say what else is there.
    kinds
        The kinds of files that `KINDS_FILE` tells.

    """

    files: list[Path]
    left_out: list[str]
    kinds: dict[Path, str]

    def kind_of(self, file: Path, folder: Path) -> tuple[str | None, str | None]:
        """What a picture below `folder` shows, as far as it is told, and what tells it.

        `KINDS_FILE` does, else the innermost subfolder that has one of `KINDS` as name.
        """
        if file in self.kinds:
            return self.kinds[file], KINDS_FILE
        parts = map(str.lower, file.relative_to(folder).parts[:-1])
        named = [part for part in parts if part in KINDS]
        return (named[-1], "subfolder") if named else (None, None)


def find_pictures(folder: Path, *, recursive: bool) -> Album:
    """Find the pictures of a folder, by content as much as by name.

    Hidden files that are no pictures and those of `LITTER` are passed over; links to
    folders are not followed.

    Raises
    ------
    ImageError
        The folder cannot be read, or its `KINDS_FILE` does not fit.

    """
    files: list[Path] = []
    unread: list[str] = []
    below: list[Path] = []

    def refuse(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise ImageError(f"{folder} cannot be read: {error.strerror}") from error
        unread.append(f"{Path(error.filename).relative_to(folder)} ({error.strerror})")

    for parent, folders, names in os.walk(folder, onerror=refuse):
        is_inside = Path(parent) == folder or recursive
        linked = [f for f in folders if Path(parent, f).is_symlink()]
        folders[:] = sorted(f for f in {*folders} - {*linked} if f[0] != ".")
        for name in sorted(names):
            path = Path(parent, name)
            if name.lower() in {*LITTER, KINDS_FILE}:
                continue
            reason = _why_not(path)
            if name[0] == ".":
                if not _holds_picture(path):
                    continue  # a Mac keeps ._cup.jpg beside cup.jpg, which is none
                reason = "hidden"
            if not reason:
                (files if is_inside else below).append(path)
            elif is_inside:
                unread.append(f"{path.relative_to(folder)} ({reason})")
        if is_inside:
            unread += [f"{f} (a link to a folder)" for f in linked if f[0] != "."]
    lines = []
    if unread:
        more = len(unread) - MOST_NAMED
        listed = [*unread[:MOST_NAMED], *([f"and {more} more"] if more > 0 else [])]
        lines.append(f"not read: {', '.join(map(readable, listed))}")
    if below:
        n_folders = len({path.parent for path in below})
        lines.append(
            f"not read: {_amount(len(below), 'picture')} in "
            f"{_amount(n_folders, 'subfolder')}; recursive: true in the study's file, "
            "or --recursive, reads them"
        )
    return Album(sorted(files), lines, _read_kinds(folder, files))


def _why_not(path: Path) -> str | None:
    """Why a file is no picture and has no name of one; None if it is or has."""
    has_name = path.suffix.lower() in SUFFIXES | NOT_READ
    try:
        if path.is_file():
            return None if has_name or picture_kind(path) else "no picture"
    except OSError as error:
        return error.strerror
    if path.exists():
        return "no file"
    return None if has_name else "a link to nothing"


def _holds_picture(path: Path) -> bool:
    with suppress(OSError):
        return path.is_file() and picture_kind(path) is not None
    return False


def _read_kinds(pictures: Path, files: list[Path]) -> dict[Path, str]:
    table = pictures / KINDS_FILE
    if not table.is_file():
        return {}
    from evalkit.tables import read_pairs  # late: it takes pandas

    by_name: dict[str, list[Path]] = {}
    for file in files:
        inside = file.relative_to(pictures).as_posix()
        for name in {inside, file.name, inside.removesuffix(file.suffix), file.stem}:
            by_name.setdefault(name, []).append(file)
    try:
        kinds = read_pairs(table, ("file", "source", "stem"), "kind")
    except TableError as error:
        raise ImageError(str(error)) from error
    if unknown := sorted({*kinds.values()} - {*KINDS}):
        raise ImageError(f"{table}: unknown kinds {unknown}; known: {', '.join(KINDS)}")
    if missing := sorted({*kinds} - {*by_name}):
        raise ImageError(f"{table}: there is no picture {', '.join(missing)}")
    return {file: kind for name, kind in kinds.items() for file in by_name[name]}


def readable(name: str | Path) -> str:
    """A name without what people cannot read: see `UNREADABLE`."""

    def in_bytes(match: re.Match[str]) -> str:
        return "".join(f"%{b:02x}" for b in match[0].encode(errors="surrogateescape"))

    return UNREADABLE.sub(in_bytes, str(name))


def folded(name: str) -> str:
    """The same for names that differ in case or form only (Unicode 16, D145)."""
    plain = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", plain)


def _amount(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
