"""Claims of many runs: failures in a row, instances side by side, a memory budget.

Judged on the runner ``upstream``, on a GPU with as much memory as the article's, and on
pictures of its size. A time-out is our limit and no failure of the program's.
"""

import json
from collections import Counter

import numpy as np
import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    all_of,
    decide,
    not_tested,
    on_card,
    on_gpu,
    within,
)
from evalkit.article._figures import CLAIMED, CLAIMS, GPEN, SERIES, X4PLUS
from evalkit.records import in_words
from evalkit.tables import BUDGET, CONCURRENCY, SOURCES, STABILITY, Table

N_RUNS = 50
N_INSTANCES = 3
TIMEOUT = "timeout"
OF_RAM = "sum of peak RSS"
"""Memory of a group where NVML does not tell the GPU's."""
SIZE_PX = [768, 1024]
NAMED_SIZES = ("1024x768 px", "768x1024 px")
CARD_MIB, ASKED_MIB = 24_564, 3072
"""Memory of the article's GPU by NVML, and what its opening question leaves of it."""


def _upstream(
    evidence: Evidence, table: Table, restorer: str
) -> tuple[pd.DataFrame, str]:
    """The rows of a restorer, runner upstream, on the GPU, with the article's size.

    Behind them, in words, what rows there are of another size instead.
    """
    frame = evidence.read(table)
    frame = frame[frame["restorer"] == restorer]
    settings = [json.loads(setting) for setting in frame["setting"]]
    is_meant = [s["runner"] == "upstream" and s["device"] != "cpu" for s in settings]
    frame = frame[np.array(is_meant, bool)]
    columns = ["source", "width_px", "height_px"]
    sizes = pd.concat([evidence.usable[columns], evidence.read(SOURCES)[columns]])
    of = {row[0]: row[1:] for row in sizes.itertuples(index=False, name=None)}
    each = [of.get(source, (0, 0)) for source in frame["source"]]
    is_size = np.array([sorted(size) == SIZE_PX for size in each], bool)
    others = {f"{width}x{height} px" for width, height in each} - {*NAMED_SIZES}
    return frame[is_size], ", ".join(sorted(others))


def _missing(what: str, others: str) -> Judgement:
    beside = f" It has that of other sizes: {others}." if others else ""
    return not_tested(f"This run has no {what} of 1024x768 px.{beside}")


def _series(evidence: Evidence, claim: str) -> tuple[pd.DataFrame, str]:
    restorer, batches = SERIES[claim]
    rows, others = _upstream(evidence, STABILITY, restorer)
    rows = _whole(rows.dropna(subset=["setting", "outcomes"]))
    n_pictures = rows["value"].fillna("1").astype("Int64")
    is_of_it = (rows["experiment"] == "stability") & n_pictures.isin(batches)
    return rows[is_of_it], others


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    """Those without tiles: in them it is another program than the article ran."""
    tiles = [json.loads(setting).get("tile") for setting in rows["setting"]]
    return rows[np.array([tile in (0, None) for tile in tiles], bool)]


def _single(rows: pd.DataFrame) -> pd.DataFrame:
    """Those in single precision, as the article's figures are; else all."""
    precisions = [_precision(setting) for setting in rows["setting"]]
    single = rows[np.array([name == "single" for name in precisions], bool)]
    return rows if single.empty else single


def _precision(setting: str) -> str:
    """``single``, TF32 included, or ``half``."""
    name = json.loads(setting)["precision"]
    return "single" if name in ("fp32", "tf32") else "half"


