"""A new picture each time, in turn with the same one: does a cache remember any."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalkit.experiments._sweep import Sweep
from evalkit.study.groups import newest
from evalkit.study.run_folder import CELL, Run

CACHED_FROM = 1.1
"""A ratio of rotating over same pictures that shows a cache: MLPerf's limit."""


def _ratio(run: Run, row: Mapping[str, Any], same: pd.DataFrame) -> Mapping[str, Any]:
    """The median with a new picture each run over that with the same one."""
    moved = newest(run, "rotating").query("phase == 'warm'").merge(same[CELL].head(1))
    if moved.empty:
        return {}
    ratio = float(moved["wall_time_s"].median()) / row["wall_time_s"]
    return {"rotating_ratio": ratio, "is_cached": ratio > CACHED_FROM}


ENTRIES = (
    Sweep(
        name="rotating",
        records=("same-picture", "rotating"),
        values=(1,),
        has_floor=False,
        arguments=lambda _: {"rotating": True},
        columns=_ratio,
    ),
)
