"""What no statistic takes: text for numbers, text for truths, settings out of range."""

import inspect
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from evalkit import stats
from evalkit.errors import SettingError, TableError

SCORES = pd.DataFrame(
    [
        (f"s{subject}", f"p{source}", condition, 1 + (subject + source + add) % 5)
        for subject in range(4)
        for source in range(4)
        for add, condition in enumerate(("a", "b"))
    ],
    columns=["subject", "source", "condition", "score"],
).assign(scale=1.0)  # of `scale_effect`; the others ignore it
CHOICES = pd.DataFrame(
    [
        (f"s{subject}", f"p{source}", *(("a", "b") if wins else ("b", "a")), False)
        for subject in range(4)
        for source in range(4)
        for wins in [(subject + source) % 3 > 0]
    ],
    columns=["subject", "source", "winner", "loser", "tied"],
)


def statistics_of(table: str) -> dict[str, Callable]:
    """Those that a table of that name is enough for, by name."""
    functions = {n: getattr(stats, n) for n in dir(stats)}
    return {
        name: function
        for name, function in functions.items()
        if inspect.isfunction(function)
        and [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty
        ]
        == [table]
    }


OF_SCORES = statistics_of("ratings")
OF_CHOICES = statistics_of("choices")


def test_the_statistics_of_scores_and_choices_are_found():
    assert OF_CHOICES.keys() >= {"bradley_terry", "win_matrix"}
    assert OF_SCORES.keys() >= {
        *("mean_opinion_scores", "compare_conditions", "paired_differences", "p910"),
        *("krippendorff_alpha", "icc", "retest", "screen", "spread_of"),
    }


@pytest.mark.parametrize("score", ["good", "4", True, np.inf, -np.inf, 1 + 1j, [3]])
@pytest.mark.parametrize("statistic", OF_SCORES.values(), ids=OF_SCORES)
def test_a_score_that_is_no_finite_number_is_refused(statistic, score):
    ratings = SCORES.astype({"score": object})
    ratings.at[3, "score"] = score
    with pytest.raises(TableError, match="expected finite numbers in score, found"):
        statistic(ratings)


@pytest.mark.parametrize("statistic", OF_SCORES.values(), ids=OF_SCORES)
def test_scores_of_any_type_of_number_are_taken(statistic):
    for kind in ("Int64", "float32", "uint8", object):
        statistic(SCORES.astype({"score": kind}))


@pytest.mark.parametrize("tied", ["False", "0", "no", "", 0.5, 2, [0]])
@pytest.mark.parametrize("statistic", OF_CHOICES.values(), ids=OF_CHOICES)
def test_tied_as_text_is_no_tie(statistic, tied):
    choices = CHOICES.astype({"tied": object})
    choices.at[3, "tied"] = tied
    with pytest.raises(TableError, match="expected true or false in tied, found"):
        statistic(choices)
    with pytest.raises(TableError, match="expected true or false in tied, found"):
        statistic(CHOICES.assign(tied=CHOICES["tied"].map(str)))


def test_ties_of_any_type_of_truth_are_taken():
    wanted = stats.bradley_terry(CHOICES).strength
    for kind in ("boolean", "Int64", int, float, object):
        found = stats.bradley_terry(CHOICES.astype({"tied": kind})).strength
        pd.testing.assert_series_equal(found, wanted)


def test_a_missed_check_is_a_truth():
    checks = pd.DataFrame({"subject": ["s0", "s1"], "is_missed": ["False", "True"]})
    with pytest.raises(TableError, match="true or false in is_missed, found 'False'"):
        stats.screen(SCORES, checks)
    with pytest.raises(TableError, match="found none named"):
        stats.screen(SCORES, checks[["subject"]])


