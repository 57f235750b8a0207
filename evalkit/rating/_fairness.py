"""Outputs that nobody could judge: a plan leaves them out, with the reasons."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image

from evalkit.errors import ImageError, attempt
from evalkit.images import read_image
from evalkit.rating.items import SOURCE
from evalkit.rating.stimuli import (
    Stimulus,
    draw,
    keeps_proportions,
    on_grey,
    size_of,
)

LEAST_SHOWN_PX = 64
"""A shown picture with a shorter side is no fair stimulus: there is too little to see,
and a trap's words do not fit in."""

SMALL_PX = 64
"""Two pictures that differ at this side differ; others are compared as shown."""


class LeftOut(NamedTuple):
    """A source, or an output of one, that is not rated.

    Attributes
    ----------
    source
        Its name.
    condition
        The condition of that source; None for all conditions.
    why
        The reason, in a sentence.

    """

    source: str
    condition: str | None
    why: str


def find_unfair(outputs: pd.DataFrame) -> list[LeftOut]:
    """Find what cannot be a fair stimulus, source by source.

    A source that cannot be read, is shown with a side under 64 px, or looks the same
    under every condition; an output or a reference that cannot be read or has other
    proportions than its source. Of a source that is shown whole and as a detail, the
    whole picture counts.

    Parameters
    ----------
    outputs
        As in `evalkit.rating.write_stimuli`.

    """
    left_out: list[LeftOut] = []
    of_all = outputs[~outputs.duplicated(["source", "condition"])]
    for source, rows in of_all.groupby("source", sort=False):
        name = str(source)
        whys: dict[str, str] = {}
        thumbnails: list[bytes] = []
        records = rows.to_dict("records")
        for row in records:
            what = f"{row['condition']} of {name}"
            thumbnail, why = attempt(partial(_thumbnail, row), what)
            if thumbnail is None:
                whys[row["condition"]] = str(why)
            elif row["role"] != SOURCE:
                thumbnails.append(thumbnail)
        systems = [r["condition"] for r in records if r["role"] == "system"]
        why = whys.get(SOURCE)
        if not why and whys.keys() >= {*systems}:
            why = f"no output of it can be shown: {whys[systems[0]]}"
        if not why and len(set(thumbnails)) == 1:
            fair = [r for r in records if r["condition"] not in whys]
            is_same, why = attempt(partial(_look_alike, fair), name)
            why = "it looks the same under every condition" if is_same else why
        if why:
            left_out.append(LeftOut(name, None, why))
        else:
            left_out += [LeftOut(name, c, why) for c, why in whys.items()]
    return left_out


def _thumbnail(row: Mapping[str, Any]) -> bytes:
    """A picture made tiny; an `ImageError` where it cannot be shown."""
    of_source = row["width_px"], row["height_px"]
    width, height = size_of(row)
    if min(width, height) < LEAST_SHOWN_PX:
        raise ImageError(
            f"shown at {width}x{height} px it would be under {LEAST_SHOWN_PX} px: too "
            "little to judge"
        )
    picture = read_image(Path(row["path"]))
    high, wide = picture.shape[:2]
    if not keeps_proportions(wide, high, *of_source):
        raise ImageError(
            f"{wide}x{high} px are other proportions than its source's, "
            f"{of_source[0]}x{of_source[1]}: it would be distorted"
        )
    size = SMALL_PX, SMALL_PX
    return on_grey(picture).resize(size, Image.Resampling.BOX).tobytes()


def _look_alike(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Whether outputs, and the anchor, look the same as they are shown."""
    pictures = set()
    for row in rows:
        if row["role"] != SOURCE:
            picture = draw(row["condition"], row, Stimulus("", *size_of(row)))
            pictures.add(picture.tobytes())
    return len(pictures) == 1


def without(
    outputs: pd.DataFrame, left_out: Iterable[Sequence[str | None]]
) -> pd.DataFrame:
    """The outputs without the sources, or conditions of a source, left out."""
    for source, condition, _ in left_out:
        is_out = outputs["source"] == source
        if condition:
            is_out &= outputs["condition"] == condition
        outputs = outputs[~is_out]
    return outputs
