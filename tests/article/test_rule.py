"""The one rule, through the judges: more of the same, levels, no effect."""

import numpy as np
import pandas as pd
import pytest

from evalkit.article import Evidence, Verdict, evaluators
from evalkit.article._evidence import of_panel, within
from evalkit.article._figures import CLAIMS
from evalkit.rating.answers import Answers
from evalkit.stats import mean_opinion_scores
from evalkit.stats.bootstrap import median_interval
from evalkit.tables import IMAGES, PATHOLOGIES

GPEN, X4PLUS = "gpen-512@runner=upstream", "realesrgan-x4plus@runner=upstream"
DECIDED = {Verdict.REPRODUCED, Verdict.CONTRADICTED}
KINDS = ("portrait", "building", "group")
NOTE = "backlit, as on a passport; a glass facade"


def evidence(path, scores=None, choices=None, pathologies=()):
    """Evidence of a run that is in memory only."""
    rows = [
        {"source": f"{kind}-{n}", "kind": kind, "note": NOTE}
        for kind in KINDS
        for n in range(40)
    ]
    planted = Evidence(path)
    vars(planted)["panel"] = Answers(
        **{n: f for n, f in (("scores", scores), ("choices", choices)) if f is not None}
    )
    planted._tables[IMAGES.name, ""] = IMAGES.frame(rows)
    planted._tables[PATHOLOGIES.name, ""] = PATHOLOGIES.frame(list(pathologies))
    return planted


def panel(rng, n_subjects, n_sources, means):
    """Scores of simulated subjects, whole marks."""
    rows = [
        {"subject": f"s{s}", "source": f"{kind}-{n}", "condition": condition}
        | {"score": int(np.clip(np.rint(rng.normal(mean, 0.9)), 1, 5))}
        for s in range(n_subjects)
        for kind in KINDS[:2]
        for n in range(n_sources)
        for condition, mean in means.items()
    ]
    frame = pd.DataFrame(rows)
    gives = rng.random(len(frame)) < 0.1
    return frame.assign(tags=np.where(gives, '["not-a-real-person"]', "[]"))


def repeated(frame, k):
    """The same data k times, by other subjects."""
    copies = [frame.assign(subject=frame["subject"] + f"-{n}") for n in range(k)]
    return pd.concat(copies, ignore_index=True)


@pytest.mark.parametrize("claim", ["Q1", "Q2", "Q3", "Q12", "Q20", "R1"])
@pytest.mark.parametrize("mean", [2.9, 4.2, 4.7])
def test_the_same_scores_again_never_turn_a_verdict(tmp_path, claim, mean):
    rng = np.random.default_rng(int(mean * 10))
    means = {GPEN: mean, X4PLUS: mean - 0.6, "bicubic": mean + 0.1}
    scores = panel(rng, 4, 4, means)
    verdicts = {
        evaluators()[claim].judge(evidence(tmp_path, repeated(scores, k))).verdict
        for k in (1, 2, 5)
    }
    assert len(verdicts & DECIDED) <= 1


@pytest.mark.parametrize("claim", ["G24", "Q14"])
@pytest.mark.parametrize("share", [0.4, 0.55, 0.7])
def test_the_same_choices_again_never_turn_a_verdict(tmp_path, claim, share):
    pair = ("hybrid", GPEN), ("hybrid", X4PLUS)
    if claim == "Q14":
        halves = (f"realesrgan-x4plus@precision={p}" for p in ("fp32", "fp16"))
        pair = (tuple(f"{name},runner=upstream" for name in halves),)
    rng = np.random.default_rng(0)
    rows = []
    for one, other in pair:
        for s in range(5):
            for n in range(4):
                names = (one, other) if rng.random() < share else (other, one)
                row = {"subject": f"s{s}", "source": f"group-{n}", "tied": False}
                row["repeat"] = 0
                rows.append(row | dict(zip(("winner", "loser"), names, strict=True)))
    verdicts = {
        evaluators()[claim]
        .judge(evidence(tmp_path, choices=repeated(pd.DataFrame(rows), k)))
        .verdict
        for k in (1, 2, 5)
    }
    assert len(verdicts & DECIDED) <= 1


