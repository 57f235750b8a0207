"""Rows of the table ``records``: which count now, and how people read them."""

import json
import math
from typing import Any

import pandas as pd

from evalkit.tables import RECORDS


def at_hand(
    records: pd.DataFrame, images: pd.DataFrame, sources: pd.DataFrame
) -> pd.DataFrame:
    """The records of the pictures that exist now, by name and content.

    Parameters
    ----------
    records
        Table `evalkit.tables.RECORDS`.
    images
        Table `evalkit.tables.IMAGES`.
    sources
        Table `evalkit.tables.SOURCES`.

    """
    pictures = pd.concat([images, made_at_hand(sources, images)])[["source", "sha256"]]
    pictures = pictures.rename(columns={"sha256": "source_sha256"}).drop_duplicates()
    return records.merge(pictures, on=list(pictures))


def made_at_hand(sources: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The rows of the table ``sources`` that were made of a picture as it is now."""
    bases = images[["source", "sha256"]].add_prefix("base_")
    return sources.merge(bases, on=list(bases))


def plain_records(records: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the table ``records`` as `RecordStore.append` takes them."""
    return [
        {
            name: json.loads(value)
            if name in RECORDS.json_columns and pd.notna(value)
            else plain(value)
            for name, value in row.items()
        }
        for row in records.to_dict("records")
    ]


SERIES = ("stability", "stability-fresh")
"""Experiments of many runs: all in one process; each in a process of its own."""


def in_words(experiment: str, value: Any) -> str:
    """What was tried, as people read it: ``batch 4``, ``stability, batch 5``."""
    if pd.isna(value):
        return experiment
    return f"{experiment}{', batch' if experiment in SERIES else ''} {value}"


def plain(value: Any) -> Any:
    """A cell as JSON has it: NaN and NA null, numpy's scalars plain."""
    if value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return plain(value.item()) if hasattr(value, "item") else value
