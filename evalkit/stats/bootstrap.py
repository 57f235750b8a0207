"""Resampling: of values for their median, and of whole subjects and sources."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from evalkit.errors import SettingError, TableError
from evalkit.stats._codes import Numbers

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
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise TableError(f"expected numbers: {error}") from error
    probabilities, rng = tails(confidence), generator(seed, 2000)
    if len(array) < 2:
        return None, None
    resampled = rng.choice(array, (2000, len(array)))
    low, high = np.quantile(np.median(resampled, axis=1), probabilities)
    return float(low), float(high)


def tails(confidence: float) -> tuple[float, float]:
    """The two probabilities that leave `confidence` between them.

    Raises
    ------
    SettingError
        Not between 0 and 1.

    """
    if not isinstance(confidence, Real) or not 0 < confidence < 1:
        raise SettingError(
            f"confidence must be more than 0 and less than 1; found {confidence!r}"
        )
    return (1 - confidence) / 2, (1 + confidence) / 2


def generator(seed: int, n_resamples: int) -> np.random.Generator:
    """The generator of a bootstrap, once its settings are checked.

    Raises
    ------
    SettingError
        A seed below 0, or no resample at all.

    """
    for name, value, least in (("seed", seed, 0), ("n_resamples", n_resamples, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise SettingError(
                f"{name} must be a whole number, {least} or more; found {value!r}"
            )
    return np.random.default_rng(seed)


def resampled(influence: Numbers, n: int, rng: np.random.Generator) -> Numbers:
    """Deviations of the statistics in `n` resamples of the rows of `influence`.

    Influence has the shape ``(clusters, statistics)``, and each column sums to zero;
    what is returned has the shape ``(n, statistics)``.

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
