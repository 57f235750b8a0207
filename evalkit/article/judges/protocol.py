"""The article's protocol: how far does a run follow it.

A claim of the protocol says how the article worked. It is *reproduced* when this run
worked in the same way, as far as its tables and records show; *inconclusive* when they
show another way, or only a part of it, so that this run and the article are not alike
in this point (which makes no statement of the article false); *not testable here* when
this machine cannot work in that way; and *not yet tested* when the run holds nothing
that bears on it. It is never contradicted: nothing measured here can tell what
was done there.
"""

import json

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    not_tested,
)
from evalkit.article._register import load_article, load_claims
from evalkit.tables import METRICS

PICTURES = {"portrait": 3, "building": 2, "text": 1}
FLAWS = {
    "clipped highlights": "highlights clipped|overexposed",
    "crushed shadows": "backlit|underexposed",
    "JPEG blocks": "jpeg blocks",
}
"""What the notes of our image sets call them."""

SIZES = ("1024x768", "768x1024")
N_SUBJECTS, N_STABILITY_RUNS = 3, 50


def _pictures(evidence: Evidence) -> Judgement:
    images = evidence.usable
    if images.empty:
        return not_tested("tables/images.csv has no usable picture")
    counts = images["kind"].value_counts()
    notes = images["note"][images["kind"] == "portrait"].fillna("").str.lower()
    missing = [
        f"{kind} {counts.get(kind, 0)} of {n}"
        for kind, n in PICTURES.items()
        if counts.get(kind, 0) < n
    ] + [flaw for flaw, words in FLAWS.items() if not notes.str.contains(words).any()]
    answer = ", ".join(f"{n} {kind}" for kind, n in counts.items())
    n_made = int(images["is_synthetic"].sum())
    n_shared = int(notes.str.contains("same face").sum())
    return Judgement(
        Verdict.INCONCLUSIVE if missing else Verdict.REPRODUCED,
        answer,
        f"tables/images.csv has {answer}; missing: {', '.join(missing) or 'nothing'}. "
        f"{n_made} of {len(images)} were degraded by us, where the article took "
        f"pictures as they came; {n_shared} portraits share a face.",
    )


def _sources(evidence: Evidence) -> Judgement:
    images = evidence.usable
    if images.empty:
        return not_tested("tables/images.csv has no usable picture")
    n = len(images)
    widths, heights = images["width_px"], images["height_px"]
    sizes = [f"{w}x{h}" for w, h in zip(widths, heights, strict=True)]
    n_size = sum(size in SIZES for size in sizes)
    n_png = int(images["path"].str.lower().str.endswith(".png").sum())
    other_sizes = ", ".join(sorted({*sizes} - {*SIZES})) or "none"
    answer = f"{n_png} of {n} PNG, {n_size} of {n} at {' or '.join(SIZES)}"
    text = (
        f"tables/images.csv: {answer}; other sizes: {other_sizes}; what was cropped, "
        "resized or recoloured stands in the column note. "
    )
    if n_size < n or n_png < n:
        why = "That is not the article's input, so figures do not compare."
        return Judgement(Verdict.INCONCLUSIVE, answer, text + why)
    if evidence.gpus == []:
        why = "environment.json lists no GPU that could have been idle."
        return Judgement(Verdict.NOT_TESTABLE, answer, text + why)
    why = "No table says whether the GPU was otherwise idle."
    return Judgement(Verdict.INCONCLUSIVE, answer, text + why)


def _subjects(evidence: Evidence) -> Judgement:
    scores = evidence.scores
    if scores.empty:
        planned = evidence.study.get("rating", {}).get("subjects")
        plan = f"; study.yaml plans for {planned} subjects" if planned else ""
        return not_tested(f"ratings.sqlite holds no score{plan}")
    n = int(scores["subject"].nunique())
    low, high = scores["score"].min(), scores["score"].max()
    is_enough = n >= N_SUBJECTS and low >= 1 and high <= 5
    return Judgement(
        Verdict.REPRODUCED if is_enough else Verdict.INCONCLUSIVE,
        f"{n} subjects",
        f"ratings.sqlite holds {len(scores)} scores from {low:g} to {high:g} by {n} "
        f"subjects; the article had {N_SUBJECTS}, on a scale from 1 to 5.",
    )


