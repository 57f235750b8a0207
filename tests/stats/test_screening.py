import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sureal.dataset_reader import RawDatasetReader
from sureal.subjective_model import MosModel

from evalkit.stats import screen


@pytest.fixture
def with_three(panel):
    """Fifteen subjects, a random clicker, a straight-liner and a biased one."""
    ratings = panel(seed=3, n_subjects=15, bias_sd=0.2).ratings
    one = ratings[ratings["subject"] == "s000"]
    clicks = np.random.default_rng(0).integers(1, 6, len(one))
    lenient = ratings[ratings["subject"] == "s001"]
    return pd.concat(
        [
            ratings,
            one.assign(subject="clicker", score=clicks),
            one.assign(subject="liner", score=np.where(one["source"] < "p001", 4, 3)),
            lenient.assign(
                subject="lenient", score=(lenient["score"] + 1.5).clip(1, 5)
            ),
        ]
    )


def flagged(found, rule) -> set[str]:
    log = found.log
    return set(log.loc[(log["rule"] == rule) & log["is_flagged"], "subject"])


def test_a_clicker_a_straight_liner_and_a_biased_subject_are_found(with_three):
    found = screen(with_three)
    assert "clicker" in flagged(found, "bt500")
    assert "clicker" in flagged(found, "correlation")
    assert flagged(found, "inconsistency") == {"clicker"}
    assert flagged(found, "variance") == {"liner"}
    assert flagged(found, "bias") == {"lenient"}
    assert set(found.rejected["p910"]) == {"clicker", "liner"}
    reasons = found.log["reason"]
    assert reasons.notna().tolist() == found.log["is_flagged"].tolist()


def rejected_by_the_recommendation(wide):
    """BT.500-14, annex 1, 2.3.1, score by score: the share of each subject far out."""
    far = dict.fromkeys(wide.columns, 0)
    for scores in wide.to_numpy():
        mean, deviation = scores.mean(), scores.std(ddof=1)
        moments = [((scores - mean) ** power).mean() for power in (2, 4)]
        is_normal = 2 <= moments[1] / moments[0] ** 2 <= 4
        limit = deviation * (2 if is_normal else 20**0.5)
        for subject, score in zip(wide.columns, scores, strict=True):
            far[subject] += abs(score - mean) >= limit
    return np.array([far[subject] / len(wide) for subject in wide.columns])


def test_bt500_takes_the_deviation_of_the_recommendation(with_three):
    wide = with_three.pivot(
        index=["source", "condition"], columns="subject", values="score"
    )
    log = screen(with_three).log
    shares = log.loc[log["rule"] == "bt500", "value"].to_numpy()
    assert shares == pytest.approx(rejected_by_the_recommendation(wide))


def test_bt500_rejects_whom_sureal_rejects(with_three):
    wide = with_three.pivot(
        index=["source", "condition"], columns="subject", values="score"
    )
    dataset = SimpleNamespace(
        ref_videos=[{"content_id": 0, "content_name": "", "path": ""}],
        dis_videos=[
            {"content_id": 0, "asset_id": i, "path": str(i), "os": list(scores)}
            for i, scores in enumerate(wide.to_numpy())
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()), np.errstate(invalid="ignore"):
        model = MosModel(RawDatasetReader(dataset))
        expected = model.run_modeling(subject_rejection=True)
    found = screen(with_three)
    # sureal divides by n, so that a few more scores of anyone lie far out
    assert found.rejected["bt500"] == list(wide.columns[expected["observer_rejected"]])


def test_results_stand_both_ways_and_nothing_is_deleted(with_three):
    before = with_three.copy()
    mos = screen(with_three).mos
    pd.testing.assert_frame_equal(with_three, before)
    assert set(mos.index.get_level_values("method")) == {"none", "bt500", "p910"}
    assert (mos.loc["none", "n_subjects"] == 18).all()
    assert (mos.loc["p910", "n_subjects"] == 16).all()


def test_few_subjects_cannot_be_rejected_by_bt500_and_that_is_said(panel):
    five = panel(seed=1, n_subjects=5).ratings
    far = five.assign(score=five["score"].where(five["subject"] != "s000", 1))
    found = screen(far)
    assert found.rejected["bt500"] == []
    assert "cannot reject" in found.note
    assert screen(panel(seed=1).ratings).note == ""


def test_who_misses_two_checks_is_rejected_and_nobody_for_one(panel):
    ratings = panel(seed=1).ratings
    checks = pd.DataFrame(
        [("s000", False), ("s001", True), ("s001", False)] + [("s002", True)] * 2,
        columns=["subject", "is_missed"],
    )
    found = screen(ratings, checks)
    assert flagged(found, "checks") == {"s002"}
    assert "s002" in found.rejected["p910"]
    assert found.log.loc[found.log["rule"] == "checks", "limit"].eq(2).all()
    assert "checks" not in found.note
    for few in (checks.head(2), checks.head(0)):
        assert "no subject met 2 checks or more" in screen(ratings, few).note


def test_who_is_too_fast_is_flagged_with_the_reason_and_stays(panel):
    ratings = panel(seed=1).ratings
    times = pd.DataFrame(
        {
            "subject": ["s000"] * 3 + ["s001"] * 3 + ["s002"],
            "seconds": [0.6, 0.7, 90.0, 0.6, 3.0, 2.0, None],
        }
    )
    found = screen(ratings, times=times)
    assert flagged(found, "time") == {"s000"}
    log = found.log[found.log["rule"] == "time"].set_index("subject")
    assert log.loc["s000", "value"] == 0.7
    assert "less time than looking" in log.loc["s000", "reason"]
    assert log["value"].notna().sum() == 2
    assert found.rejected == screen(ratings).rejected


def test_an_honest_panel_loses_hardly_anybody(panel):
    n_rejected = [
        len(screen(panel(seed=s).ratings).rejected["p910"]) for s in range(20)
    ]
    assert sum(n_rejected) <= 2  # of 240


@pytest.mark.parametrize("qualities", [(3.0,), (2.4, 3.6)])
def test_nobody_is_rejected_for_not_following_one_or_two_conditions(panel, qualities):
    panels = [panel(seed=s, n_subjects=24, conditions=qualities) for s in range(3)]
    for found in (screen(panel.ratings) for panel in panels):
        assert found.rejected["p910"] == []
        assert "24 of 24 subjects scored fewer than 3 conditions" in found.note
    # 4 pictures all but alike: who gives them one score is honest
    few = panel(seed=0, n_sources=4, conditions=qualities[:1], source_sd=0.1)
    assert screen(few.ratings).rejected["p910"] == []


def test_conditions_count_by_subject(with_three):
    is_few = with_three["subject"].isin(["clicker", "s002"])
    shown = with_three[~is_few | (with_three["condition"] < "c2")]
    found = screen(shown)
    assert found.rejected["p910"] == ["liner"]
    assert "2 of 18 subjects scored fewer than 3 conditions" in found.note


def test_groups_never_linked_are_screened_without_the_model(with_three):
    apart = with_three.assign(
        subject="x" + with_three["subject"], source="x" + with_three["source"]
    )
    found = screen(pd.concat([with_three, apart]))
    assert set(found.log["rule"]) == {"bt500", "correlation", "variance"}
    alone = screen(with_three)
    for method, subjects in alone.rejected.items():
        assert set(found.rejected[method]) == {*subjects, *("x" + s for s in subjects)}
    assert "2 groups with none in common" in found.note
