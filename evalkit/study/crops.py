"""Which part of a picture is shown at its own size: in figures, report and panel."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from evalkit.errors import of_each
from evalkit.figures import Crop, crop_box
from evalkit.images import read_image
from evalkit.rating.items import DETAIL, SOURCE, WHOLE
from evalkit.rating.stimuli import LARGEST_SCALE, SHOWN_PX, is_large, size_of


def choose_crop(path: Path) -> Crop:
    """The crop of a source: the largest face where one is found, else the most detail.

    See `evalkit.figures.crop_box`.
    """
    from evalkit.faces import detect  # late: it brings detectors

    source = read_image(path)
    return crop_box(source, [face.box for face in detect(source)])


def choose_detail(path: Path) -> Crop:
    """The middle of that crop, as much as a panel sees without being reduced."""
    x, y, width, height = choose_crop(path)
    wide = min(width, SHOWN_PX[0] // LARGEST_SCALE)
    high = min(height, SHOWN_PX[1] // LARGEST_SCALE)
    return Crop(x + (width - wide) // 2, y + (height - high) // 2, wide, high)


def choose_details(outputs: pd.DataFrame) -> dict[str, Crop]:
    """The detail of each source that is large and can be read."""
    sources = outputs[outputs["role"] == SOURCE]
    tasks = {
        row["source"]: partial(choose_detail, Path(row["path"]))
        for row in sources.to_dict("records")
        if is_large(row["width_px"], row["height_px"])
    }
    return of_each(tasks, "detail")


def with_details(
    outputs: pd.DataFrame, details: Mapping[str, Sequence[int]], shows: str
) -> pd.DataFrame:
    """The outputs as a plan shows them: whole, as the detail of their source, or both.

    Parameters
    ----------
    outputs
        As `rated_outputs` has them.
    details
        Left, top, width and height in px of the source, by source.
    shows
        As in `plan_rating`.

    Returns
    -------
    DataFrame
        With columns ``part``, ``crop``, and ``reduced``: pixels of the output for one
        that is shown, below 1 where it is enlarged; null of a reference.

    """
    has_detail = outputs["source"].isin(details)
    whole = outputs if shows == "both" else outputs[~has_detail | (shows == WHOLE)]
    cut = outputs[has_detail & (shows != WHOLE)]
    parts = [
        whole.assign(part=WHOLE, crop=None),
        cut.assign(part=DETAIL, crop=[tuple(details[s]) for s in cut["source"]]),
    ]
    filled = [part for part in parts if len(part)] or parts[:1]
    shown = pd.concat(filled, ignore_index=True)
    rows = shown.to_dict("records")
    wide = [(row["crop"] or [0, 0, row["width_px"]])[2] for row in rows]
    sizes = [size_of(row)[0] for row in rows]
    of_output = pd.to_numeric(shown["output_width_px"]) / shown["width_px"]
    return shown.assign(reduced=of_output * wide / sizes)
