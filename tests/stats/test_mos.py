import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_rel
from statsmodels.stats.multitest import multipletests

from evalkit.errors import TableError
from evalkit.stats import (
    compare_conditions,
    icc,
    krippendorff_alpha,
    mean_opinion_scores,
    paired_differences,
    retest,
)


def table(*rows):
    return pd.DataFrame(rows, columns=["subject", "source", "condition", "score"])


def test_means_and_counts_with_gaps_repeats_and_cannot_tell():
    scores = mean_opinion_scores(
        table(
            ("anna", "p", "x", 5),
            ("anna", "p", "x", 4),  # a repeat
            ("ben", "q", "x", 3),
            ("ben", "p", "y", 1),
            ("anna", "q", "y", None),
        )
    )
    assert scores.index.name == "condition"
    assert list(scores) == ["n_subjects", "n_sources", "mos", "ci_low", "ci_high"]
    assert scores.loc["x", "mos"] == 4
    assert scores.loc["x", ["n_subjects", "n_sources"]].tolist() == [2, 2]
    assert scores.loc["y", "n_subjects"] == 1
    assert scores.loc["y", ["ci_low", "ci_high"]].isna().all()


def test_one_source_tells_nothing_of_others():
    score = [3, 4, 4, 5, 2, 4, 3, 5, 4, 3, 4, 4]
    ratings = table(*((i, "p", "x", s) for i, s in enumerate(score)))
    row = mean_opinion_scores(ratings).loc["x"]
    assert row["mos"] == pytest.approx(np.mean(score))
    assert row[["ci_low", "ci_high"]].isna().all()


def test_equal_whole_scores_have_the_interval_of_their_rounding():
    ratings = table(*((i, p, "x", 3) for i in range(4) for p in range(4)))
    row = mean_opinion_scores(ratings).loc["x"]
    reach = (1 / 12 / 16) ** 0.5 * t.ppf(0.975, 3)
    assert row.tolist() == pytest.approx([4, 4, 3, 3 - reach, 3 + reach])
    exact = ratings.assign(score=3.25)  # of a scale without steps
    assert mean_opinion_scores(exact).loc["x"].tolist() == [4, 4, 3.25, 3.25, 3.25]


@pytest.mark.parametrize("n_sources", [1, 2])
def test_two_people_who_agree_settle_nothing(n_sources):
    size = itertools.product(range(2), range(n_sources), "xy")
    ratings = table(*((i, p, c, 3 + (c == "y")) for i, p, c in size))
    row = compare_conditions(ratings).iloc[0]
    if n_sources == 1:
        assert row[["ci_low", "ci_high", "p"]].isna().all()
    else:
        assert row["ci_low"] < row["difference"] < row["ci_high"]
        assert row["p"] > 0.1


def test_the_seed_and_not_the_order_of_rows_decides_the_interval(panel):
    ratings = panel(seed=1).ratings
    shuffled = ratings.sample(frac=1, random_state=0)
    scores = mean_opinion_scores(ratings, n_resamples=200)
    again = mean_opinion_scores(shuffled, n_resamples=200)
    pd.testing.assert_frame_equal(scores, again)
    other = mean_opinion_scores(ratings, n_resamples=200, seed=1)
    assert (other["mos"] == scores["mos"]).all()
    assert (other["ci_low"] != scores["ci_low"]).all()


@pytest.mark.parametrize(
    "analyse",
    [mean_opinion_scores, compare_conditions, krippendorff_alpha, icc, retest],
)
def test_a_missing_column_and_a_null_name_are_refused(analyse):
    with pytest.raises(TableError, match="score"):
        analyse(pd.DataFrame({"subject": ["a"], "source": ["p"]}))
    with pytest.raises(TableError, match="subject"):
        analyse(table((None, "p", "x", 3)))


def test_a_mean_of_no_score_is_refused_and_there_is_nothing_to_compare():
    with pytest.raises(TableError, match="at least one"):
        mean_opinion_scores(table())
    assert compare_conditions(table()).empty


def test_on_one_source_the_variance_is_that_of_a_paired_t_test(panel):
    ratings = panel(seed=2, n_sources=1).ratings
    found = compare_conditions(ratings)
    wide = ratings.pivot(index="subject", columns="condition", values="score")
    for (one, other), (_, variance) in paired_differences(ratings).items():
        expected = ttest_rel(wide[one], wide[other])
        difference = wide[one] - wide[other]
        statistic = difference.mean() / variance.total**0.5
        assert statistic == pytest.approx(expected.statistic)
        assert variance.freedom == pytest.approx(expected.df)
        row = found.loc[(one, other)]
        assert row["effect_size"] == pytest.approx(
            difference.mean() / difference.std(ddof=1)
        )
        assert np.isnan(row["p"])  # one picture says nothing of others


def test_holms_correction_is_that_of_statsmodels(panel):
    found = compare_conditions(
        panel(seed=3, conditions=(2.5, 2.6, 2.7, 3, 3.1)).ratings
    )
    expected = multipletests(found["p"], method="holm")[1]
    assert found["p_holm"].to_numpy() == pytest.approx(expected)


def test_false_alarms_among_equal_conditions_stay_below_the_level(panel):
    alarms = [
        (compare_conditions(panel(seed=s, conditions=(3, 3, 3)).ratings)["p_holm"])
        .lt(0.05)
        .any()
        for s in range(100)
    ]
    assert np.mean(alarms) < 0.1  # 0.05 plus 2.3 standard errors


def test_superiority_counts_ties_half():
    ratings = table(
        *((i, "p", "x", s) for i, s in enumerate([5, 4, 3, 3])),
        *((i, "p", "y", s) for i, s in enumerate([4, 4, 3, 5])),
    )
    assert compare_conditions(ratings).loc[("x", "y"), "superiority"] == 0.5
