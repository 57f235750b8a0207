"""Mean opinion scores, and what sets two conditions apart."""

from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import t

from evalkit.stats._codes import Numbers, coded, known_scores, numbers, sums
from evalkit.stats._two_way import TwoWay, Variance, two_way_interval
from evalkit.stats.bootstrap import tails

COMPARED = ["n_subjects", "n_sources", "difference", "ci_low", "ci_high"]
COMPARED += ["p", "p_holm", "effect_size", "superiority"]

DIFFERENCE = ["difference", "ci_low", "ci_high"]

ROUNDED = 1 / 12
"""The variance that rounding gives a score: that of a uniform distribution of width 1
(Sheppard, 1898). Where scores are whole numbers no less is believed of one."""

__all__ = [
    "compare_conditions",
    "compare_with",
    "holm",
    "mean_opinion_scores",
    "paired_differences",
]


def mean_opinion_scores(
    ratings: pd.DataFrame,
    *,
    confidence: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """The mean score of each condition, with an interval over subjects and sources.

    Parameters
    ----------
    ratings
        Columns ``subject, source, condition, score``; others are ignored. Repeats are
        separate rows, gaps are allowed, a null score ("can't tell") is left out.
    confidence
        Coverage of the interval, for other subjects and other sources. How often it
        truly holds at a size of a panel, `evalkit.stats.simulated_coverage` says.

    Returns
    -------
    DataFrame
        Index ``condition``; columns ``n_subjects, n_sources, mos, ci_low, ci_high``.
        The interval is NaN below two subjects or two sources.

    Raises
    ------
    TableError
        A missing column, a score that is no finite number, or no score.
    SettingError
        A confidence that is not between 0 and 1, no resample, a seed below 0.

    References
    ----------
    ITU-T P.910, 2023, for the mean; Owen, The Pigeonhole Bootstrap, 2007, for
    resampling subjects and sources.

    """
    c = coded(ratings)
    n_conditions = len(c.conditions)
    n = sums(c.condition, n_conditions)
    mos = sums(c.condition, n_conditions, c.score) / n
    influence = (c.score - mos[c.condition]) / n[c.condition]
    by_subject, by_source = (
        sums(code * n_conditions + c.condition, size * n_conditions, influence).reshape(
            size, n_conditions
        )
        for code, size in ((c.subject, len(c.subjects)), (c.source, len(c.sources)))
    )
    order = np.argsort(c.condition, kind="stable")
    rows = np.split(order, np.cumsum(n.astype(int))[:-1])
    variances = [
        TwoWay(c.subject[places], c.source[places]).variance(
            influence[places], _rounding(c.score[places]) / len(places)
        )
        for places in rows
    ]
    below, above = two_way_interval(
        by_subject,
        by_source,
        variances,
        confidence=confidence,
        n_resamples=n_resamples,
        seed=seed,
    )
    has_interval = [_says_of_others(variance) for variance in variances]
    columns = {
        "n_subjects": [variance.n_subjects for variance in variances],
        "n_sources": [variance.n_sources for variance in variances],
        "mos": mos,
        "ci_low": np.where(has_interval, mos + below, np.nan),
        "ci_high": np.where(has_interval, mos + above, np.nan),
    }
    return pd.DataFrame(columns, index=c.conditions)


def _says_of_others(variance: Variance) -> bool:
    """Whether there are two subjects and two sources, the least to speak of others."""
    return bool(min(variance.n_subjects, variance.n_sources) > 1)


def _rounding(scores: Numbers) -> float:
    """The least variance of a score: that of rounding, where scores are rounded."""
    return ROUNDED if (scores == np.rint(scores)).all() else 0.0


def paired_differences(
    ratings: pd.DataFrame,
) -> dict[tuple[str, str], tuple[pd.Series, Variance]]:
    """How far each two conditions are apart, where the same subject scored both.

    Returns
    -------
    dict
        For every pair of conditions, by their names: the differences of scores (index
        ``subject, source``; repeats averaged) and the variance of their mean.
        A pair that nobody scored on the same source is left out.

    """
    scores = known_scores(ratings)
    cells = scores.pivot_table(
        index=["subject", "source"], columns="condition", values="score"
    )
    differences = {}
    for first, second in combinations(cells.columns, 2):
        difference = (cells[first] - cells[second]).dropna()
        if len(difference):
            subject, source = (
                pd.factorize(difference.index.get_level_values(name))[0]
                for name in difference.index.names
            )
            influence = ((difference - difference.mean()) / len(difference)).to_numpy()
            least = 2 * _rounding(scores["score"].to_numpy()) / len(difference)
            variance = TwoWay(subject, source).variance(influence, least)
            differences[first, second] = (difference, variance)
    return differences


def compare_conditions(
    ratings: pd.DataFrame, *, confidence: float = 0.95
) -> pd.DataFrame:
    """Every two conditions: the difference of their mean scores, tested and corrected.

    Only scores that one subject gave both conditions on one source are compared, so
    neither a lenient subject nor a hard source counts for one of them. That few people
    agree to the whole number is no certainty: no interval is narrower than rounding.

    Parameters
    ----------
    ratings
        As in `mean_opinion_scores`.
    confidence
        Coverage of each interval by itself; only `p_holm` is corrected. As in
        `mean_opinion_scores`.

    Returns
    -------
    DataFrame
        Index ``condition, other``; columns ``n_subjects, n_sources, difference,
        ci_low, ci_high, p, p_holm, effect_size`` (the difference in standard
        deviations of paired differences, Cohen's d_z) and ``superiority`` (how often
        the first scored higher, ties half). Interval and p are NaN below two subjects
        or two sources, and the effect size where all differences are equal.

    References
    ----------
    Holm, 1979; Cohen, Statistical Power Analysis, 1988; Vargha & Delaney, 2000.

    """
    _, high = tails(confidence)
    rows = {}
    for pair, (difference, variance) in paired_differences(ratings).items():
        mean = float(difference.mean())
        error = variance.total**0.5 if _says_of_others(variance) else np.nan
        reach = error * t.ppf(high, variance.freedom)
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * t.sf(np.divide(abs(mean), error), variance.freedom)
        deviation = difference.std()
        rows[pair] = {
            "n_subjects": variance.n_subjects,
            "n_sources": variance.n_sources,
            "difference": mean,
            "ci_low": mean - reach,
            "ci_high": mean + reach,
            "p": 1.0 if mean == error == 0 else p,
            "effect_size": mean / deviation if deviation > 0 else np.nan,
            "superiority": float(((np.sign(difference) + 1) / 2).mean()),
        }
    names = pd.MultiIndex.from_tuples(rows, names=["condition", "other"])
    frame = pd.DataFrame(list(rows.values()), names, COMPARED)
    return frame.assign(p_holm=holm(frame["p"]))


def compare_with(
    ratings: pd.DataFrame, condition: str, *, confidence: float = 0.95
) -> pd.DataFrame:
    """One condition's mean score less each other's, on what both were scored for.

    Returns
    -------
    DataFrame
        As `compare_conditions`, from `condition` to each; index ``other``.

    """
    pairs = compare_conditions(ratings, confidence=confidence)
    turned = pairs.swaplevel()
    turned[DIFFERENCE] = -pairs[["difference", "ci_high", "ci_low"]].to_numpy()
    table = pd.concat([pairs, turned])
    return table[table.index.get_level_values(0) == condition].droplevel(0)


def holm(p: pd.Series) -> pd.Series:
    """Probabilities corrected for their number by Holm's step-down; NaN stays NaN."""
    ordered = numbers(p.dropna()).sort_values()
    factors = np.arange(len(ordered), 0, -1)
    return (ordered * factors).cummax().clip(upper=1).reindex(p.index)
