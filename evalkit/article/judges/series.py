"""Claims of many runs: failures in a row, instances side by side, a memory budget.

Judged on the runner ``upstream`` and on a GPU. A failure contradicts a claim of none;
too few runs leave it open.
"""

import json

import numpy as np
import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    decide,
    not_tested,
    on_gpu,
)
from evalkit.article._figures import CLAIMED, GPEN, SAME, SERIES, X4PLUS
from evalkit.records import in_words
from evalkit.tables import BUDGET, CONCURRENCY, STABILITY

N_RUNS = 50
N_INSTANCES = 3
OF_NONE = 0.071
"""The failure rate that 0 of 50 leave possible: the upper end of Wilson's interval."""

WORTH = 1.1
"""So many times the throughput are worth a second instance."""

CARD_MIB, ASKED_MIB = 24_564, 3072
"""Memory of the article's GPU by NVML, and what its opening question leaves of it."""


def _upstream(frame: pd.DataFrame, restorer: str) -> pd.DataFrame:
    """The rows of a restorer's conditions with the runner upstream, not on the CPU."""
    frame = frame[frame["restorer"] == restorer]
    settings = [json.loads(setting) for setting in frame["setting"]]
    is_meant = [s["runner"] == "upstream" and s["device"] != "cpu" for s in settings]
    return frame[np.array(is_meant, bool)]


def _series(evidence: Evidence, claim: str) -> pd.DataFrame:
    restorer, batches = SERIES[claim]
    rows = _upstream(evidence.read(STABILITY), restorer)
    n_pictures = rows["value"].fillna("1").astype("Int64")
    return rows[(rows["experiment"] == "stability") & n_pictures.isin(batches)]


def _no_failure(claim: str) -> Evaluator:
    """The judge of a claim that none of `N_RUNS` failed, in each of two series."""

    @on_gpu
    def judge(evidence: Evidence) -> Judgement:
        rows = _series(evidence, claim)
        if rows.empty:
            return not_tested(
                f"tables/stability.csv has no {SERIES[claim][0]} upstream"
            )
        n, n_failed = rows["n_runs"], rows["n_runs"] * rows["failure_rate"]
        series = [in_words(*of) for of in rows[["experiment", "value"]].to_numpy()]
        is_whole = len(rows) > 1 and n.min() >= N_RUNS
        answer = f"{n_failed.sum():.0f} of {n.sum()}"
        return Judgement(
            decide(
                holds=is_whole and not n_failed.any(),
                fails=(rows["failure_low"] > OF_NONE).any(),
            ),
            answer,
            f"tables/stability.csv: {answer} runs failed "
            f"({'; '.join(rows['condition'] + ', ' + series)}), so at most "
            f"{rows['failure_high'].max():.1%} of a series (95 % confidence). The "
            f"article has two series of {N_RUNS}.",
        )

    return Evaluator(claim, judge)


@on_gpu
def _first_failure(evidence: Evidence) -> Judgement:
    """Whether memory runs out late, which takes memory that grows with each run."""
    rows = _series(evidence, "G14").sort_values("n_runs")
    if rows.empty:
        return not_tested(f"tables/stability.csv has no batches of {X4PLUS} upstream")
    row = rows.iloc[-1]
    text = f"tables/stability.csv, {row['n_runs']} runs of {row['condition']}: "
    if pd.notna(row["failure"]):
        answer = f"run {row['first_failed_run']}: {row['failure']}"
        is_late = row["first_failed_run"] > 2 and row["failure"].startswith("oom")
        growth = row["gpu_slope_low_mib"]
        is_late &= bool(pd.notna(growth) and growth > 0)
        verdict = Verdict.REPRODUCED if is_late else Verdict.INCONCLUSIVE
        text += f"the first to fail was {answer}; before it, memory grew by at least "
        return Judgement(verdict, answer, f"{text}{growth} MiB a run.")
    needed = (CARD_MIB - 1024 * float(CLAIMED["G12"])) / 36
    slope = row["gpu_slope_high_mib"]
    is_flat = row["n_runs"] >= N_RUNS and pd.notna(slope) and slope < needed
    return Judgement(
        Verdict.CONTRADICTED if is_flat else Verdict.INCONCLUSIVE,
        "no failure",
        f"{text}none failed, and memory grew by at most {slope} MiB a run. From the "
        f"{CLAIMED['G12']} GB of G12, growth by {needed:.0f} fills 24 GB at run 37.",
    )


