"""One picture of 1024x768 px, whatever the sources are: the size that others publish.

The first source is brought into that frame, with a grey margin; what it costs does not
depend on what is in it, but for the number of faces.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
import psutil

from evalkit.experiments._sources import made_source
from evalkit.experiments._sweep import Sweep, measure_sweep
from evalkit.images import Picture, read_image, resize
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.study.experiment import Sampling
from evalkit.study.run_folder import Run
from evalkit.tables import IMAGES, RECORDS

WIDTH_PX, HEIGHT_PX = 1024, 768
FRAME = f"{WIDTH_PX}x{HEIGHT_PX}"
MARGIN = 128

CPU_TFLOP = 5.0
"""The most operations that a picture may take on a CPU: there more would take minutes
for each of its runs."""

ROOM = 2.0
"""So many times the least that arithmetic allows must be free: Real-ESRGAN, which needs
6.1 GiB at least, was seen to take 10."""


def _framed(run: Run, images: pd.DataFrame, _value: object) -> pd.DataFrame:
    rows = []
    for row in images[images["error"].isna()].to_dict("records"):
        picture = _in_frame(read_image(row["path"]))
        rows.append(made_source(run, row, f"{row['source']}@{FRAME}", picture))
    return pd.DataFrame(rows, columns=[*IMAGES.columns, "base_source", "base_sha256"])


def _in_frame(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    scale = min(WIDTH_PX / width, HEIGHT_PX / height)
    width, height = round(width * scale), round(height * scale)
    rows, columns = HEIGHT_PX - height, WIDTH_PX - width
    margins = (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    sides = (*margins, *[(0, 0)] * (picture.ndim - 2))
    grey = MARGIN * (257 if picture.dtype == np.uint16 else 1)
    framed = np.pad(resize(picture, width, height), sides, constant_values=grey)
    return cast(Picture, framed)


def _measure(
    entry: Sweep,
    run: Run,
    condition: str,
    images: pd.DataFrame,
    values: Sequence[Any],
    how: Sampling,
) -> pd.DataFrame:
    """Measure, unless a CPU would take minutes, or has too little memory."""
    if why := _why_not(condition):
        how.say(f"{entry.name} {FRAME}: not for {condition} here: {why}")
        return RECORDS.frame([])
    return measure_sweep(entry, run, condition, images, values, how)


def _why_not(condition: str) -> str:
    """Why a condition is not measured in the frame; empty if it is."""
    plan = plan_restorer(**parse_condition(condition))
    spec = plan.spec
    if not spec.work or plan.resolved.get("device", "cpu") != "cpu":
        return ""
    work = spec.work(plan.resolved, HEIGHT_PX, WIDTH_PX)
    needed, free = ROOM * work.coexisting_bytes, psutil.virtual_memory().available
    if needed > free:
        return f"it takes {needed / 2**30:.0f} GiB, and {free / 2**30:.0f} are free"
    tflop = work.operations / 1e12
    if tflop > CPU_TFLOP:
        return f"{tflop:.0f} TFLOP a picture take a CPU minutes"
    return ""


FRAMED = Sweep(
    name="frame",
    axis="frame, px",
    values=(FRAME,),
    prepare=_framed,
    measure=_measure,
)
