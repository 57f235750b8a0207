import krippendorff
import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from evalkit.errors import SettingError
from evalkit.stats import icc, krippendorff_alpha, metric_agreement, retest

SHROUT_FLEISS = np.array(
    [
        [9, 2, 5, 8],
        [6, 1, 3, 2],
        [8, 4, 6, 8],
        [7, 1, 2, 6],
        [10, 5, 6, 9],
        [6, 2, 4, 7],
    ]
)
"""Table 2 of Shrout & Fleiss, 1979: six targets, four judges."""


def as_ratings(table: np.ndarray) -> pd.DataFrame:
    rows = [(j, i, "x", value) for (i, j), value in np.ndenumerate(table)]
    return pd.DataFrame(rows, columns=["subject", "source", "condition", "score"])


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval", "ratio"])
@pytest.mark.parametrize("gaps", [0, 0.4])
def test_alpha_agrees_with_krippendorff(panel, level, gaps):
    ratings = panel(seed=1, n_subjects=6).ratings
    ratings = ratings[np.random.default_rng(0).random(len(ratings)) >= gaps]
    wide = ratings.pivot(
        index="subject", columns=["source", "condition"], values="score"
    )
    expected = krippendorff.alpha(wide.to_numpy(), level_of_measurement=level)
    assert krippendorff_alpha(ratings, level) == pytest.approx(expected, abs=1e-9)


def test_of_repeats_alpha_takes_the_first(panel):
    ratings = panel(seed=2, n_subjects=4).ratings
    repeats = ratings.sample(20, random_state=0).assign(score=1)
    both = pd.concat([ratings, repeats])
    assert krippendorff_alpha(both) == krippendorff_alpha(ratings)


def test_alpha_without_variation_is_nan_and_an_unknown_level_is_refused(panel):
    ratings = panel(seed=2).ratings
    assert np.isnan(krippendorff_alpha(ratings.assign(score=3)))
    with pytest.raises(SettingError, match="ordinal"):
        krippendorff_alpha(ratings, "cardinal")


def test_icc_is_that_of_shrout_and_fleiss():
    found = icc(as_ratings(SHROUT_FLEISS))
    assert found["icc"].to_numpy() == pytest.approx([0.29, 0.62], abs=0.005)
    # as R's package psych prints for this table
    assert found.loc["ICC(2,1)", ["low", "high"]].tolist() == pytest.approx(
        [0.019, 0.76], abs=0.005
    )
    assert found.loc["ICC(2,k)", ["low", "high"]].tolist() == pytest.approx(
        [0.07, 0.93], abs=0.005
    )
    assert found["n_subjects"].tolist() == [4, 4]


def test_icc_of_one_subject_is_nan():
    assert icc(as_ratings(SHROUT_FLEISS[:, :1]))["icc"].isna().all()


def test_retest_by_hand():
    rows = [
        *(("anna", p, "x", s) for p, s in [("p", 3), ("q", 4), ("p", 5), ("q", 4)]),
        ("ben", "p", "x", 2),
    ]
    columns = ["subject", "source", "condition", "score"]
    found = retest(pd.DataFrame(rows, columns=columns))
    assert list(found.index) == ["anna"]
    # differences 2 and 0: half the mean square is 1
    assert found.loc["anna"].tolist() == [2, 0.5, 1.0, 1.0]


def test_metric_agreement_is_spearmans_and_finds_the_better_metric(panel):
    quality = panel(seed=3).quality.rename_axis(["source", "condition"])
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(2, len(quality)))
    metrics = pd.DataFrame({"close": quality + 0.3 * noise[0], "far": noise[1]})
    metrics["inverse"] = -metrics["close"]
    found = metric_agreement(quality, metrics, n_resamples=200)
    for name in metrics:
        expected = spearmanr(metrics[name], quality).statistic
        assert found.loc[name, "srcc"] == pytest.approx(expected)
    assert (found["low"] <= found["srcc"]).all()
    assert (found["srcc"] <= found["high"]).all()
    assert found.loc["close", "low"] > found.loc["far", "high"]
    assert found.loc["inverse", "high"] < 0
    assert found.loc["far", "low"] < 0 < found.loc["far", "high"]


def test_a_metric_known_on_two_sources_has_no_interval(panel):
    quality = panel(seed=4).quality.rename_axis(["source", "condition"])
    metrics = quality.to_frame("m").loc[["p000", "p001"]]
    row = metric_agreement(quality, metrics).loc["m"]
    assert row["n_sources"] == 2
    assert np.isnan(row["low"])
    assert row["srcc"] == pytest.approx(1)
