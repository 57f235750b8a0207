"""Statistics of subjects crossed with sources: their variance and their interval.

A statistic of a panel varies with the subjects who happened to rate and with the
sources that happened to be rated. Both are resampled, each as a whole: what is kept is
the sum of the influences of each subject's (each source's) rows, so that a resample is
one draw from a multinomial and one matrix product, whatever the number of scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import f, norm, t

from evalkit.stats._codes import Codes, Numbers
from evalkit.stats.bootstrap import generator, resampled, tails

__all__: list[str] = []

POOLED = ((4, 0.5), (8, 0.3), (np.inf, 0.2))
"""Level of the test below which a part of a variance counts, up to so many clusters: a
test of few would miss what there is, and the interval would be too narrow."""

LEAST_SHAPED = 6
"""Clusters from which a bootstrap tells the shape of what it resamples."""

LEAST_CLUSTERS = 3
"""Subjects, and sources, below which nothing is said of others."""


@dataclass(frozen=True, slots=True)
class Variance:
    """The variance of a statistic over subjects crossed with sources, in its parts.

    A part counts only where it stands out of the residual by an F test at a level of
    `POOLED`; else cells are taken for independent. Counting every part, always, gives
    intervals that are far too wide where there is none.

    Attributes
    ----------
    subject, source
        What clusters of subjects (of sources) give. Each contains `residual`.
    residual
        What single cells give; 0 where no degree of freedom is left for it. Each may be
        an array, of many panels of one size.
    n_subjects, n_sources, n_free
        Clusters, and degrees of freedom of `residual`.
    least
        What rounding alone gives: less is not believed, however alike the rows are.

    References
    ----------
    Bancroft & Han, Inference Based on Conditional Specification, 1977, on the level.

    """

    subject: Numbers | float
    source: Numbers | float
    residual: Numbers | float
    n_subjects: Any
    n_sources: Any
    n_free: Any
    least: Any = 0.0

    def _standing_out(self) -> tuple[Any, Any]:
        """Whether the part of subjects counts, and that of sources."""
        parts = (self.subject, self.n_subjects), (self.source, self.n_sources)
        limits = [
            f.isf(_level(n), n - 1, self.n_free) * self.residual for _, n in parts
        ]
        of_subjects, of_sources = (
            (n > 1) & ((self.n_free < 1) | np.greater(part, limit))
            for (part, n), limit in zip(parts, limits, strict=True)
        )
        return of_subjects, of_sources

    @property
    def _estimate(self) -> Any:
        of_subjects, of_sources = self._standing_out()
        larger = np.maximum(self.subject, self.source)
        both = np.maximum(larger, self.subject + self.source - self.residual)
        one = np.where(of_subjects, self.subject, self.source)
        one_or_none = np.where(of_subjects | of_sources, one, self.residual)
        return np.where(of_subjects & of_sources, both, one_or_none)[()]

    @property
    def total(self) -> Any:
        """The statistic's variance; NaN for one subject, who says nothing of others.

        With one source, the statement is about this source only.
        """
        total = np.maximum(self._estimate, self.least)
        return np.where(np.greater(self.n_subjects, 1), total, np.nan)[()]

    @property
    def widest(self) -> Any:
        """The statistic's variance with every part counted, whether it stands out."""
        larger = np.maximum(self.subject, self.source)
        both = np.maximum(larger, self.subject + self.source - self.residual)
        return np.maximum(both, self.least)

    @property
    def freedom(self) -> Any:
        """Satterthwaite's degrees of freedom of `total`.

        Where no more varies than rounding explains, those of the smaller group: so few
        may agree by chance.
        """
        of_subjects, of_sources = self._standing_out()
        terms = (
            (of_subjects, self.subject, self.n_subjects - 1),
            (of_sources, self.source, self.n_sources - 1),
            (of_subjects == of_sources, self.residual, self.n_free),
        )
        spread = sum(
            counts * np.square(part) / np.maximum(free, 1)
            for counts, part, free in terms
        )
        sizes = np.array([self.n_subjects, self.n_sources])
        # one source is no group of them
        of_few = (
            np.maximum(np.where(sizes > 1, sizes, sizes.max(axis=0)).min(axis=0), 2) - 1
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            freedom = np.maximum(1.0, np.square(self._estimate) / spread)
        return np.where(np.greater(self._estimate, self.least), freedom, of_few)[()]


def _level(n_clusters: Any) -> Any:
    """The level of `POOLED` for so many clusters."""
    most, levels = zip(*POOLED, strict=True)
    return np.select([np.less_equal(n_clusters, n) for n in most], levels)[()]


class TwoWay:
    """Rows of subjects crossed with sources: the subject and the source of each."""

    def __init__(self, subject: Codes, source: Codes) -> None:
        m = int(source.max()) + 1
        cells, self._cell = np.unique(subject * m + source, return_inverse=True)
        self._codes = np.divmod(cells, m)
        self._counts = [np.bincount(code) for code in self._codes]

    def variance(self, influence: Numbers, least: float = 0.0) -> Variance:
        """Variance of a statistic from what each row adds to it, to first order.

        `least` is the least that it is believed to be.

        References
        ----------
        Cameron, Gelbach & Miller, Robust Inference With Multiway Clustering, 2011; for
        complete tables the parts are those of a two-way analysis of variance.

        """
        by_cell = np.bincount(self._cell, influence)
        remainder = by_cell.copy()
        parts: list[float] = []
        sizes: list[int] = []
        for code, n_cells in zip(self._codes, self._counts, strict=True):
            total = np.bincount(code, by_cell)
            remainder -= total[code] / n_cells[code]
            n = int((n_cells > 0).sum())
            parts.append(float(total @ total) * n / (n - 1) if n > 1 else 0.0)
            sizes.append(n)
        n_free = len(by_cell) - sum(sizes) + 1
        squares = float(remainder @ remainder)
        residual = squares * len(by_cell) / n_free if n_free > 0 else 0.0
        return Variance(parts[0], parts[1], residual, sizes[0], sizes[1], n_free, least)


def two_way_interval(
    by_subject: Numbers,
    by_source: Numbers,
    variances: Sequence[Variance],
    least: Numbers | float = 0.0,
    *,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> tuple[Numbers, Numbers]:
    """How far below and above its estimate the interval of each statistic reaches.

    Subjects and sources are resampled apart, and their deviations added. Resamples of
    few clusters vary too little, and single cells are counted twice; so the quantiles
    are stretched to the standard deviation of `variances` and to Student's t, whose own
    shape they take below `LEAST_SHAPED` subjects or sources.

    Parameters
    ----------
    by_subject, by_source
        Influences summed over each, shape ``(clusters, statistics)``.
    variances
        The variance of each statistic.
    least
        The least that each variance may be, by a model of rows without clusters: no
        interval is narrower than its normal one.

    Returns
    -------
    tuple of ndarray
        Shape ``(statistics,)`` each: the first negative, the second positive.

    References
    ----------
    Hesterberg, What Teachers Should Know About the Bootstrap, 2015, on expanding
    percentile intervals; Owen, The Pigeonhole Bootstrap, 2007, on both clusters.

    """
    rng, probabilities = generator(seed, n_resamples), tails(confidence)
    deviations = resampled(by_subject, n_resamples, rng)
    deviations += resampled(by_source, n_resamples, rng)
    normal = norm.ppf(probabilities)[:, None]
    deviation = deviations.std(axis=0)
    n_fewer = min(len(by_subject), len(by_source))
    # where all rows are alike there is no shape either
    is_shaped = (deviation > 1e-12) & (n_fewer >= LEAST_SHAPED)
    quantiles = np.quantile(deviations, probabilities, axis=0)
    shape = np.where(is_shaped, quantiles / np.where(is_shaped, deviation, 1), normal)
    total = np.array([variance.total for variance in variances])
    freedom = np.array([variance.freedom for variance in variances])
    reach = np.sqrt(total) * t.ppf(probabilities[1], freedom) / normal[1]
    floor = np.sqrt(least) * normal
    return np.minimum(shape[0] * reach, floor[0]), np.maximum(
        shape[1] * reach, floor[1]
    )