@on_gpu
def _instances(evidence: Evidence) -> Judgement:
    """Whether three fit in 24 GB, by the memory that they took together."""
    rows = _upstream(evidence.read(CONCURRENCY), GPEN)
    rows = rows[rows["n_instances"] >= N_INSTANCES].sort_values("n_instances")
    if rows.empty:
        return not_tested(f"tables/concurrency.csv has no {N_INSTANCES} of {GPEN}")
    worked = rows["n_ok"] == rows["n_instances"]
    fits = rows[worked & (rows["memory_mib"] <= CARD_MIB)]
    row = rows.iloc[0] if fits.empty else fits.iloc[-1]
    total_mib = row["memory_total_mib"]  # null for another machine's records
    had_room = pd.notna(total_mib) and total_mib >= CARD_MIB
    answer = f"{row['n_ok']} of {row['n_instances']}"
    return Judgement(
        decide(holds=not fits.empty, fails=fits.empty and had_room),
        answer,
        f"tables/concurrency.csv: {answer} instances worked, {row['memory_mib']} MiB "
        f"of {CARD_MIB} on the article's card ({row['memory_kind']}).",
    )


@on_gpu
def _best_use(evidence: Evidence) -> Judgement:
    """Whether more instances bring nothing."""
    rows = _upstream(evidence.read(CONCURRENCY), X4PLUS)
    rows = rows[rows["n_instances"] > 1].dropna(subset=["speedup"])
    if rows.empty:
        return not_tested(f"tables/concurrency.csv has no two instances of {X4PLUS}")
    row = rows.loc[rows["speedup"].idxmax()]
    answer = f"{row['speedup']:.3g} times by {row['n_instances']} instances"
    return Judgement(
        decide(holds=row["speedup"] < WORTH, fails=row["speedup"] >= SAME),
        answer,
        f"tables/concurrency.csv: the throughput of one grew {answer} at most; under "
        f"{WORTH} times a second one is not worth it.",
    )


@on_gpu
def _who_fails_first(evidence: Evidence) -> Judgement:
    """Answer an open question, and compare with what the article's tables imply."""
    budget = evidence.read(BUDGET)
    budget = budget[(budget["limit"] == "cuda") & (budget["longest_px"] == 1024)]
    needs = budget.groupby("condition")["works_mib"].max()
    least = {name: needs.get(f"{name}@runner=upstream") for name in (GPEN, X4PLUS)}
    if any(pd.isna(value) for value in least.values()):
        return not_tested(
            f"tables/budget.csv lacks {GPEN} or {X4PLUS} upstream, 1024x768"
        )
    both_fail = min(least.values()) > ASKED_MIB
    return Judgement(
        Verdict.REPRODUCED if both_fail else Verdict.CONTRADICTED,
        f"{max(least, key=lambda name: least[name])} fails first",
        f"tables/budget.csv, smallest budget that works: {GPEN} {least[GPEN]} MiB, "
        f"{X4PLUS} {least[X4PLUS]} MiB; {ASKED_MIB} are left. By the article's tables "
        "(G1, G10) both would fail.",
    )


ENTRIES = (
    _no_failure("G9"),
    _no_failure("G26"),
    Evaluator("G14", _first_failure),
    Evaluator("G21", _instances),
    Evaluator("G25", _who_fails_first),
    Evaluator("G27", _best_use),
)
