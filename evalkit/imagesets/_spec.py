"""What an image set is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """All that the study must know of an image set before it is prepared.

    Attributes
    ----------
    name
        Kebab-case; what ``images:`` in study.yaml says.
    title
        What it shows, in a few words.
    licence
        Whether its pictures may be published.
    note
        What a reader must know of all its pictures.
    is_offline
        Whether it is made of what is installed, without network.
    prepare
        ``prepare(folder)`` writes what it makes below `folder` and returns the table
        `evalkit.tables.IMAGES`; the second time it only checks.

    """

    name: str
    title: str
    licence: str
    note: str
    is_offline: bool = False
    prepare: Callable[[Path], pd.DataFrame]
