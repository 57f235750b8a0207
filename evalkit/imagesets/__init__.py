"""The image sets: one file each, found by themselves, prepared by name or folder."""

import hashlib
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pandas as pd

from evalkit.discover import discover
from evalkit.errors import UnknownNameError
from evalkit.images.album import find_pictures
from evalkit.imagesets._build import Made, Recipe, build, read_opaque, save_pair
from evalkit.imagesets._spec import ImageSet
from evalkit.imagesets.folder import prepare_folder
from evalkit.paths import imageset_dir

__all__ = [
    "ImageSet",
    "Made",
    "Recipe",
    "build",
    "imagesets",
    "left_out",
    "made_dir",
    "originals",
    "prepare",
    "read_opaque",
    "save_pair",
]


@cache
def imagesets() -> Mapping[str, ImageSet]:
    """Every image set by name, without preparing any."""
    return discover(sys.modules[__name__], ImageSet)


def prepare(
    name_or_folder: str | Path, *, folder: Path | None = None, recursive: bool = False
) -> pd.DataFrame:
    """Make or find the pictures of a set, or of a reader's own folder.

    The second time is quick: what was made is kept while its digests hold. The same
    configuration makes the same bytes.

    Parameters
    ----------
    name_or_folder
        A name of `imagesets`, else a folder of pictures.
    folder
        The folder for what is made; None for the cache.
    recursive
        Whether subfolders of a reader's folder are read, too.

    Returns
    -------
    pd.DataFrame
        Table `evalkit.tables.IMAGES`. A picture that cannot be had or read is a row
        with its ``error``; every other row has path, digest and size.

    Raises
    ------
    UnknownNameError
        Neither a set's name nor a folder.
    ImageError
        A folder without any picture.

    """
    spec = imagesets().get(str(name_or_folder))
    if spec is not None:
        return spec.prepare(folder or imageset_dir(spec.name))
    pictures = Path(name_or_folder).expanduser().resolve()
    if not pictures.is_dir():
        names = [*imagesets(), "<a folder of pictures>"]
        raise UnknownNameError("image set", str(name_or_folder), names)
    return prepare_folder(pictures, folder or made_dir(pictures), recursive=recursive)


def originals(images: pd.DataFrame) -> list[Path]:
    """The registered files that pictures (`IMAGES`) are made of; all must be here.

    With them in ``$EVALKIT_MIRROR`` a set is prepared without network.
    """
    from evalkit.imagesets._registered import registered

    named = images["original"].dropna().unique()
    return [registered()[name].fetch() for name in named if name in registered()]


def made_dir(name_or_folder: str | Path) -> Path:
    """The folder that holds what is made of a set, or of a reader's folder."""
    if str(name_or_folder) in imagesets():
        return imageset_dir(str(name_or_folder))
    pictures = os.fsencode(Path(name_or_folder).expanduser().resolve())
    return imageset_dir(f"folder-{hashlib.sha256(pictures).hexdigest()[:12]}")


def left_out(name_or_folder: str | Path, *, recursive: bool = False) -> list[str]:
    """Lines that say what `prepare` does not read in a reader's folder."""
    pictures = Path(name_or_folder).expanduser().resolve()
    if str(name_or_folder) in imagesets() or not pictures.is_dir():
        return []
    return find_pictures(pictures, recursive=recursive).left_out
