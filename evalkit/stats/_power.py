"""What a panel can detect: power, and the smallest difference it is likely to find."""

from dataclasses import dataclass, fields
from functools import cache, lru_cache, partial
from numbers import Real

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit, ndtr
from scipy.stats import chi2, qmc, t

from evalkit.errors import SettingError
from evalkit.stats._mos import paired_differences
from evalkit.stats._two_way import Variance
from evalkit.stats.bootstrap import tails

__all__ = [
    "Spread",
    "power",
    "smallest_detectable_difference",
    "smallest_detectable_share",
    "spread_of",
]

N_PANELS = 8192
"""Panels over which the power is averaged; a power of 2, as Sobol's sequence wants."""

TASTE = 0.5
"""How far subjects, and sources, prefer one of two conditions, as a standard deviation
of log odds: assumed of those who have not chosen yet."""

MOST_SHARE = 0.9
"""Above it a small panel's choices are all for one condition, or nearly, and the normal
distribution is no help."""

LEAST = 3
"""Subjects, and sources, from which a difference can be planned for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How the difference of two conditions varies, as standard deviations.

    The values here are assumptions for a panel that has not rated yet: one score has a
    standard deviation of about 0.7 on the scale from 1 to 5, so a difference of two has
    1.0; subjects and sources each prefer one of two conditions by about 0.4.

    Attributes
    ----------
    subject
        The spread of one subject's preference, over all sources, about the panel's.
    source
        That of one source's difference, over all subjects, about all sources'.
    residual
        That of a single pair of scores.

    Raises
    ------
    SettingError
        One of them is negative or no finite number.

    """

    subject: float = 0.4
    source: float = 0.4
    residual: float = 1.0

    def __post_init__(self) -> None:
        for part in fields(self):
            value = getattr(self, part.name)
            if not isinstance(value, Real) or not 0 <= float(value) < np.inf:
                raise SettingError(
                    f"expected a finite spread of 0 or more, got {part.name}="
                    f"{value!r}; `spread_of` finds that of scores"
                )


def spread_of(ratings: pd.DataFrame) -> Spread:
    """The spread that scores show, averaged over all pairs of conditions.

    Raises
    ------
    SettingError
        No pair of conditions was scored by two subjects on two sources.

    """
    squares = []
    for _, variance in paired_differences(ratings).values():
        if variance.n_free > 0:
            n_cells = variance.n_free + variance.n_subjects + variance.n_sources - 1
            subject = variance.n_subjects * (variance.subject - variance.residual)
            source = variance.n_sources * (variance.source - variance.residual)
            squares.append((subject, source, n_cells * variance.residual))
    if not squares:
        raise SettingError(
            "expected two conditions scored by two subjects on two sources, found none"
        )
    subject, source, residual = np.sqrt(
        np.maximum(np.mean(np.array(squares, float), axis=0), 0)
    )
    return Spread(subject=subject, source=source, residual=residual)


def power(
    difference: float,
    n_subjects: int,
    n_sources: int,
    *,
    spread: Spread | None = None,
    n_comparisons: int = 1,
    confidence: float = 0.95,
) -> float:
    """Probability that a panel finds a true difference of two mean scores.

    Every subject scores both conditions on every source.

    Parameters
    ----------
    difference
        On the scale of the scores.
    n_subjects, n_sources
        At least 2 and 1. With one source the statement is about that source.
    spread
        None for the assumptions of `Spread`.
    n_comparisons
        Tests among which this one must stand (Bonferroni; Holm's finds no less).
    confidence
        1 minus the level of all tests together.

    Raises
    ------
    SettingError
        Fewer subjects or sources, or another setting that is out of its range.

    References
    ----------
    Westfall, Kenny & Judd, Statistical Power and Optimal Design in Experiments in Which
    Samples of Participants Respond to Samples of Stimuli, 2014.

    """
    low, _ = tails(confidence)
    is_number = isinstance(difference, Real) and np.isfinite(difference)
    if n_comparisons < 1 or not is_number:
        raise SettingError(
            "expected a finite difference and at least 1 comparison, got "
            f"{difference!r} and {n_comparisons!r}"
        )
    spread = spread or Spread()
    reach = _reaches(spread, n_subjects, n_sources, low / n_comparisons)
    deviation = _deviation(spread, n_subjects, n_sources)
    beyond = ndtr((difference - reach) / deviation)
    below = ndtr((-reach - difference) / deviation)
    return float(np.mean(beyond + below))


