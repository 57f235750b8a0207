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


def test_one_source_gives_students_interval_over_subjects():
    score = np.array([3, 4, 4, 5, 2, 4, 3, 5, 4, 3, 4, 4])
    ratings = table(*((i, "p", "x", s) for i, s in enumerate(score)))
    row = mean_opinion_scores(ratings, n_resamples=100_000).loc["x"]
    reach = t.ppf(0.975, 11) * score.std(ddof=1) / 12**0.5
    # the bootstrap keeps the scores' skewness, so only the width is Student's
    assert row["ci_high"] - row["ci_low"] == pytest.approx(2 * reach, rel=0.05)


def test_equal_whole_scores_have_the_interval_of_their_rounding():
    ratings = table(*((i, p, "x", 3) for i in range(4) for p in range(4)))
    row = mean_opinion_scores(ratings).loc["x"]
    reach = (1 / 12 / 16) ** 0.5 * t.ppf(0.975, 3)
    assert row.tolist() == pytest.approx([4, 4, 3, 3 - reach, 3 + reach])
    exact = ratings.assign(score=3.25)  # of a scale without steps
    assert mean_opinion_scores(exact).loc["x"].tolist() == [4, 4, 3.25, 3.25, 3.25]


def test_two_people_who_agree_on_one_picture_settle_nothing():
    ratings = table(*((i, 0, c, 3 + (c == "y")) for i in range(2) for c in "xy"))
    row = compare_conditions(ratings).iloc[0]
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


def test_on_one_source_conditions_compare_as_in_a_paired_t_test(panel):
    ratings = panel(seed=2, n_sources=1).ratings
    found = compare_conditions(ratings)
    wide = ratings.pivot(index="subject", columns="condition", values="score")
    for one, other in itertools.combinations(wide, 2):
        expected = ttest_rel(wide[one], wide[other])
        row = found.loc[(one, other)]
        assert row["p"] == pytest.approx(expected.pvalue)
        low, high = expected.confidence_interval()
        assert row[["ci_low", "ci_high"]].tolist() == pytest.approx([low, high])
        difference = wide[one] - wide[other]
        assert row["effect_size"] == pytest.approx(
            difference.mean() / difference.std(ddof=1)
        )


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
