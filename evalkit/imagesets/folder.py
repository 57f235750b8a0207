"""A reader's own pictures: the files of one folder, every page a source."""

from functools import partial
from pathlib import Path

import pandas as pd

from evalkit._files import digest
from evalkit.errors import ImageError
from evalkit.images import SUFFIXES, n_pages, picture_files, read_image
from evalkit.imagesets._build import Made, Recipe, build, save_pair
from evalkit.imagesets._spec import ImageSet

NOT_READ = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".psd", ".raf", ".rw2"}
)
"""Suffixes of pictures that we cannot read; such a file is a row that says so."""

ENTRIES: tuple[ImageSet, ...] = ()
"""Not a set with a name: `evalkit.imagesets.prepare` takes the folder itself."""


def prepare_folder(pictures: Path, folder: Path) -> pd.DataFrame:
    """The table of a folder of pictures.

    Subfolders are not looked into. A page of a TIFF of several, and each page of a
    PDF, becomes a source of its own, kept as PNG in `folder`. Sources are named by file
    stem, then ``-p1``, ``-p2`` for pages; a stem that is taken gets ``-2``.

    Raises
    ------
    ImageError
        No file of a kind that is read.

    """
    others = [
        path
        for path in sorted(pictures.iterdir())
        if path.suffix.lower() in NOT_READ and not path.name.startswith(".")
    ]
    files = [*picture_files(pictures), *others]
    if not files:
        raise ImageError(f"{pictures} holds no picture; read: {_list(SUFFIXES)}")
    taken: set[str] = set()
    recipes = [recipe for file in files for recipe in _recipes(file, taken)]
    return build(folder, recipes)


def _recipes(file: Path, taken: set[str]) -> list[Recipe]:
    facts = {"kind": "folder", "is_synthetic": False, "path": str(file)}
    facts |= {"origin": file.parent.name, "note": f"file {file.name}"}
    inputs: tuple[str, ...] = ()
    count = 1
    try:
        inputs = (digest(file),)
        count = n_pages(file)
    except (ImageError, OSError):
        pass  # what makes the source will say what is wrong
    if count == 1 and file.suffix.lower() != ".pdf":
        facts["source"] = _unique(file.stem, taken)
        return [Recipe(facts=facts, inputs=inputs, make=partial(_check, file))]
    recipes = []
    for page in range(count):
        source = _unique(f"{file.stem}-p{page + 1}", taken)
        note = f"page {page + 1} of {count} of {file.name}"
        recipes.append(
            Recipe(
                facts={**facts, "source": source, "note": note},
                inputs=inputs,
                make=partial(_save_page, file, page, source),
            )
        )
    return recipes


def _check(file: Path, _folder: Path) -> Made:
    if file.suffix.lower() in NOT_READ:
        raise ImageError(
            f"{file}: {file.suffix} is not read; convert it to one of {_list(SUFFIXES)}"
        )
    return Made(path=file)


def _save_page(file: Path, page: int, source: str, folder: Path) -> Made:
    return save_pair(folder, source, read_image(file, page=page))


def _unique(stem: str, taken: set[str]) -> str:
    name, count = stem, 1
    while name in taken:
        count += 1
        name = f"{stem}-{count}"
    taken.add(name)
    return name


def _list(suffixes: frozenset[str]) -> str:
    return ", ".join(sorted(suffixes))
