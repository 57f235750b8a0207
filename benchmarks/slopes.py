"""How often the interval of a leak's slope holds the truth, which is no leak.

`python benchmarks/slopes.py [SERIES]` prints the table of docs/statistics.md; 2,000
simulated series of each kind take about a minute. Beside it Newey & West's interval,
with the bandwidth of Lazarus et al., 2018, from statsmodels.
"""

import sys

import numpy as np
import pandas as pd
import statsmodels.api as sm

from evalkit.profiling.experiments import slope

SIZES = (10, 20, 50, 200)
N_NEWEY_WEST = 400
"""Series of which Newey & West's interval is made: it takes ten times as long."""


def autoregressive(alike):
    """Make series whose neighbours have this correlation."""

    def series(rng, n):
        noise, values = rng.normal(size=n), np.empty(n)
        values[0] = noise[0] / np.sqrt(1 - alike**2)
        for i in range(1, n):
            values[i] = alike * values[i - 1] + noise[i]
        return values

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


def main(n_series=2_000):
    """Print the table: ours, and Newey & West's in brackets."""
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
    print(pd.DataFrame(rows).T.to_markdown())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
