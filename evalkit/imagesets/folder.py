"""A reader's own pictures: the files of one folder, every page a source."""

import os
import re
import shutil
import unicodedata
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from evalkit.downloads.files import digest
from evalkit.errors import ImageError, TableError
from evalkit.images import SUFFIXES, n_pages, picture_kind, read_image
from evalkit.imagesets._build import Made, Recipe, build, save_pair
from evalkit.imagesets._spec import ImageSet
from evalkit.paths import atomic_path, file_name
from evalkit.tables import read_pairs

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

UNKNOWN_KIND = "folder"
"""The kind of a picture that has no other."""

UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""Control characters, ends of lines, and bytes that are not UTF-8: legal in a file's
name, and no part of a name that people read."""

MOST_NAMED = 20

ENTRIES: tuple[ImageSet, ...] = ()
"""Not a set with a name: `evalkit.imagesets.prepare` takes the folder itself."""


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


def prepare_folder(
    pictures: Path, folder: Path, *, recursive: bool = False
) -> pd.DataFrame:
    """The table of a folder of pictures.

    Subfolders are looked into where `recursive` says so. A page of a TIFF of several,
    and each page of a PDF, becomes a source of its own, kept as PNG in `folder`; so
    is a copy of a file whose path is not UTF-8.

    Sources are named by subfolder and file stem, then ``-p1``, ``-p2`` for pages; what
    people cannot read in a name becomes its bytes, ``%`` and two digits; a name that
    is taken, up to case and Unicode's form, gets ``-2``. `KINDS_FILE` tells the kind
    of a source (a file's name or stem, and its ``kind``), else a subfolder that is
    called by one of `KINDS`, else it is `UNKNOWN_KIND`.

    Raises
    ------
    ImageError
        No picture, or a `KINDS_FILE` that does not fit.

    """
    album = find_pictures(pictures, recursive=recursive)
    if not album.files:
        raise ImageError(
            f"{pictures} holds no picture; read: {', '.join(sorted(SUFFIXES))}, and "
            f"others by their content. {' '.join(album.left_out)}"
        )
    names: set[str] = set()
    recipes = []
    for file in album.files:
        inside = file.relative_to(pictures)
        facts: dict[str, object] = {"is_synthetic": False, "kind": UNKNOWN_KIND}
        facts |= {"path": readable(file), "origin": readable(file.parent.name)}
        facts |= {"note": f"file {readable(inside)}"}
        named = [part.lower() for part in inside.parts[:-1] if part.lower() in KINDS]
        if file in album.kinds:
            facts |= {"kind": album.kinds[file], "kind_from": KINDS_FILE}
        elif named:
            facts |= {"kind": named[-1], "kind_from": "subfolder"}
        has_suffix = file.suffix.lower() in SUFFIXES | NOT_READ
        stem = file.stem if has_suffix else file.name
        stem = readable(" - ".join([*inside.parts[:-1], stem]))
        recipes += _recipes(file, stem, facts, names)
    return build(folder, recipes)


def _read_kinds(pictures: Path, files: list[Path]) -> dict[Path, str]:
    table = pictures / KINDS_FILE
    if not table.is_file():
        return {}
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


def _recipes(
    file: Path, stem: str, facts: Mapping[str, object], names: set[str]
) -> list[Recipe]:
    inputs: tuple[str, ...] = ()
    count, kind = 1, None
    try:
        inputs = (digest(file),)
        kind = picture_kind(file)
        count = 1 if file.suffix.lower() in NOT_READ else n_pages(file)
    except (ImageError, OSError):
        pass  # what makes the source will say what is wrong
    if count == 1 and kind != "pdf":
        source = _unique(stem, names)
        make = partial(_check, file, source)
        return [Recipe(facts={**facts, "source": source}, inputs=inputs, make=make)]
    recipes = []
    for page in range(count):
        source = _unique(f"{stem}-p{page + 1}", names)
        note = f"page {page + 1} of {count} of {readable(file.name)}"
        recipes.append(
            Recipe(
                facts={**facts, "source": source, "note": note, "page_of": kind},
                inputs=inputs,
                make=partial(_save_page, file, page, source),
            )
        )
    return recipes


def _check(file: Path, source: str, folder: Path) -> Made:
    if file.suffix.lower() in NOT_READ:
        raise ImageError(
            f"{file}: {file.suffix} is not read; convert it to .tif or .png"
        )
    try:
        str(file).encode()
    except UnicodeEncodeError:  # no table can hold such a path
        copy = folder / "sources" / file_name(f"{source}.png")
        with atomic_path(copy) as temporary:
            shutil.copyfile(file, temporary)
        return Made(path=copy)
    return Made(path=file)


def _save_page(file: Path, page: int, source: str, folder: Path) -> Made:
    return save_pair(folder, source, read_image(file, page=page))


def readable(name: str | Path) -> str:
    """A name without what people cannot read: see `UNREADABLE`."""

    def in_bytes(match: re.Match[str]) -> str:
        return "".join(f"%{b:02x}" for b in match[0].encode(errors="surrogateescape"))

    return UNREADABLE.sub(in_bytes, str(name))


def _unique(stem: str, names: set[str]) -> str:
    """The stem, numbered if `names` has it; it is added there."""
    name, count = stem, 1
    while folded(name) in names:
        count += 1
        name = f"{stem}-{count}"
    names.add(folded(name))
    return name


def folded(name: str) -> str:
    """The same for names that differ in case or form only (Unicode 16, D145)."""
    plain = unicodedata.normalize("NFD", name).casefold()
    return unicodedata.normalize("NFD", plain)


def _amount(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"
