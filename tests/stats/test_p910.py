import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sureal.dataset_reader import RawDatasetReader
from sureal.subjective_model import SubjectMLEModelProjectionSolver

from evalkit.errors import TableError
from evalkit.stats import p910


def sureal(wide: pd.DataFrame) -> dict:
    """Netflix's solver on a table of stimuli by subjects."""
    dataset = SimpleNamespace(
        ref_videos=[{"content_id": 0, "content_name": "", "path": ""}],
        dis_videos=[
            {"content_id": 0, "asset_id": i, "path": str(i), "os": list(scores)}
            for i, scores in enumerate(wide.to_numpy())
        ],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        model = SubjectMLEModelProjectionSolver(RawDatasetReader(dataset))
        return model.run_modeling()


@pytest.mark.parametrize("gaps", [0, 0.2])
def test_agrees_with_sureal(panel, gaps):
    ratings = panel(seed=3, n_subjects=24).ratings
    ratings = ratings[np.random.default_rng(0).random(len(ratings)) >= gaps]
    expected = sureal(
        ratings.pivot(index=["source", "condition"], columns="subject", values="score")
    )
    found = p910(ratings)
    assert not found.is_residual
    assert found.quality.to_numpy() == pytest.approx(
        expected["quality_scores"], abs=1e-3
    )
    assert found.bias.to_numpy() == pytest.approx(expected["observer_bias"], abs=1e-3)
    assert found.inconsistency.to_numpy() == pytest.approx(
        expected["observer_inconsistency"], abs=1e-3
    )


def test_what_was_planted_is_found(panel):
    planted = panel(seed=4, n_subjects=40, n_sources=40, is_shown=False)
    found = p910(planted.ratings)
    assert np.abs(found.bias - (planted.bias - planted.bias.mean())).max() < 0.2
    assert np.abs(found.inconsistency - planted.inconsistency).max() < 0.15
    assert found.bias.mean() == pytest.approx(0, abs=1e-12)


def test_indices_are_those_of_the_contract(panel):
    found = p910(panel(seed=5, n_subjects=5, n_sources=3).ratings)
    assert found.quality.index.names == ["source", "condition"]
    assert found.bias.index.name == found.inconsistency.index.name == "subject"
    assert found.interval.index.names[0] == "parameter"
    assert list(found.interval) == ["low", "high"]
    low, high = found.interval.loc["quality"].to_numpy().T
    assert ((low < found.quality) & (found.quality < high)).all()
    assert ("bias", "s003", "") in found.interval.index


def test_where_one_subject_takes_the_likelihood_over_it_is_said(panel):
    found = p910(panel(seed=0, n_subjects=3, n_sources=7).ratings)
    assert found.is_residual
    assert found.interval.notna().all(axis=None)


def test_a_single_subject_has_estimates_without_intervals(panel):
    found = p910(panel(seed=6, n_subjects=1).ratings)
    assert found.bias.tolist() == [0]
    assert found.interval.isna().all(axis=None)


def test_groups_without_a_common_stimulus_are_refused(panel):
    ratings = panel(seed=7, n_subjects=4, n_sources=4).ratings
    is_early = ratings["subject"] < "s002"
    apart = ratings[is_early == (ratings["source"] < "p002")]
    with pytest.raises(TableError, match="2 groups"):
        p910(apart)


def test_repeats_count_as_scores(panel):
    ratings = panel(seed=8).ratings
    once, twice = p910(ratings), p910(pd.concat([ratings, ratings]))
    assert twice.quality.to_numpy() == pytest.approx(once.quality.to_numpy(), abs=1e-6)


def test_one_score_of_a_newcomer_leaves_the_qualities_of_a_panel(panel):
    ratings = panel(seed=3, n_subjects=8).ratings
    newcomer = ratings.head(1).assign(subject="new", score=5.0)
    alone, joined = p910(ratings), p910(pd.concat([ratings, newcomer]))
    assert joined.is_residual == alone.is_residual
    assert np.isnan(joined.inconsistency["new"])
    assert joined.inconsistency.drop("new").notna().all()
    apart = (joined.quality - alone.quality).abs()
    assert apart.max() < 0.5
    of_quality = joined.interval.loc["quality"]
    assert of_quality.notna().all(axis=None)
    assert joined.interval.loc["inconsistency", "new"].isna().all(axis=None)
