"""How the size of tiles changes the cost, and whether their seams show."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalkit.experiments._sweep import Sweep
from evalkit.images import read_image
from evalkit.metrics.seams import TileBorders, noise, seams
from evalkit.study.run_folder import Run


def _seams(run: Run, _row: Mapping[str, Any], cell: pd.DataFrame) -> Mapping[str, Any]:
    """The score of the tiles' borders in the output, where there are any."""
    settings, outputs = json.loads(cell["setting"].iloc[0]), cell["output"].dropna()
    period = int(settings["tile"] * (settings.get("scale") or 1))
    if outputs.empty or not period or not (run.path / outputs.iloc[-1]).is_file():
        return {}
    output = read_image(run.path / outputs.iloc[-1])
    borders = TileBorders.every(period, *output.shape[:2])
    if not any(borders):
        return {}
    return {
        "seams_db": seams(output, borders),
        "seams_noise_db": noise(output, borders),
    }


ENTRIES = (
    Sweep(
        name="tile",
        setting="tile",
        axis="tile, px of the source; 0 is none",
        values=(0, 128, 256, 512),
        values_on_cpu=(0, 48, 96),
        columns=_seams,
        keeps_outputs=True,
    ),
)
