"""Verdicts on advice, from planted answers of simulated subjects."""

import json
import re

import answers
import numpy as np
import pandas as pd
import pytest

from evalkit.article import load_claims
from evalkit.tables import COST, ROUTING

GPEN, X4PLUS = "gpen-512@runner=upstream", "realesrgan-x4plus@runner=upstream"
RULES = [claim.id for claim in load_claims() if claim.kind == "rule"]
KINDS = ["portrait", "group", "product", "text", "surveillance"]


def whole(scores: pd.Series) -> np.ndarray:
    """Each rounded up or down so that the mean stays what it is."""
    return np.diff(np.rint(np.cumsum(scores)), prepend=0)


@pytest.fixture
def rated(run):
    """``rated({condition: mean score})``: 12 subjects, four pictures of each kind."""
    sources = {f"{kind}-{n}": kind for kind in KINDS for n in range(4)}
    note = "an old photo, like one of a passport"
    run.images(
        *({"source": name, "kind": k, "note": note} for name, k in sources.items())
    )

    def write(means, n_subjects=12, spread=0.4):
        rng = np.random.default_rng(0)
        rows = [
            {"subject": f"s{i}", "source": source, "condition": condition}
            | {"score": mean + rng.normal(0, spread), "role": "system"}
            | {"is_training": 0, "tags": json.dumps([])}
            for i in range(n_subjects)
            for source in sources
            for condition, mean in means.items()
        ]
        frame = pd.DataFrame(rows)
        kinds = frame["source"].str.partition("-")[0]
        cells = frame.sample(frac=1, random_state=0).groupby(["condition", kinds])
        marks = cells["score"].transform(whole).clip(1, 5).astype(int)
        run.ratings(answers.scores(frame.assign(score=marks)))
        return run

    return write


def routed(run, route):
    rows = [
        {"source": f"{kind}-{n}", "kind": kind, "route": route}
        for kind in ("portrait", "group")
        for n in range(4)
    ]
    ROUTING.write(ROUTING.frame(rows), run.path / "tables")


@pytest.mark.parametrize("claim", RULES)
def test_without_scores_no_advice_is_tested_whatever_our_router_says(run, claim):
    run.images({"source": "portrait-0", "kind": "portrait"})
    routed(run, "gpen")
    run.metric(99.0)
    verdict, found, evidence = run.judge(claim)
    assert verdict == "not yet tested"
    assert pd.isna(found)
    assert "ratings.sqlite" in evidence


@pytest.mark.parametrize("claim", ["R1", "R5", "R8"])
def test_advice_that_scores_best_is_reproduced(rated, claim):
    means = {GPEN: 4.5, X4PLUS: 3.5, "hybrid": 4.0}
    verdict, found, _ = rated(means, spread=0.1).judge(claim)
    assert verdict == "reproduced"
    gains = [float(gain) for gain in re.findall(r"([+-][.\d]+) \[", found)]
    assert gains == pytest.approx([0.5, 1.0], abs=0.1)


@pytest.mark.parametrize("claim", ["R1", "R2", "R3", "R4", "R5", "R6", "R8", "R9"])
def test_advice_is_contradicted_by_one_that_scores_better(rated, claim):
    advised = {"R4": "hybrid"} | dict.fromkeys(("R1", "R5", "R8"), GPEN)
    means = {GPEN: 4.0, X4PLUS: 4.0, "hybrid": 4.0}
    means[advised.get(claim, X4PLUS)] = 3.0
    verdict, found, _ = rated(means).judge(claim)
    assert verdict == "contradicted"
    gains = [float(gain) for gain in re.findall(r"([+-][.\d]+) \[", found)]
    assert min(gains) == pytest.approx(-1, abs=0.3)


@pytest.mark.parametrize("claim", ["R2", "R4"])
def test_equal_scores_decide_nothing(rated, claim):
    means = dict.fromkeys((GPEN, X4PLUS, "hybrid"), 4.0)
    assert rated(means).judge(claim)[0] == "inconclusive"


def test_scores_of_the_advised_restorer_alone_decide_nothing(rated):
    assert rated({GPEN: 4.5}).judge("R1")[0] == "not yet tested"


def test_one_subject_decides_nothing(rated):
    means = {GPEN: 5.0, X4PLUS: 1.0}
    assert rated(means, n_subjects=1).judge("R1")[0] == "inconclusive"


@pytest.mark.parametrize(
    ("means", "verdict"),
    [
        ({GPEN: 4.0, "hybrid": 4.0}, "reproduced"),
        ({GPEN: 3.0, "hybrid": 4.5}, "contradicted"),
    ],
)
def test_a_folder_of_faces_may_go_to_gpen_if_choosing_by_picture_gains_little(
    rated, means, verdict
):
    run = rated(means)
    routed(run, "hybrid")
    assert run.judge("R7")[0] == verdict


def test_advice_that_one_was_not_held_against_stays_open(rated):
    verdict, _, evidence = rated({GPEN: 3.0, X4PLUS: 4.5}).judge("R9")
    assert verdict == "inconclusive"
    assert "Nobody has scored hybrid beside it." in evidence


def test_the_cost_of_a_thousand_pictures_stands_beside_the_scores(rated):
    run = rated({GPEN: 3.0, X4PLUS: 4.5, "hybrid": 3.0})
    row = {"condition": X4PLUS, "source": "product-0", "machine": "m"}
    COST.write(COST.frame([row | {"wall_time_s": 7.2}]), run.path / "tables")
    verdict, _, evidence = run.judge("R9")
    assert verdict == "reproduced"
    assert "take 2 h" in evidence