def smallest_detectable_difference(
    n_subjects: int,
    n_sources: int,
    *,
    chance: float = 0.8,
    spread: Spread | None = None,
    n_comparisons: int = 1,
    confidence: float = 0.95,
) -> float:
    """The difference of two mean scores that a panel finds with probability `chance`.

    Parameters
    ----------
    n_subjects, n_sources, spread, n_comparisons, confidence
        As in `power`.
    chance
        The power wanted.

    Returns
    -------
    float
        On the scale of the scores; above 4, a panel finds nothing on a scale of 1 to 5.
        NaN below 3 subjects or 3 sources, which say too little of others. Of three
        subjects with strong tastes the test itself finds a little less with more than
        about 17 sources, 2 % with 48: then that of the best number of sources.

    Raises
    ------
    SettingError
        A chance of 1 or more, or no greater than that of finding a difference where
        there is none, or another setting that is out of its range.

    """
    if not isinstance(chance, Real) or not 1 - confidence < chance < 1:
        raise SettingError(
            f"chance must be more than {1 - confidence:g}, which is found where there "
            f"is no difference, and less than 1; found {chance!r}"
        )
    if min(n_subjects, n_sources) < LEAST:
        return float("nan")

    def found_on(n_sources: int) -> float:
        power_of = partial(
            power,
            n_subjects=n_subjects,
            n_sources=n_sources,
            spread=spread,
            n_comparisons=n_comparisons,
            confidence=confidence,
        )
        if (of_none := power_of(0.0)) >= chance:
            raise SettingError(
                f"chance must be more than {of_none:.3g}, in which the test of "
                f"{n_subjects} subjects and {n_sources} sources finds a difference "
                f"where there is none; found {chance!r}: ask for more, 0.8 say"
            )
        largest = 1.0
        while power_of(largest) < chance:
            largest *= 2
        return float(brentq(lambda x: power_of(x) - chance, 0, largest))

    found = found_on(n_sources)
    while n_sources > LEAST and (on_fewer := found_on(n_sources - 1)) < found:
        found, n_sources = on_fewer, n_sources - 1
    return found


def smallest_detectable_share(
    n_subjects: int,
    n_sources: int,
    *,
    chance: float = 0.8,
    taste: float = TASTE,
    n_comparisons: int = 1,
    confidence: float = 0.95,
) -> float:
    """The share of choices between two conditions that a panel tells from a half.

    Every subject chooses once on every source; an interval of `bradley_terry` tells.

    Parameters
    ----------
    n_subjects, n_sources, chance, n_comparisons, confidence
        As in `smallest_detectable_difference`.
    taste
        How far subjects, and sources, differ in what they prefer, as a standard
        deviation of log odds.

    Returns
    -------
    float
        From 0.5 to 0.9; NaN where no share up to that is found so often, and below 3
        subjects or 3 sources.

    Notes
    -----
    The log odds of the share are planned as a difference of scores is, with the
    deviation that a single choice has in them, 1 / sqrt(p (1 - p)): to first order,
    which ``benchmarks/power.py`` holds against simulated panels.

    Raises
    ------
    SettingError
        A setting that is out of its range.

    """
    if min(n_subjects, n_sources) < LEAST:
        return float("nan")

    def lacks(log_odds: float) -> float:
        spread = Spread(subject=taste, source=taste, residual=2 * np.cosh(log_odds / 2))
        return chance - power(
            log_odds,
            n_subjects,
            n_sources,
            spread=spread,
            n_comparisons=n_comparisons,
            confidence=confidence,
        )

    most = float(logit(MOST_SHARE))
    if lacks(most) > 0:
        return float("nan")
    return float(expit(brentq(lacks, 0, most)))


def _deviation(spread: Spread, n_subjects: int, n_sources: int) -> float:
    """The standard deviation of the mean difference; of one source, about its own."""
    variance = spread.subject**2 / n_subjects
    variance += spread.residual**2 / (n_subjects * n_sources)
    if n_sources > 1:
        variance += spread.source**2 / n_sources
    return float(variance**0.5)


@lru_cache
def _reaches(
    spread: Spread, n_subjects: int, n_sources: int, tail: float
) -> NDArray[np.float64]:
    """The difference from which each of `N_PANELS` panels finds one."""
    variances = _variances(spread, n_subjects, n_sources)
    return np.asarray(t.isf(tail, variances.freedom) * variances.total**0.5)


def _variances(spread: Spread, n_subjects: int, n_sources: int) -> Variance:
    """What `N_PANELS` panels would find the variance of the mean difference to be.

    Mean squares vary as chi-square does, each about what `spread` says, and with them
    which parts a panel's test takes to stand out. The mean difference is independent of
    them, as everything is taken to be normal.
    """
    if n_subjects < 2 or n_sources < 1:
        raise SettingError(
            f"expected at least 2 subjects and 1 source, got {n_subjects} and "
            f"{n_sources}"
        )
    if not spread.residual > 0:
        raise SettingError(
            f"expected a residual spread above 0, got {spread.residual!r}: scores "
            "without any would need no statistics"
        )
    n_free = (n_subjects - 1) * (n_sources - 1)
    residual = spread.residual**2 / (n_subjects * n_sources)
    expected = (
        (spread.subject**2 / n_subjects + residual, n_subjects - 1),
        (spread.source**2 / n_sources + residual, n_sources - 1),
        (residual, n_free),
    )
    subject, source, rest = (
        value * _of_one(part, free) for part, (value, free) in enumerate(expected)
    )
    return Variance(subject, source, rest, n_subjects, n_sources, n_free)


@lru_cache
def _of_one(part: int, n_free: int) -> NDArray[np.float64]:
    """The mean squares of a part, each about 1; 0 without a degree of freedom."""
    if not n_free:
        return np.zeros(N_PANELS)
    return np.asarray(chi2.ppf(_points()[part], n_free) / n_free)


@cache
def _points() -> NDArray[np.float64]:
    """Probabilities for three mean squares, shape ``(3, N_PANELS)``.

    Sobol's sequence is the same for every size of a panel: a larger one is never worse
    by chance.
    """
    points = qmc.Sobol(3, scramble=False).random(N_PANELS) + 0.5 / N_PANELS
    return np.asarray(points.T)
