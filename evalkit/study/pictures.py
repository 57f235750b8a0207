"""Links to the pictures of a run: its tables name no place outside of its folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.paths import file_name, point

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
        The same with the links' paths.

    """
    images = images.copy()
    for column, name in FOLDERS.items():
        folder = run / name
        links = dict(_links(images, column, folder))
        for link in set(folder.glob("*")) - links.keys():
            if link.is_symlink():
                link.unlink()
        for link, file in links.items():
            if not (link.is_symlink() and link.readlink() == Path(file)):
                link.parent.mkdir(exist_ok=True)
                point(link, file)
        paths = [os.fspath(link) for link in links]
        images.loc[images[column].notna(), column] = paths
    return images


def _links(images: pd.DataFrame, column: str, folder: Path) -> Iterator[Any]:
    rows = images[images[column].notna()]
    for source, file in zip(rows["source"], rows[column], strict=True):
        yield folder / f"{file_name(source)}{Path(file).suffix}", file


def as_written(images: pd.DataFrame, run: Path) -> pd.DataFrame:
    """The table as it is written: what lies in the run folder is named from there."""
    heres = (f"{run}/", f"{run.absolute()}/")
    below = {
        column: images[column].map(
            lambda path: str(path).removeprefix(heres[0]).removeprefix(heres[1]),
            na_action="ignore",
        )
        for column in FOLDERS
    }
    return images.assign(**below)


def with_places(images: pd.DataFrame, run: Path) -> pd.DataFrame:
    """The table of a run's pictures with paths that open, wherever it lies now."""
    here = run.absolute()
    for column in FOLDERS:
        images[column] = images[column].map(
            lambda path: os.fspath(here / path), na_action="ignore"
        )
    return images
