"""What the hybrid costs, beside GPEN and Real-ESRGAN alone on the same picture.

There is no upstream hybrid: the article ran one restorer after the other, and ours is
judged, by ratios: its time to the sum of both alone (the article adds them, 18 and 11
s), its memory to that of Real-ESRGAN alone (G10). *Reproduced* within the range of
``data/claims.yaml``, never contradicted: ours is another hybrid. Both are of a GPU, and
a ratio of times on a CPU, or with random weights, would only say that a sum is a sum.
"""

import json
from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    not_tested,
    within,
    without_gpu,
)
from evalkit.article._figures import CLAIMS
from evalkit.stats.bootstrap import median_interval

MEMORY = "cuda_reserved_peak_mib"


def _alone(runs: pd.DataFrame, part: Mapping[str, Any], source: str) -> pd.DataFrame:
    """The runs of a part of the hybrid alone, in the setting that it has there."""
    setting = {name: value for name, value in part.items() if name != "name"}
    is_same = runs["setting"].map(lambda text: json.loads(text) == setting)
    is_same &= runs["restorer"] == part["name"]
    return runs[is_same & (runs["source"] == source)]


def _on_gpu(setting: str) -> bool:
    return bool(json.loads(setting).get("device", "cpu") != "cpu")


def _judged(claim: str, column: str, unit: str, parts: Sequence[str]) -> Evaluator:
    """The judge of a figure over its sum for the `parts` alone."""
    bounds = CLAIMS[claim].bounds

    def judge(evidence: Evidence) -> Judgement:
        if lacking := without_gpu(evidence):
            return lacking
        runs = evidence.ok_records("cost")
        runs = runs[runs["phase"] == "warm"].dropna(subset=[column, "setting"])
        runs = runs[np.array([_on_gpu(text) for text in runs["setting"]], bool)]
        hybrid = runs[runs["restorer"] == "hybrid"]
        for (condition, source), cell in hybrid.groupby(["condition", "source"]):
            setting = json.loads(cell["setting"].iloc[-1])
            alone = [_alone(runs, setting[part], source) for part in parts]
            if setting["faces"]["name"] == "outputs" or any(a.empty for a in alone):
                continue
            intervals = [_interval(part[column]) for part in (cell, *alone)]
            medians = [part[column].median() for part in (cell, *alone)]
            if not all(medians):  # a meter that read nothing
                continue
            ratio = medians[0] / sum(medians[1:])
            low = intervals[0][0] / sum(high for _, high in intervals[1:])
            high = intervals[0][1] / sum(low for low, _ in intervals[1:])
            held = within(low, high, *bounds)
            named = " and ".join(
                f"{setting[part]['name']} alone {value:.4g} {unit}"
                for part, value in zip(parts, medians[1:], strict=True)
            )
            spread = "" if isnan(low) else f" [{low:.3g}, {high:.3g}]"
            return Judgement(
                held if held is Verdict.REPRODUCED else Verdict.INCONCLUSIVE,
                f"{medians[0]:.4g} {unit}",
                f"On {source} {condition} took {medians[0]:.4g} {unit}, {named} "
                f"(records.jsonl, cost): {ratio:.3g} times as much{spread}, and from "
                f"{bounds[0]:g} to {bounds[1]:g} says the same. There is no hybrid of "
                "the article's to run: this is ours.",
                1,
            )
        return not_tested(
            "This run did not measure a hybrid with GPEN beside its "
            f"{' and '.join(parts)} alone, in the same settings, on one picture, on a "
            "GPU."
        )

    return Evaluator(claim, judge)


def _interval(values: pd.Series) -> tuple[float, float]:
    """The interval of a median; NaN where there is none. Memory is what it is."""
    if values.name == MEMORY:
        return float(values.min()), float(values.max())
    low, high = median_interval(values.to_numpy(float))
    return (nan, nan) if low is None or high is None else (low, high)


ENTRIES = (
    _judged("G22", "wall_time_s", "s", ("faces", "background")),
    _judged("G23", MEMORY, "MiB", ("background",)),
)