@pytest.mark.parametrize("claim", ["Q16", "Q18", "Q8", "Q13"])
def test_the_same_pictures_again_never_turn_a_verdict(tmp_path, claim):
    rng = np.random.default_rng(1)
    values = rng.normal(0.5, 0.5, 7)

    def rows(k):
        columns = {
            GPEN: (("highlights", "skin"), ("halo", "hair")),
            X4PLUS: (
                *(("blockiness_change", "whole"), ("texture_energy", "skin")),
                ("highlights", "skin"),
            ),
            "source": (("sharpness", "whole"), ("blockiness", "whole")),
        }
        return [
            {"condition": c, "source": f"portrait-{n}", "metric": m, "region": r}
            | {"value": 9.0 if c == "source" else float(values[n % 7])}
            for c, metrics in columns.items()
            for m, r in metrics
            for n in range(7 * k)
        ]

    verdicts = {
        evaluators()[claim].judge(evidence(tmp_path, pathologies=rows(k))).verdict
        for k in (1, 2, 5)
    }
    assert len(verdicts & DECIDED) <= 1


N = 300
LEVEL = 0.025 + 3 * (0.025 * 0.975 / N) ** 0.5
"""What an interval of 95 % may miss on one side, and three errors of the simulation."""


@pytest.mark.parametrize("n_pictures", [6, 20])
def test_a_truth_inside_the_range_of_a_median_is_hardly_ever_contradicted(n_pictures):
    """The truth is the very edge, which is the worst that lies inside."""
    rng = np.random.default_rng(2)
    wrong = 0
    for _ in range(N):
        low, high = median_interval(rng.normal(0.5, 1.0, n_pictures))
        wrong += within(low, high, least=0.5) is Verdict.CONTRADICTED
    assert wrong / N <= LEVEL


@pytest.mark.slow
@pytest.mark.parametrize(("n_subjects", "n_sources"), [(3, 3), (6, 6)])
def test_a_truth_inside_the_range_of_a_mean_is_hardly_ever_contradicted(
    n_subjects, n_sources
):
    """Subjects and pictures differ; the truth is the edge of Q3's range."""
    rng = np.random.default_rng(3)
    least, most = CLAIMS["Q3"].bounds
    cells = pd.MultiIndex.from_product([range(n_subjects), range(n_sources)])
    frame = cells.to_frame(index=False, name=["subject", "source"])
    frame["condition"] = "c"
    wrong = 0
    for _ in range(N):
        subjects, sources = (
            rng.normal(0, 0.3, n_subjects),
            rng.normal(0, 0.3, n_sources),
        )
        values = most + subjects[frame["subject"]] + sources[frame["source"]]
        frame["score"] = values + rng.normal(0, 0.6, len(frame))
        row = mean_opinion_scores(frame, n_resamples=500).iloc[0]
        held = within(row["ci_low"], row["ci_high"], least, most)
        wrong += of_panel(held, row)[0] is Verdict.CONTRADICTED
    assert wrong / N <= LEVEL


NO_EFFECT = {
    **dict.fromkeys(("Q7", "Q9", "Q12", "Q13", "Q19", "G17", "G18", "D1", "D12"), 0),
    **dict.fromkeys(("R1", "R2", "R3", "R4", "R5", "R6", "R8", "R9"), 0),
    "Q20": 50,
    "G24": 50,
    "D2": 1,
    "G8": 1,
    "G28": 1,
    "D13": 1,
    "G25": 3072,
}
"""What an effect claim's quantity is where there is none."""


@pytest.mark.parametrize("claim", NO_EFFECT)
def test_no_effect_is_never_inside_the_range_of_an_effect(claim):
    nothing, entry = NO_EFFECT[claim], CLAIMS[claim]
    for part in entry.parts:
        bounds = part.bounds(entry.number)
        verdict = within(nothing, nothing, *bounds, is_effect=part.is_effect)
        assert verdict is not Verdict.REPRODUCED, part.says