def _no_failure(claim: str) -> Evaluator:
    """The judge of a claim that none of `N_RUNS` failed, in each of two series."""

    @on_card
    def judge(evidence: Evidence) -> Judgement:
        rows, others = _series(evidence, claim)
        if rows.empty:
            return _missing(
                f"series of {SERIES[claim][0]} upstream with pictures", others
            )
        counts = [json.loads(outcomes) for outcomes in rows["outcomes"]]
        n_late = sum(count.pop(TIMEOUT, 0) for count in counts)
        n_killed = sum(count.pop("killed", 0) for count in counts)
        totals = [sum(count.values()) for count in counts]
        failed = [n - c.get("ok", 0) for n, c in zip(totals, counts, strict=True)]
        from scipy.stats import binomtest  # late: it takes a second

        rates = [
            binomtest(k, n).proportion_ci()
            for k, n in zip(failed, totals, strict=True)
            if n
        ]
        bounds = CLAIMS[claim].bounds
        verdicts = [within(100 * r.low, 100 * r.high, *bounds) for r in rates]
        # G9 has one picture and five, G26 both precisions
        sorts = rows["value"].fillna("1")
        if len(SERIES[claim][1]) == 1:
            sorts = rows["setting"].map(_precision)
        is_whole = sorts.nunique() > 1 and min(totals) >= N_RUNS
        verdict = all_of(verdicts)
        if verdict is Verdict.REPRODUCED and not is_whole:
            verdict = Verdict.INCONCLUSIVE
        series = [in_words(*of) for of in rows[["experiment", "value"]].to_numpy()]
        named = "; ".join(rows["condition"] + ", " + series)
        answer = f"{sum(failed)} of {sum(totals)} runs"
        late = f" {n_late} more ran into our own time limit." if n_late else ""
        late += f" {n_killed} more were killed from outside." if n_killed else ""
        found: Counter[str] = sum(map(Counter, counts), Counter())
        del found["ok"]
        how = "".join(f", {n} by {name}" for name, n in sorted(found.items()))
        intervals = [f"{100 * r.low:.1f} to {100 * r.high:.1f} %" for r in rates]
        return Judgement(
            verdict,
            answer,
            f"{answer} failed{how} (tables/stability.csv: {named}): of a series "
            f"{' and '.join(intervals)} do (95 %).{late} The article has two series of "
            f"{N_RUNS}, and none of {N_RUNS} leaves {bounds[1]} % possible.",
            len(rates),
        )

    return Evaluator(claim, judge)


@on_card
def _first_failure(evidence: Evidence) -> Judgement:
    """Whether memory runs out late, which takes memory that grows with each run."""
    rows, others = _series(evidence, "G14")
    rows = _single(rows)
    if rows.empty:
        return _missing(f"series of {X4PLUS} upstream with batches of five", others)
    row = rows.sort_values("n_runs").iloc[-1]
    text = f"In {row['n_runs']} runs of {row['condition']} (tables/stability.csv) "
    growth = row["gpu_slope_low_mib"]
    room_mib = CARD_MIB - 1024 * float(CLAIMED["G12"])
    if pd.notna(row["failure"]):
        answer = f"run {row['first_failed_run']}: {row['failure']}"
        n_before = 0 if pd.isna(first := row["first_failed_run"]) else first - 1
        is_late = n_before > 1 and row["failure"].startswith("oom")
        # less than half of the room does not fill it: something else did
        is_late &= bool(pd.notna(growth) and growth * n_before >= room_mib / 2)
        verdict = Verdict.REPRODUCED if is_late else Verdict.INCONCLUSIVE
        grew = "not known" if pd.isna(growth) else f"{growth:.3g} MiB a run at least"
        why = (
            f"the first to fail was {answer}. Memory's growth before it: {grew}; to "
            f"fill 24 GB from the {CLAIMED['G12']} GB of claim G12 it takes "
            f"{room_mib / 1024:.1f} GiB in all."
        )
        return Judgement(verdict, answer, text + why, 1)
    needed = room_mib / 36
    slope = row["gpu_slope_high_mib"]
    is_flat = row["n_runs"] >= N_RUNS and pd.notna(slope) and slope < needed
    most = "by an amount not known" if pd.isna(slope) else f"by {slope:.3g} MiB at most"
    return Judgement(
        Verdict.CONTRADICTED if is_flat else Verdict.INCONCLUSIVE,
        "no failure",
        f"{text}none failed, and memory grew {most} with each run. From the "
        f"{CLAIMED['G12']} GB of claim G12 it must grow by {needed:.0f} MiB a run to "
        "fill 24 GB at run 37.",
        1,
    )


