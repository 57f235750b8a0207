"""How much of a time from file to file is the restorer's, and how it was spent."""

import json

import numpy as np
import pandas as pd

FILES = ("decode", "decode_copies", "encode", "encode_copies")
"""Stages outside `Restorer.restore`: see `evalkit.study.worker.measure`."""


def restore_time_s(records: pd.DataFrame) -> float | None:
    """The median time of `restore()` alone; None where no record has stages."""
    times = [
        wall_s - sum(stages.get(name, 0.0) for name in FILES)
        for wall_s, stages in _timed(records)
    ]
    return float(np.median(times)) if times else None


def median_stages(records: pd.DataFrame) -> dict[str, float] | None:
    """Each stage's median; None where no record has stages."""
    stages = pd.DataFrame([stages for _, stages in _timed(records)])
    return None if stages.empty else dict(stages.fillna(0.0).median())


def _timed(records: pd.DataFrame) -> list[tuple[float, dict[str, float]]]:
    """Wall time and stages of each record that has both."""
    pairs = records.reindex(columns=["wall_time_s", "stages_s"]).dropna()
    return [(wall_s, json.loads(text)) for wall_s, text in pairs.to_numpy()]
