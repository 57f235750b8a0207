"""Links to the pictures of a run: its tables name no place outside of its folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.paths import file_name

FOLDERS = {"path": "pictures", "reference": "references"}
"""The folder of a run that holds the links, by the column that names them."""


def link_pictures(images: pd.DataFrame, run: Path) -> pd.DataFrame:
    """Link every file of a table of pictures into a run folder.

    Parameters
    ----------
    images
        Table `evalkit.tables.IMAGES`, with absolute paths.
    run
        The folder. Links in it to pictures that are not in the table are removed.

    Returns
    -------
    DataFrame
        The same with the links' paths, below the folder.

    """
    images = images.copy()
    for column, name in FOLDERS.items():
        folder = run / name
        links = dict(_links(images, column, folder))
        for link in set(folder.glob("*")) - links.keys():
            if link.is_symlink():
                link.unlink()
        for link, file in links.items():
            _point(link, file)
        names = [link.relative_to(run).as_posix() for link in links]
        images.loc[images[column].notna(), column] = names
    return images


def _links(images: pd.DataFrame, column: str, folder: Path) -> Iterator[Any]:
    rows = images[images[column].notna()]
    for source, file in zip(rows["source"], rows[column], strict=True):
        yield folder / f"{file_name(source)}{Path(file).suffix}", file


def _point(link: Path, file: str) -> None:
    """Make a link, or point it elsewhere; at no moment is there none."""
    if link.is_symlink() and link.readlink() == Path(file):
        return
    link.parent.mkdir(exist_ok=True)
    temporary = link.with_name(f".{link.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(file)
    temporary.replace(link)


def with_places(images: pd.DataFrame, run: Path) -> pd.DataFrame:
    """The table of a run's pictures with paths that open, wherever it lies now."""
    here = run.absolute()
    for column in FOLDERS:
        images[column] = images[column].map(
            lambda path: os.fspath(here / path), na_action="ignore"
        )
    return images