@on_card
def _instances(evidence: Evidence) -> Judgement:
    """Whether three fit in 24 GB, by the memory that they took together."""
    rows, others = _upstream(evidence, CONCURRENCY, GPEN)
    rows = rows[rows["n_instances"] >= N_INSTANCES].sort_values("n_instances")
    if rows.empty:
        what = f"{N_INSTANCES} instances of {GPEN} upstream side by side with a picture"
        return _missing(what, others)
    worked = rows["n_ok"] == rows["n_instances"]
    is_gpu = rows["memory_kind"].fillna("") != OF_RAM
    worked &= is_gpu
    fits = rows[worked & (rows["memory_mib"] <= CARD_MIB)]
    row = rows.iloc[0] if fits.empty else fits.iloc[-1]
    total_mib = row["memory_total_mib"]  # null for another machine's records
    had_room = pd.notna(total_mib) and total_mib >= CARD_MIB
    is_whole = row["n_ok"] == row["n_instances"]
    answer = f"{row['n_ok']} of {row['n_instances']} instances"
    took = "memory that is not known"
    if pd.notna(row["memory_mib"]):
        took = f"{row['memory_mib'] / 1024:.1f} GiB together ({row['memory_kind']})"
    return Judgement(
        decide(
            holds=not fits.empty,
            fails=fits.empty
            and had_room
            and row["outcome"] in ("ok", "oom")
            and bool(is_gpu[row.name]),
        ),
        answer,
        f"{answer} worked side by side (tables/concurrency.csv) and took {took}; the "
        f"article's card has {CARD_MIB / 1024:.1f} GiB."
        + ("" if is_whole else f" The others ended by {row['outcome']}."),
    )


@on_gpu
def _best_use(evidence: Evidence) -> Judgement:
    """Whether more instances bring nothing."""
    rows, others = _upstream(evidence, CONCURRENCY, X4PLUS)
    rows = rows[rows["n_instances"] > 1].dropna(subset=["speedup"])
    rows = rows[rows["n_ok"] == rows["n_instances"]]  # one alone is no faster than one
    rows = _single(_whole(rows))
    if rows.empty:
        return _missing(
            f"two instances of {X4PLUS} that worked side by side with a picture", others
        )
    row = rows.sort_values("n_instances").iloc[0]  # the best of many wins by chance
    low, high = (row.get(f"speedup_{end}") for end in ("low", "high"))
    is_unknown = pd.isna(low) or pd.isna(high)
    interval = " (without an interval)" if is_unknown else f" [{low:.3g}, {high:.3g}]"
    answer = f"{row['speedup']:.3g} times{interval} by {row['n_instances']} instances"
    bounds = CLAIMS["G27"].bounds
    return Judgement(
        Verdict.INCONCLUSIVE if is_unknown else within(low, high, *bounds),
        answer,
        f"The throughput of one grew {answer} (tables/concurrency.csv); up to "
        f"{bounds[1]} times a second one is not worth it.",
        1,
    )


@on_gpu
def _who_fails_first(evidence: Evidence) -> Judgement:
    """Answer an open question, and compare with what the article's tables imply."""
    budget = evidence.read(BUDGET)
    budget = budget[(budget["limit"] == "cuda") & (budget["longest_px"] == 1024)]
    needs = budget.groupby("condition")["works_mib"].max()
    least = {name: needs.get(f"{name}@runner=upstream") for name in (GPEN, X4PLUS)}
    unknown = [name for name, mib in least.items() if pd.isna(mib)]
    if unknown and all(f"{name}@runner=upstream" in needs.index for name in unknown):
        why = f"{' and '.join(unknown)} upstream worked in no budget that was tried"
        return Judgement(Verdict.INCONCLUSIVE, why, f"{why} (tables/budget.csv).")
    if unknown:
        return not_tested(
            f"This run did not search the smallest memory in which {GPEN} and {X4PLUS} "
            "upstream restore a picture of 1024x768 px (tables/budget.csv)."
        )
    part = CLAIMS["G25"].parts[0]
    verdicts = [
        within(mib, mib, *part.bounds(), is_effect=part.is_effect)
        for mib in least.values()
    ]
    return Judgement(
        all_of(verdicts),
        f"{max(least, key=lambda name: least[name])} fails first",
        f"The smallest memory that works (tables/budget.csv) is {least[GPEN]} MiB for "
        f"{GPEN} and {least[X4PLUS]} MiB for {X4PLUS}; {ASKED_MIB} MiB are free in the "
        "question. By the article's own tables (G1, G10) both would fail.",
    )


ENTRIES = (
    _no_failure("G9"),
    _no_failure("G26"),
    Evaluator("G14", _first_failure),
    Evaluator("G21", _instances),
    Evaluator("G25", _who_fails_first),
    Evaluator("G27", _best_use),
)
