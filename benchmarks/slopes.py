"""How often intervals of a series of runs hold the truth, where neighbours are alike.

`python benchmarks/slopes.py [SERIES]` prints two tables of docs/statistics.md: of a
leak's slope, which is none, and of medians and percentiles. 2,000 simulated series of
each kind, ten times as many for the second, take about a minute. Beside slopes Newey &
West's interval, with the bandwidth of Lazarus et al., 2018, from statsmodels.
"""

import sys

import numpy as np
import pandas as pd
import statsmodels.api as sm
from scipy.signal import lfilter
from scipy.stats import norm

from evalkit.profiling.experiments import percentile_bound, slope
from evalkit.stats import median_interval

SIZES = (10, 20, 50, 200)
N_NEWEY_WEST = 400
"""Series of which Newey & West's interval is made: it takes ten times as long."""


def autoregressive(alike):
    """Make series whose neighbours have this correlation."""

    def series(rng, n):
        noise = rng.normal(size=n)
        noise[0] /= np.sqrt(1 - alike**2)
        return lfilter([1], [1, -alike], noise)

    return series


def plateaus(rng, n):
    """A level that is left in 15 of 100 runs, and little noise."""
    moves = rng.random(n) < 0.15
    levels = np.where(moves, rng.normal(0, 3, n), 0)
    last = np.maximum.accumulate(np.where(moves, np.arange(n), 0))
    return levels[last] + rng.normal(0, 0.05, n)


SERIES = {
    "independent": autoregressive(0),
    "correlation 0.5": autoregressive(0.5),
    "correlation 0.8": autoregressive(0.8),
    "correlation 0.95": autoregressive(0.95),
    "plateaus": plateaus,
    "random walk": lambda rng, n: rng.normal(size=n).cumsum(),
}


def newey_west(values):
    """The bounds of the slope."""
    n = len(values)
    kind = {"maxlags": int(1.3 * n**0.5), "use_correction": True}
    line = sm.OLS(values, sm.add_constant(np.arange(n)))
    return line.fit(cov_type="HAC", cov_kwds=kind, use_t=True).conf_int()[1]


def medians_and_percentiles(n_series):
    """How often their intervals hold, in percent, by how alike neighbours are."""
    rows = {}
    for alike in (0, 0.5, 0.7, 0.8, 0.95):
        make, cells = autoregressive(alike), {}
        for n in (7, 50):
            rng = np.random.default_rng(n)
            found = [median_interval(make(rng, n)) for _ in range(n_series)]
            held = np.mean([low <= 0 <= high for low, high in found])
            cells[f"median of {n}"] = 100 * held
        for n, percent in ((64, 90), (662, 99)):
            rng = np.random.default_rng(n)
            truth = norm.ppf(percent / 100) / np.sqrt(1 - alike**2)
            bounds = [percentile_bound(make(rng, n), percent) for _ in range(n_series)]
            held = np.mean(np.array(bounds) >= truth)
            cells[f"{percent}th percentile of {n}"] = 100 * held
        rows[f"correlation {alike}" if alike else "independent"] = cells
    return pd.DataFrame(rows).T


def main(n_series=2_000):
    """Print the tables: of slopes ours, and Newey & West's in brackets."""
    rows = {}
    for name, make in SERIES.items():
        cells = {}
        for n in SIZES:
            rng = np.random.default_rng(n)
            ours = [slope(make(rng, n)) for _ in range(n_series)]
            theirs = [newey_west(make(rng, n)) for _ in range(N_NEWEY_WEST)]
            held = [np.mean([low <= 0 <= high for _, low, high in ours])]
            held += [np.mean([low <= 0 <= high for low, high in theirs])]
            cells[f"{n} runs"] = "{:.1f} ({:.0f})".format(*(100 * np.array(held)))
        rows[name] = cells
    print(pd.DataFrame(rows).T.to_markdown(), "\n")
    print(medians_and_percentiles(10 * n_series).to_markdown(floatfmt=".1f"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
