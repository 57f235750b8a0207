"""A reader's own pictures: the files of one folder, every page a source."""

import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pandas as pd

from evalkit.downloads.files import digest
from evalkit.errors import ImageError
from evalkit.images import SUFFIXES, n_pages, picture_kind, read_image
from evalkit.images.album import (
    NOT_READ,
    check_is_read,
    find_pictures,
    folded,
    readable,
)
from evalkit.imagesets._build import Made, Recipe, build, save_pair
from evalkit.imagesets._spec import ImageSet
from evalkit.paths import atomic_path, file_name

UNKNOWN_KIND = "folder"
"""The kind of a picture that has no other."""

ENTRIES: tuple[ImageSet, ...] = ()
"""Not a set with a name: `evalkit.imagesets.prepare` takes the folder itself."""


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
        facts: dict[str, object] = {"is_synthetic": False}
        facts |= {"path": readable(file), "origin": readable(file.parent.name)}
        facts |= {"note": f"file {readable(inside)}"}
        kind, told_by = album.kind_of(file, pictures)
        facts |= {"kind": kind or UNKNOWN_KIND, "kind_from": told_by}
        has_suffix = file.suffix.lower() in SUFFIXES | NOT_READ
        stem = file.stem if has_suffix else file.name
        stem = readable(" - ".join([*inside.parts[:-1], stem]))
        recipes += _recipes(file, stem, facts, names)
    return build(folder, recipes)


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
    check_is_read(file)
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


def _unique(stem: str, names: set[str]) -> str:
    """The stem, numbered if `names` has it; it is added there."""
    name, count = stem, 1
    while folded(name) in names:
        count += 1
        name = f"{stem}-{count}"
    names.add(folded(name))
    return name
