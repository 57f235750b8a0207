"""Intervals of medians by counting, and resampling of whole subjects and sources."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike

from evalkit.errors import SettingError, TableError
from evalkit.stats._codes import Numbers

__all__ = ["median_coverage", "median_interval"]

BLOCK = 4_000_000
"""Multinomial counts held in memory at once."""


def median_interval(
    values: ArrayLike, confidence: float = 0.95
) -> tuple[float | None, float | None]:
    """Two of the values between which the median of all there could be lies.

    The narrowest such pair, equally far from both ends, that holds it as often as
    `confidence` says, whatever the distribution; `median_coverage` says how often that
    is. Of runs whose neighbours are alike it holds the median less often: see
    docs/statistics.md. None where not even the least and the greatest do: below 6
    values at 0.95.

    Raises
    ------
    TableError
        A value that is no number, NaN among them.
    SettingError
        A confidence that is not between 0 and 1.

    References
    ----------
    David & Nagaraja, Order Statistics, 2003, section 7.1.

    """
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError) as error:
        raise TableError(f"expected numbers: {error}") from error
    if n_unknown := int(np.isnan(array).sum()):
        raise TableError(
            f"expected known numbers, found {n_unknown} NaN among {len(array)}: leave "
            "out what is not known, so that it is not counted either"
        )
    n_outside = _n_outside(len(array), confidence)
    if n_outside < 0:
        return None, None
    ordered = np.sort(array)
    return float(ordered[n_outside]), float(ordered[-1 - n_outside])


def median_coverage(n: int, confidence: float = 0.95) -> float | None:
    """How often `median_interval` of `n` values holds the median; None without one.

    Of independent values.

    Examples
    --------
    >>> median_coverage(5), median_coverage(6), median_coverage(7)
    (None, 0.96875, 0.984375)

    """
    n_outside = _n_outside(n, confidence)
    return None if n_outside < 0 else 1 - 2 * float(_tail(n)[n_outside])


def _n_outside(n: int, confidence: float) -> int:
    """How many of `n` values an interval of their median leaves out at each end."""
    low, _ = tails(confidence)
    if not n:
        return -1
    return int(np.searchsorted(_tail(n), low, side="right")) - 1


def _tail(n: int) -> Numbers:
    """The chances that at most 0, 1, ... of `n` values lie below the median."""
    # experiments, which are found by their import, need no scipy
    from scipy.special import bdtr

    return np.asarray(bdtr(np.arange(n), n, 0.5))


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
