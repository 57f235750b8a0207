"""The article's protocol: how far does a run follow it.

A claim of the protocol says how the article worked. It is *followed* when this run
worked in the same way, as far as its tables and records show; *not followed* when they
show another way, or only a part of it, so that this run and the article are not alike
in this point (which makes no statement of the article false); *not testable here* when
this machine cannot work in that way; and *not yet tested* when the run holds nothing
that bears on it. It is never reproduced or contradicted: nothing measured here can tell
what was done there.
"""

import json

import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    not_tested,
)
from evalkit.article._register import load_article, load_claims
from evalkit.tables import FLOORS, METRICS

PICTURES = {"portrait": 3, "building": 2, "text": 1}
FLAWS = {
    "clipped highlights": "highlights clipped|overexposed",
    "crushed shadows": "backlit|underexposed",
    "JPEG blocks": "jpeg blocks",
}
"""What the notes of our image sets call them."""

SIZES = ("1024x768", "768x1024")
N_SUBJECTS, N_STABILITY_RUNS = 3, 50
NO_PICTURE = "This run has no picture that can be used (tables/images.csv)."


def _followed(is_followed: bool, found: str, evidence: str) -> Judgement:
    verdict = Verdict.FOLLOWED if is_followed else Verdict.NOT_FOLLOWED
    return Judgement(verdict, found, evidence)


def _pictures(evidence: Evidence) -> Judgement:
    images = evidence.usable
    if images.empty:
        return not_tested(NO_PICTURE)
    counts = images["kind"].value_counts()
    notes = images["note"][images["kind"] == "portrait"].fillna("").str.lower()
    missing = [
        f"{kind} {counts.get(kind, 0)} of {n}"
        for kind, n in PICTURES.items()
        if counts.get(kind, 0) < n
    ] + [flaw for flaw, words in FLAWS.items() if not notes.str.contains(words).any()]
    answer = ", ".join(f"{n} {kind}" for kind, n in counts.items())
    n_made = int(images["is_synthetic"].sum())
    n_shared = int(evidence.originals_of(images["source"]).duplicated(keep=False).sum())
    return _followed(
        not missing,
        answer,
        f"The pictures are {answer} (tables/images.csv); of the article's kinds "
        f"and flaws {', '.join(missing) or 'nothing'} is missing. We degraded "
        f"{n_made} of {len(images)} ourselves, where the article took pictures as they "
        f"came; {n_shared} share a face or an original with another.",
    )


def _sizes(rows: pd.DataFrame) -> list[str]:
    sides = rows[["width_px", "height_px"]].dropna().astype(int)
    return [f"{width}x{height}" for width, height in sides.itertuples(index=False)]


def _sources(evidence: Evidence) -> Judgement:
    images = evidence.usable
    if images.empty:
        return not_tested(NO_PICTURE)
    n, sizes = len(images), _sizes(images)
    n_size = sum(size in SIZES for size in sizes)
    n_png = int(images["path"].str.lower().str.endswith(".png").sum())
    other_sizes = ", ".join(sorted({*sizes} - {*SIZES})) or "none"
    answer = f"{n_png} of {n} PNG, {n_size} of {n} at {' or '.join(SIZES)} px"
    text = f"Of {n} pictures {n_png} are PNG and {n_size} are {SIZES[0]} px, either way"
    text += f" up (tables/images.csv); other sizes: {other_sizes}. "
    if n_size < n or n_png < n:
        why = (
            "So what these took in time and memory does not compare with the article's."
        )
        floors = evidence.read(FLOORS)
        if {*SIZES} & {*_sizes(floors[floors["figure"] == "measured"])}:
            why += f" For cost one was enlarged to {SIZES[0]} px (tables/floors.csv)."
        return _followed(False, answer, text + why)
    if evidence.gpus == []:
        why = "This machine has no GPU that could have been idle."
        return Judgement(Verdict.NOT_TESTABLE, answer, text + why)
    why = "Whether the GPU ran nothing else stands in no table."
    return Judgement(Verdict.INCONCLUSIVE, answer, text + why)


def _subjects(evidence: Evidence) -> Judgement:
    scores = evidence.scores
    if scores.empty:
        planned = evidence.study.get("rating", {}).get("subjects")
        plan = f"; the study plans for {planned} subjects" if planned else ""
        return not_tested(
            f"Nobody has rated in this run: ratings.sqlite is empty{plan}."
        )
    n = int(scores["subject"].nunique())
    low, high = scores["score"].min(), scores["score"].max()
    return _followed(
        n >= N_SUBJECTS and low >= 1 and high <= 5,
        f"{n} subjects",
        f"{n} subjects gave {len(scores)} scores from {low:g} to {high:g} "
        f"(ratings.sqlite); the article had {N_SUBJECTS}, on a scale from 1 to 5.",
    )