@pytest.mark.parametrize("confidence", [95, 1, 0, -0.5, np.nan, "0.95", None])
@pytest.mark.parametrize(
    "statistic",
    [
        lambda c: stats.mean_opinion_scores(SCORES, confidence=c),
        lambda c: stats.compare_conditions(SCORES, confidence=c),
        lambda c: stats.p910(SCORES, confidence=c),
        lambda c: stats.icc(SCORES, confidence=c),
        lambda c: stats.bradley_terry(CHOICES, confidence=c),
        lambda c: stats.median_interval([1, 2, 3], confidence=c),
        lambda c: stats.power(1.0, 9, 9, confidence=c),
        lambda c: stats.metric_agreement(QUALITY, METRICS, confidence=c),
    ],
)
def test_a_confidence_out_of_its_range_is_refused(statistic, confidence):
    with pytest.raises(SettingError, match="confidence must be more than 0 and less"):
        statistic(confidence)


QUALITY = SCORES.groupby(["source", "condition"])["score"].mean()
METRICS = pd.DataFrame({"psnr": QUALITY * 2 + 1})


@pytest.mark.parametrize(
    "settings", [{"n_resamples": 0}, {"n_resamples": 1.5}, {"seed": -1}]
)
@pytest.mark.parametrize(
    "statistic",
    [
        lambda **s: stats.mean_opinion_scores(SCORES, **s),
        lambda **s: stats.bradley_terry(CHOICES, **s),
        lambda **s: stats.metric_agreement(QUALITY, METRICS, **s),
    ],
)
def test_no_resamples_and_no_seed_below_0(statistic, settings):
    (name,) = settings
    with pytest.raises(SettingError, match=f"{name} must be a whole number"):
        statistic(**settings)


def covariates(**columns) -> pd.DataFrame:
    cells = [(f"p{source}", c) for source in range(4) for c in ("a", "b")]
    index = pd.MultiIndex.from_tuples(cells, names=["source", "condition"])
    return pd.DataFrame(columns, index=index)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (covariates(x=np.ones(8)), "it is constant"),
        (covariates(x=[1e-9] * 8), "it is constant"),
        (covariates(x=[1, 2] * 4), "by condition alone"),
        (covariates(x=np.arange(8) ** 2, y=3 * np.arange(8) ** 2), "the others"),
        (covariates(x=[*"12345678"]), "finite numbers in x, found '1'"),
        (covariates(x=[np.inf] * 8), "finite numbers in x"),
        (covariates(x=np.arange(8)).iloc[:7], "of every stimulus"),
        (pd.concat([covariates(x=np.arange(8))] * 2), "repeated entries"),
        (covariates(x=np.arange(8)).reset_index(drop=True), "an index of 1 levels"),
    ],
)
def test_covariates_that_tell_nothing_are_refused(given, said):
    with pytest.raises(TableError, match=said):
        stats.bradley_terry(CHOICES, given)


def test_a_metric_may_be_infinite_and_is_no_text():
    metrics = METRICS.copy()
    metrics.iloc[0, 0] = np.inf  # the PSNR of two equal pictures
    assert stats.metric_agreement(QUALITY, metrics)["n_stimuli"].item() == 8
    with pytest.raises(TableError, match="numbers in psnr, found"):
        stats.metric_agreement(QUALITY, METRICS.astype(str))


def test_equal_differences_have_no_effect_size():
    ratings = pd.DataFrame(
        [
            ("s1", f"p{n}", c, score)
            for n in range(3)
            for c, score in (("a", 4), ("b", 2))
        ],
        columns=["subject", "source", "condition", "score"],
    )
    found = stats.compare_conditions(ratings)
    assert found["difference"].item() == 2
    assert np.isnan(found["effect_size"].item())


@pytest.mark.parametrize("chance", [1, 1.5, 0, 0.01, np.nan])
def test_a_chance_that_no_panel_has_is_refused(chance):
    with pytest.raises(SettingError, match="chance must be"):
        stats.smallest_detectable_difference(9, 9, chance=chance)


def test_power_asks_for_a_spread_and_a_comparison():
    with pytest.raises(SettingError, match="residual spread above 0"):
        stats.power(1.0, 9, 9, spread=stats.Spread(residual=0))
    with pytest.raises(SettingError, match="at least 1 comparison"):
        stats.power(1.0, 9, 9, n_comparisons=0)


def test_names_that_are_lists_are_refused():
    ratings = SCORES.astype({"source": object})
    ratings["source"] = [["p"]] * len(ratings)
    with pytest.raises(TableError, match="expected names in source"):
        stats.mean_opinion_scores(ratings)
