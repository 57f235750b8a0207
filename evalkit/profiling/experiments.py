"""What a series of runs can say: when it is warm, which percentiles, leaks, failures.

Plain functions of numbers. They import only scipy's ``special``, and late:
`scipy.stats` takes longer to import than many a run.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from evalkit.errors import TableError

WINDOW, TOLERANCE = 3, 0.05
"""A run is warm when so many times in a row lie within this share of their median."""

FEW_REPEATS = 15
"""Below it a fifth of the repeats is too few runs to tell when times are stable: one
run is cold, and no warm-up is claimed."""

MOST_ALIKE = 0.98
"""The largest lag-1 correlation that is believed of residuals about a slope."""

REPEATS, SLOW_REPEATS, SLOW_S = 7, 3, 5.0
"""Timed runs of a cell, where nothing else is asked for: the first number, of which the
interval of a median has a coverage of 98.4 %; the second where a run takes so long."""


class Interval(NamedTuple):
    """An estimate with its interval."""

    value: float
    low: float
    high: float


def is_warm(times_s: Sequence[float]) -> bool:
    """Whether the last `WINDOW` times lie within `TOLERANCE` of their median."""
    last = np.asarray(times_s[-WINDOW:], float)
    if len(last) < WINDOW:
        return False
    middle = np.median(last)
    return bool((np.abs(last - middle) <= TOLERANCE * middle).all())


def most_cold(n_warm: int | None) -> int:
    """How many runs after the first may be cold, where so many warm ones are wanted."""
    return n_warm // 5 if n_warm and n_warm >= FEW_REPEATS else 0


def n_repeats(times_s: Sequence[float], asked_for: int | None) -> int:
    """How many warm runs a cell is to have, by the times of those that it has.

    As many as are asked for; if none are, `REPEATS`, or `SLOW_REPEATS` where the median
    of the first so many is `SLOW_S` or more.
    """
    if asked_for is not None:
        return asked_for
    first = times_s[:SLOW_REPEATS]
    is_slow = len(first) == SLOW_REPEATS and float(np.median(first)) >= SLOW_S
    return SLOW_REPEATS if is_slow else REPEATS


def next_run(
    times_s: Sequence[float],
    n_warm: int,
    runs: Sequence[int],
    max_warm_up: int,
    asked_for: int | None,
) -> tuple[int, str] | None:
    """Number and phase of the run after those of `times_s`; None at the end.

    See `evalkit.study.worker.series_cell`; `asked_for` as in `n_repeats`.
    """
    n_done = len(times_s)
    ends = (n for n in range(1, n_done + 1) if n > max_warm_up or is_warm(times_s[:n]))
    n_cold = next(ends, n_done + 1)
    phase = "cold" if n_done < n_cold else "warm"
    if runs:
        return (runs[n_done], phase) if n_done < len(runs) else None
    number = n_done + 1 if phase == "cold" else n_done + 1 - n_cold
    n_all = n_cold + min(n_warm, n_repeats(times_s[n_cold:], asked_for))
    return (number, phase) if n_done < n_all else None


def highest_percentile(n: int, confidence: float = 0.99) -> float | None:
    """The highest percentile that `n` runs support, in per cent; None under 2 runs.

    It is the highest that lies, with this confidence, below the second largest of `n`
    values, if they are independent: see `percentile_bound`.

    References
    ----------
    MLCommons, MLPerf Inference rules, "Early stopping": 64 runs support the 90th
    percentile at a confidence of 0.99, 662 the 99th. Solved here for the percentile, by
    Clopper & Pearson, Biometrika 26(4), 1934.

    Examples
    --------
    >>> round(highest_percentile(50), 1)
    87.4

    """
    from scipy.special import betaincinv

    return 100 * (1 - float(betaincinv(2, n - 1, confidence))) if n >= 2 else None


def percentile_bound(
    values: ArrayLike, percent: float, confidence: float = 0.99
) -> float | None:
    """A bound that a percentile lies below, at this confidence; None if too few values.

    Parameters
    ----------
    values
        Independent; any order.
    percent
        In (0, 100).
    confidence
        The confidence of the bound.

    Returns
    -------
    float or None
        One of the values, the second largest at most.

    Raises
    ------
    TableError
        A value that is no finite number.

    Notes
    -----
    The confidence is that of independent runs. Of 64 whose neighbours have a
    correlation of 0.7 the 90th percentile lies below its bound in 90 %, not in 99 %:
    simulated, docs/statistics.md.

    References
    ----------
    As `highest_percentile`; Conover, Practical Nonparametric Statistics, 1999, 3.2.

    """
    from scipy.special import bdtr

    ordered = np.sort(_known(values))
    n = len(ordered)
    # the chance that so many values or fewer lie above the percentile
    chances = bdtr(np.arange(n), n, 1 - percent / 100)
    n_above = int(np.searchsorted(chances, 1 - confidence, side="right")) - 1
    return float(ordered[-1 - n_above]) if n_above >= 1 else None


def slope(
    values: ArrayLike, groups: ArrayLike | None = None, confidence: float = 0.95
) -> Interval | None:
    """How much a quantity grows with each run: a leak, or a drift of time.

    Parameters
    ----------
    values
        One value for each run, in order.
    groups
        The process of each run; every process has a level of its own. None for one.
    confidence
        The coverage of the interval.

    Returns
    -------
    Interval or None
        The least-squares slope, in the unit of `values` per run; None with fewer
        than 3 values more than processes.

    Raises
    ------
    TableError
        A value that is no finite number.

    Notes
    -----
    Memory moves in plateaus, so neighbouring runs are alike and plain least squares is
    too sure. The number of runs is reduced to an effective one by the residuals' lag-1
    correlation, which is first freed of what fitting takes from it, about 1 / n for
    each level and for the slope. docs/statistics.md says how often the interval holds:
    from about 50 runs on; a random walk still passes for a leak in one of seven.

    References
    ----------
    Santer et al., Statistical significance of trends and trend differences in
    layer-average atmospheric temperature time series, J. Geophys. Res. 105(D6), 2000,
    equations 4 to 6; Marriott & Pope, Bias in the estimation of autocorrelations,
    Biometrika 41(3), 1954.

    """
    from scipy.special import stdtrit

    y = _known(values)
    x = np.arange(len(y), dtype=float)
    names = np.zeros(len(y)) if groups is None else np.asarray(groups)
    processes = np.unique(names)
    n = len(y) - len(processes) + 1
    if n < 4:
        return None
    for name in processes:
        x[names == name] -= x[names == name].mean()
        y[names == name] -= y[names == name].mean()
    n_fitted = len(processes) + 1
    value = float(x @ y / (x @ x))
    residuals = y - value * x
    energy = float(residuals @ residuals)
    is_next = names[1:] == names[:-1]
    lagged = float(residuals[1:][is_next] @ residuals[:-1][is_next])
    share = lagged / energy if energy > 0 else -1.0
    alike = (len(y) * share + n_fitted) / max(1, len(y) - 2 * n_fitted)
    alike = min(max(alike, 0.0), MOST_ALIKE)
    n_effective = max(3.0, n * (1 - alike) / (1 + alike))
    error = math.sqrt(energy / (n_effective - 2) / float(x @ x))
    reach = float(stdtrit(n_effective - 2, (1 + confidence) / 2)) * error
    return Interval(value, value - reach, value + reach)


def _known(values: ArrayLike) -> NDArray[np.float64]:
    """A copy of the values; an error where one of them is no finite number."""
    array = np.array(values, float)
    if not np.isfinite(array).all():
        raise TableError(
            f"expected finite numbers, found {array[~np.isfinite(array)][0]} among "
            f"{len(array)}: leave out the runs of which it is not known"
        )
    return array


def failure_rate(n_failed: int, n: int, confidence: float = 0.95) -> Interval:
    """The share of runs that fail, in [0, 1], with Wilson's interval.

    References
    ----------
    Wilson, Probable inference, the law of succession, and statistical inference, J. Am.
    Stat. Assoc. 22(158), 1927.

    Examples
    --------
    No failure in 50 runs leaves one in 14 possible:

    >>> round(failure_rate(0, 50).high, 3)
    0.071

    """
    from scipy.special import ndtri

    share, z = n_failed / n, float(ndtri((1 + confidence) / 2))
    middle = share + z**2 / (2 * n)
    reach = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    low, high = ((middle + side * reach) / (1 + z**2 / n) for side in (-1, 1))
    return Interval(share, max(low, 0.0), min(high, 1.0))
