"""What the hybrid costs, beside GPEN and Real-ESRGAN alone on the same picture.

There is no upstream hybrid: the article ran one restorer after the other, and ours is
judged, by ratios: its time to the sum of both alone (the article adds them, 18 and 11
s), its memory to that of Real-ESRGAN alone (G10). *Reproduced* within `SAME` of what is
claimed, else *inconclusive*: ours is another hybrid, and no order is claimed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    not_tested,
    without_gpu,
)
from evalkit.article._figures import CLAIMED, SAME

MEMORY = "cuda_reserved_peak_mib"


def _alone(runs: pd.DataFrame, part: Mapping[str, Any], source: str) -> pd.DataFrame:
    """The runs of a part of the hybrid alone, in the setting that it has there."""
    setting = {name: value for name, value in part.items() if name != "name"}
    is_same = runs["setting"].map(lambda text: json.loads(text) == setting)
    is_same &= runs["restorer"] == part["name"]
    return runs[is_same & (runs["source"] == source)]


def _judged(
    claim: str, column: str, unit: str, parts: Sequence[str], claimed: float
) -> Evaluator:
    """The judge of a figure over its sum for the `parts` alone."""

    def judge(evidence: Evidence) -> Judgement:
        if lacking := without_gpu(evidence):
            return lacking
        runs = evidence.ok_records("cost")
        runs = runs[(runs["phase"] == "warm") & runs[column].notna()]
        hybrid = runs[runs["restorer"] == "hybrid"]
        for (condition, source), cell in hybrid.groupby(["condition", "source"]):
            setting = json.loads(cell["setting"].iloc[-1])
            alone = [_alone(runs, setting[part], source) for part in parts]
            if setting["faces"]["name"] == "outputs" or any(a.empty for a in alone):
                continue
            ours = cell[column].median()
            medians = [part[column].median() for part in alone]
            ratio = ours / sum(medians)
            is_same = 1 / SAME <= ratio / claimed <= SAME
            return Judgement(
                Verdict.REPRODUCED if is_same else Verdict.INCONCLUSIVE,
                f"{ours:.4g} {unit}",
                f"records.jsonl, cost, {source}: {condition} {ours:.4g} {unit}; alone "
                + ", ".join(
                    f"{setting[part]['name']} {value:.4g}"
                    for part, value in zip(parts, medians, strict=True)
                )
                + f". The ratio to their sum is {ratio:.3g}, claimed {claimed:.3g}.",
            )
        return not_tested(
            "records.jsonl has no cost of a hybrid with GPEN beside that of its "
            f"{' and '.join(parts)} alone, in the same settings, on one picture"
        )

    return Evaluator(claim, judge)


ENTRIES = (
    _judged("G22", "wall_time_s", "s", ("faces", "background"), 1.0),
    _judged(
        "G23",
        MEMORY,
        "MiB",
        ("background",),
        float(CLAIMED["G23"]) / float(CLAIMED["G10"]),
    ),
)
