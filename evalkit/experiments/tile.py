"""How the size of tiles changes cost and picture, and whether their seams show."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.experiments._sweep import Sweep
from evalkit.images import Picture, read_image
from evalkit.metrics.seams import TileBorders, noise, seams
from evalkit.restorers import condition_name, parse_condition
from evalkit.study.groups import newest
from evalkit.study.run_folder import Run


def _columns(run: Run, row: Mapping[str, Any], cell: pd.DataFrame) -> Mapping[str, Any]:
    """How far the output is from the untiled one; the score of its tiles' borders."""
    settings, outputs = json.loads(cell["setting"].iloc[0]), cell["output"].dropna()
    period = int(settings["tile"] * (settings.get("scale") or 1))
    if outputs.empty or not period or not (run.path / outputs.iloc[-1]).is_file():
        return {}
    output = read_image(run.path / outputs.iloc[-1])
    found: dict[str, Any] = {}
    untiled = _untiled(run, row)
    if untiled and untiled.is_file():
        found["untiled_levels"] = _levels_apart(output, read_image(untiled))
    borders = TileBorders.every(period, *output.shape[:2])
    if any(borders):
        found["seams_db"] = seams(output, borders)
        found["seams_noise_db"] = noise(output, borders)
    return found


def _untiled(run: Run, row: Mapping[str, Any]) -> Path | None:
    """The output of the same picture by the same condition, not cut."""
    whole = condition_name(**parse_condition(row["condition"]) | {"tile": 0})
    records = newest(run, row["experiment"])
    same = records["condition"] == whole
    same &= (records[["source", "machine"]] == [row["source"], row["machine"]]).all(
        axis=1
    )
    outputs = records.loc[same, "output"].dropna()
    return run.path / outputs.iloc[-1] if len(outputs) else None


def _levels_apart(one: Picture, other: Picture) -> float:
    """The largest difference of any value, in levels of 255."""
    apart = np.abs(one.astype(float) - other.astype(float)).max()
    return float(apart * 255 / np.iinfo(one.dtype).max)


ENTRIES = (
    Sweep(
        name="tile",
        setting="tile",
        axis="tile, px of the source; 0 is none",
        values=(0, 128, 256, 512),
        values_on_cpu=(0, 48, 96),
        columns=_columns,
        keeps_outputs=True,
    ),
)
