"""What of a time from file to file is the restorer's, and where that went."""

import json

import numpy as np
import pandas as pd

FILES = ("decode", "decode_copies", "encode", "encode_copies")
"""Stages outside `Restorer.restore`: see `evalkit.study._cells.measure`."""


def restore_time_s(records: pd.DataFrame) -> float | None:
    """The median time of `restore()` alone; None where no record has stages."""
    timed = records[records["stages_s"].notna() & records["wall_time_s"].notna()]
    times = [
        wall - sum(stages.get(name, 0.0) for name in FILES)
        for wall, stages in zip(timed["wall_time_s"], _stages(timed), strict=True)
    ]
    return float(np.median(times)) if times else None


def median_stages(records: pd.DataFrame) -> dict[str, float] | None:
    """Each stage's median; None where no record has stages."""
    stages = pd.DataFrame(_stages(records[records["stages_s"].notna()]))
    return None if stages.empty else dict(stages.fillna(0.0).median())


def _stages(records: pd.DataFrame) -> list[dict[str, float]]:
    return [json.loads(text) for text in records["stages_s"]]
