"""The shipped study of what people must judge: simulated panels decide each claim."""

from itertools import product

import answers
import numpy as np
import pandas as pd
import pytest

from evalkit.article import Evidence, evaluators
from evalkit.article._figures import CLAIMS
from evalkit.article._panel import sources
from evalkit.paths import SHIPPED
from evalkit.study.config import read_study

GPEN, X4PLUS = "gpen-512@runner=upstream", "realesrgan-x4plus@runner=upstream"
MEANS = {
    "Q1": ("backlit", GPEN, 4.7),
    "Q2": ("backlit", X4PLUS, 3.4),
    "Q3": ("glass", GPEN, 2.9),
    "Q4": ("glass", X4PLUS, 4.8),
    "Q5": ("text", GPEN, 2.1),
    "Q6": ("text", X4PLUS, 4.6),
}
BEST = {
    "R1": ("passport", GPEN),
    "R2": ("product", X4PLUS),
    "R3": ("camera", X4PLUS),
    "R4": ("family", "hybrid"),
}
CLAIMED = (*MEANS, *BEST, "G24")
N_SUBJECTS = read_study(SHIPPED / "panel.yaml").rating.subjects


def marks(mean, n):
    """Whole marks of one mean, in an order that a seed shuffles."""
    whole = np.diff(np.rint(np.arange(n + 1) * (mean - 1) / 1)) + 1
    return np.random.default_rng(int(100 * mean)).permutation(whole.clip(1, 5))


def simulated(pictures, means):
    """Scores of simulated subjects: the mean of a kind of picture and a condition."""
    frames = []
    for kind, rows in pictures.groupby("group"):
        for condition in (GPEN, X4PLUS, "hybrid"):
            cells = list(product(range(N_SUBJECTS), rows["source"]))
            frame = pd.DataFrame(cells, columns=["subject", "source"])
            mean = means.get((kind, condition), 3.0)
            frame["score"] = marks(mean, len(frame)).astype(int)
            frames.append(frame.assign(condition=condition))
    scores = pd.concat(frames, ignore_index=True)
    return scores.assign(subject="s" + scores["subject"].astype(str))


def chosen(pictures, share):
    """Choices of simulated subjects between the hybrid and each alone."""
    rows = []
    families = pictures.loc[pictures["group"] == "family", "source"]
    for other, source, subject in product((GPEN, X4PLUS), families, range(N_SUBJECTS)):
        wins = (7 * subject + len(rows)) % 100 < 100 * share
        pair = ("hybrid", other) if wins else (other, "hybrid")
        row = {"subject": f"s{subject}", "source": source, "tied": 0}
        rows.append(row | dict(zip(("winner", "loser"), pair, strict=True)))
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def pictures():
    facts = pd.DataFrame([recipe.facts for recipe in sources()])
    return facts.assign(group=facts["source"].str.partition("-")[0])


@pytest.fixture
def judged(run, pictures):
    """``judged(means, share)``: the verdict on each of `CLAIMED`."""
    run.images(*pictures.drop(columns="group").to_dict("records"))

    def judge(means, share):
        rows = answers.scores(simulated(pictures, means))
        pairs = answers.choices(chosen(pictures, share))
        run.ratings(pd.concat([rows, pairs], ignore_index=True))
        evidence = Evidence(run.path)
        return {claim: evaluators()[claim].judge(evidence) for claim in CLAIMED}

    return judge


def test_a_panel_that_sees_what_the_claims_say_reproduces_each(judged):
    means = {(kind, name): mean for kind, name, mean in MEANS.values()}
    means |= dict.fromkeys(BEST.values(), 4.5)
    verdicts = judged(means, 0.9)
    assert {v.verdict for v in verdicts.values()} == {"reproduced"}, verdicts


def test_a_panel_that_sees_the_contrary_contradicts_each(judged):
    means = {(k, name): 2.0 if mean > 2.8 else 4.0 for k, name, mean in MEANS.values()}
    means |= dict.fromkeys(BEST.values(), 1.5)
    verdicts = judged(means, 0.1)
    assert {v.verdict for v in verdicts.values()} == {"contradicted"}, verdicts


@pytest.mark.parametrize("claim", CLAIMED)
def test_each_kind_has_six_originals_and_says_what_is_synthetic(run, pictures, claim):
    run.images(*pictures.drop(columns="group").to_dict("records"))
    evidence = Evidence(run.path)
    counted = evidence.pictures(CLAIMS[claim])
    assert evidence.originals_of(counted["source"]).nunique() >= 6
    is_synthetic = counted["is_synthetic"].astype(bool)
    assert counted.loc[is_synthetic, "note"].str.contains("by us").all()


def test_where_its_pictures_cannot_be_had_the_claim_cannot_be_decided(run, pictures):
    rows = pictures.drop(columns="group").to_dict("records")
    run.images(*(row | {"error": "cannot be had"} for row in rows))
    evidence = Evidence(run.path)
    for claim in CLAIMED:
        verdict, _, why, _ = evaluators()[claim].judge(evidence)
        assert verdict == "not yet tested"
        assert "cannot be decided with it" in why
