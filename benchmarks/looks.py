"""How often looking four times finds a difference where there is none, and one of 0.8.

`python benchmarks/looks.py [PANELS]` prints the table of docs/statistics.md: 1,000
simulated panels of each size and order take about 4 minutes. Subjects and sources have
tastes of their own (see benchmarks/coverage.py); choices come subject by subject or
from all subjects at once, and the worse of the two is printed.
"""

import sys

import numpy as np
import pandas as pd
from coverage import PREFERENCE_SD, simulated_choices

from evalkit.stats import LOOKS, sequential_look

SIZES = [(3, 7), (4, 12), (6, 6), (6, 12), (6, 48), (8, 8), (12, 7), (12, 12)]
SIZES += [(12, 48), (24, 16)]
APART = 0.8


def looks(seed, n_subjects, n_sources, apart, *, is_mixed):
    """The last look at one simulated panel."""
    strengths = (apart / 2, -apart / 2)
    choices = simulated_choices(
        seed, n_subjects, n_sources, strengths, preference_sd=PREFERENCE_SD
    ).sample(frac=1, random_state=seed)
    if not is_mixed:
        choices = choices.sort_values("subject", kind="stable")
    return sequential_look(choices, len(choices)).iloc[0]


def main(n_panels=1_000):
    """Print the table."""
    rows = []
    for size in SIZES:
        row = {"panel": "{} x {}".format(*size)}
        for apart in (0.0, APART):
            of_orders = [
                pd.DataFrame(
                    looks(seed, *size, apart, is_mixed=is_mixed)
                    for seed in range(n_panels)
                )
                for is_mixed in (False, True)
            ]
            shares = [100 * frame["is_decided"].mean() for frame in of_orders]
            if apart:
                row["finds 0.8, %"] = min(shares)
                early = [frame["look"] < LOOKS for frame in of_orders]
                row["stops early, %"] = 100 * np.mean(early)
            else:
                row["error, %"] = max(shares)
        rows.append(row)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