def _memory_cross_check(evidence: Evidence) -> Judgement:
    gpus = evidence.gpus
    if gpus is None:
        return not_tested("environment.json is not there")
    if not gpus:
        return Judgement(
            Verdict.NOT_TESTABLE,
            "no GPU",
            "environment.json lists no GPU; both sources measure the memory of one.",
        )
    cost = evidence.ok_records("cost")
    if cost.empty:
        return not_tested("records.jsonl has no cost run that ended ok")
    torch = cost["cuda_reserved_peak_mib"]
    nvml = cost["nvml_process_peak_mib"].fillna(cost["nvml_device_delta_mib"])
    has_both = torch.notna() & nvml.notna()
    answer = f"{int(has_both.sum())} of {len(cost)} runs with both"
    if not has_both.all():
        evidence_text = f"records.jsonl, experiment cost: {answer} readings."
        return Judgement(Verdict.INCONCLUSIVE, answer, evidence_text)
    surplus_mib = float((nvml - torch)[has_both].median())
    return Judgement(
        Verdict.REPRODUCED,
        answer,
        f"records.jsonl, experiment cost: {answer}; NVML shows {surplus_mib:.0f} MiB "
        "more than torch has reserved (median): the CUDA context and other libraries.",
    )


def _latency_scope(evidence: Evidence) -> Judgement:
    cost = evidence.ok_records("cost").dropna(subset=["wall_time_s"])
    if cost.empty:
        return not_tested("records.jsonl has no timed cost run that ended ok")
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
    return Judgement(
        Verdict.REPRODUCED if n == len(cost) else Verdict.INCONCLUSIVE,
        answer,
        f"records.jsonl, experiment cost: {answer}, that is, with decode and encode "
        f"inside wall_time_s. Stages: {', '.join(named) or 'none'}; they add up to "
        f"{share:.0%} of the wall time.",
    )


def _stability_runs(evidence: Evidence) -> Judgement:
    records = evidence.results
    is_single = (records["experiment"] == "stability") & records["value"].isna()
    stability = records[is_single]
    if stability.empty:
        return not_tested("records.jsonl has no run of the experiment stability")
    counts = stability.groupby(["machine", "condition"]).size()
    failed = int((stability["outcome"] != "ok").sum())
    is_enough = bool((counts >= N_STABILITY_RUNS).all())
    answer = f"{counts.min()} to {counts.max()} runs"
    return Judgement(
        Verdict.REPRODUCED if is_enough else Verdict.INCONCLUSIVE,
        answer,
        f"records.jsonl, experiment stability: {answer} of each of {len(counts)} "
        f"conditions, {failed} of {len(stability)} failed; the article had "
        f"{N_STABILITY_RUNS}.",
    )


def _environment(evidence: Evidence) -> Judgement:
    """Whether the hardware is the article's; we do not support its Python."""
    machine = evidence.environment.get("machine")
    if not machine:
        return not_tested("environment.json is not there")
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "no GPU"
    torch = evidence.environment["versions"]["torch"]
    ours = (
        f"{gpus}; {machine['cpu']}; {machine['memory_gib']:.0f} GiB; {machine['os']}; "
        f"{machine['python']}; torch {torch}"
    )
    is_same = evidence.has_articles("cuda") and evidence.has_articles("cpu")
    theirs = "; ".join(load_article().machine.values())
    return Judgement(
        Verdict.INCONCLUSIVE if is_same else Verdict.NOT_TESTABLE,
        ours,
        f"environment.json: {ours}. The article: {theirs}. "
        + ("The hardware is the same" if is_same else "The hardware differs")
        + "; its Python 3.10 is older than evalkit supports, so versions never match.",
    )


def _role_of_metrics(evidence: Evidence) -> Judgement:
    """Whether people come first: no metric decides a verdict on their opinion."""
    metrics, scores = evidence.read(METRICS), evidence.scores
    if metrics.empty and scores.empty:
        return not_tested("neither tables/metrics.csv nor ratings.sqlite has a value")
    names = ", ".join(sorted(metrics["metric"].unique())) or "none"
    n_ratings = sum(claim.kind == "rating" for claim in load_claims())
    text = (
        f"Values in tables/metrics.csv: {len(metrics)} ({names}); scores in "
        f"ratings.sqlite: {len(scores)}. The {n_ratings} claims of kind rating are "
        "judged on scores only"
    )
    if scores.empty:
        return Judgement(
            Verdict.INCONCLUSIVE,
            "metrics secondary; nobody has rated",
            f"{text}, so they stay undecided until people rate.",
        )
    return Judgement(Verdict.REPRODUCED, "secondary", f"{text}.")


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