def _memory_cross_check(evidence: Evidence) -> Judgement:
    gpus = evidence.gpus
    if gpus is None:
        return not_tested("environment.json is missing, so no machine is known.")
    if not gpus:
        return Judgement(
            Verdict.NOT_TESTABLE,
            "no GPU",
            "This machine has no GPU, and both readings are of a GPU's memory.",
        )
    cost = evidence.ok_records("cost")
    if cost.empty:
        return not_tested("No run was timed to its end (records.jsonl, cost).")
    torch = cost["cuda_reserved_peak_mib"]
    nvml = cost["nvml_process_peak_mib"].fillna(cost["nvml_device_delta_mib"])
    has_both = torch.notna() & nvml.notna()
    answer = f"{int(has_both.sum())} of {len(cost)} runs with both"
    if not has_both.all():
        evidence_text = f"Only {answer} readings (records.jsonl, cost)."
        return _followed(False, answer, evidence_text)
    surplus_mib = float((nvml - torch)[has_both].median())
    return _followed(
        True,
        answer,
        f"There are {answer} (records.jsonl, cost); NVML shows {surplus_mib:.0f} MiB "
        "more than torch has reserved (median): the CUDA context and other libraries.",
    )


def _latency_scope(evidence: Evidence) -> Judgement:
    cost = evidence.ok_records("cost").dropna(subset=["wall_time_s"])
    if cost.empty:
        return not_tested("No run was timed to its end (records.jsonl, cost).")
    stages = [json.loads(text) for text in cost["stages_s"].fillna("{}")]
    ends = [{"decode", "encode"} <= times.keys() for times in stages]
    total_s = [sum(times.values()) for times in stages]
    # wall time that holds all of its stages, but for the clock's own resolution
    is_whole = [
        whole and wall >= 0.99 * total
        for whole, wall, total in zip(ends, cost["wall_time_s"], total_s, strict=True)
    ]
    n, named = sum(is_whole), sorted({name for times in stages for name in times})
    answer = f"{n} of {len(cost)} timed runs end to end"
    share = sum(total_s) / float(cost["wall_time_s"].sum())
    return _followed(
        n == len(cost),
        answer,
        f"The clock ran from decoding to encoding in {n} of {len(cost)} timed runs "
        f"(records.jsonl, cost). Stages: {', '.join(named) or 'none'}; they add up to "
        f"{share:.0%} of the wall time.",
    )


def _stability_runs(evidence: Evidence) -> Judgement:
    records = evidence.results
    is_single = (records["experiment"] == "stability") & records["value"].isna()
    stability = records[is_single]
    if stability.empty:
        return not_tested(
            "No condition was run many times in a row: the study leaves out the "
            "experiment stability."
        )
    counts = stability.groupby(["machine", "condition"]).size()
    failed = int((stability["outcome"] != "ok").sum())
    answer = f"{counts.min()} to {counts.max()} runs"
    return _followed(
        bool((counts >= N_STABILITY_RUNS).all()),
        answer,
        f"Each of {len(counts)} conditions had {answer} in a row (records.jsonl, "
        f"stability), and {failed} of {len(stability)} failed; the article had "
        f"{N_STABILITY_RUNS} runs.",
    )


def _environment(evidence: Evidence) -> Judgement:
    """Whether the hardware is the article's; we do not support its Python."""
    machine = evidence.environment.get("machine")
    if not machine:
        return not_tested("environment.json is missing, so no machine is known.")
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "no GPU"
    torch = evidence.environment["versions"]["torch"]
    ours = (
        f"{gpus}; {machine['cpu']}; {machine['memory_gib']:.0f} GiB; {machine['os']}; "
        f"{machine['python']}; torch {torch}"
    )
    is_same = evidence.has_articles("cuda") and evidence.has_articles("cpu")
    theirs = "; ".join(load_article().machine.values())
    return _followed(
        is_same,
        ours,
        f"This run's machine: {ours} (environment.json). The article's: {theirs}. "
        + ("GPU and CPU are the same" if is_same else "The hardware differs")
        + "; its Python 3.10 is older than evalkit supports, so versions never match.",
    )


def _role_of_metrics(evidence: Evidence) -> Judgement:
    """Whether people come first: no metric decides a verdict on their opinion."""
    metrics, scores = evidence.read(METRICS).dropna(subset=["value"]), evidence.scores
    if metrics.empty and scores.empty:
        return not_tested("This run has neither a metric's value nor a score.")
    counts = metrics["metric"].value_counts().sort_index()
    names = ", ".join(f"{n} of {name}" for name, n in counts.items()) or "none"
    n_ratings = sum(claim.kind == "rating" for claim in load_claims())
    text = (
        f"This run has {len(scores)} scores of people (ratings.sqlite) and "
        f"{len(metrics)} values of metrics against a reference ({names}; "
        f"tables/metrics.csv). The {n_ratings} claims about people's opinion are "
        "judged on scores alone"
    )
    if scores.empty:
        return _followed(
            False, "nobody has rated", f"{text}, and stay open until people rate."
        )
    return _followed(True, "secondary", f"{text}.")


ENTRIES = (
    Evaluator("S1", _pictures),
    Evaluator("S2", _sources),
    Evaluator("S3", _subjects),
    Evaluator("S4", _memory_cross_check),
    Evaluator("S5", _latency_scope),
    Evaluator("S6", _stability_runs),
    Evaluator("S7", _environment),
    Evaluator("S8", _role_of_metrics),
)
