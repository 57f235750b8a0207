"""Resampling: of values for their median, and of whole subjects and sources."""

import numpy as np
from numpy.typing import ArrayLike

from evalkit.stats._coded import Numbers

__all__ = ["median_interval"]

BLOCK = 4_000_000
"""Multinomial counts held in memory at once."""


def median_interval(
    values: ArrayLike, confidence: float = 0.95, seed: int = 0
) -> tuple[float | None, float | None]:
    """Percentile bootstrap interval of a median, 2,000 resamples; None below 2 values.

    References
    ----------
    Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.

    """
    given = np.asarray(values, float)
    if len(given) < 2:
        return None, None
    resampled = np.random.default_rng(seed).choice(given, (2000, len(given)))
    low, high = np.quantile(np.median(resampled, axis=1), tails(confidence))
    return float(low), float(high)


def tails(confidence: float) -> tuple[float, float]:
    """The two probabilities that leave `confidence` between them."""
    return (1 - confidence) / 2, (1 + confidence) / 2


def resampled(influence: Numbers, n: int, rng: np.random.Generator) -> Numbers:
    """What `n` resamples of the rows of `influence` add to the statistics.

    Influence has the shape ``(clusters, statistics)``, and each column sums to zero;
    the result ``(n, statistics)``.

    References
    ----------
    The score bootstrap of Kline & Santos, 2012: counts from a multinomial, the
    statistic to first order.

    """
    size = len(influence)
    step = min(n, max(1, BLOCK // size))
    row = size * np.arange(step)[:, None]
    blocks = []
    for start in range(0, n, step):
        # counts of equal draws are a multinomial's, ten times faster than its own
        drawn = row[: n - start] + rng.integers(size, size=(min(step, n - start), size))
        counts = np.bincount(drawn.ravel(), minlength=drawn.size)
        blocks.append(counts.reshape(drawn.shape) @ influence)
    return np.concatenate(blocks)
