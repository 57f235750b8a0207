"""How often looking four times finds a difference where there is none, and one of 0.8.

`python benchmarks/looks.py [PANELS]` prints the table of docs/statistics.md: 4,000
simulated panels of each size and order take a minute. Subjects and sources have tastes
of their own, as in benchmarks/coverage.py; choices come subject by subject or from all
subjects at once, and the worse of the two is printed. What `sequential_look` does with
one panel is done here with all of them at once.
"""

import sys

import numpy as np
import pandas as pd
from coverage import PREFERENCE_SD
from panels import variance_of
from scipy.special import expit
from scipy.stats import norm, t

from evalkit.stats._sequential import FIRST_Z, LOOKS
from evalkit.stats._two_way import LEAST_CLUSTERS

SIZES = [(3, 7), (4, 12), (6, 6), (6, 12), (6, 48), (8, 8), (12, 7), (12, 12)]
SIZES += [(12, 48), (24, 16)]
APART = 0.8
N_BLOCK = 500


def decided_at(rng, shape, apart, *, is_mixed):
    """The look at which each simulated panel is decided; 0 for never."""
    n, n_subjects, n_sources = shape
    odds = rng.normal(0, PREFERENCE_SD, (2, n, n_subjects, 1))
    odds = odds + rng.normal(0, PREFERENCE_SD, (2, n, 1, n_sources))
    won = (rng.random(shape) < expit(apart + odds[0] - odds[1])).astype(float)
    order = rng.random(shape)
    if not is_mixed:
        order += np.arange(n_subjects)[:, None]
    n_choices = n_subjects * n_sources
    place = order.reshape(n, -1).argsort(axis=1).argsort(axis=1).reshape(shape)
    look_of = np.zeros(n, int)
    for look in range(1, LOOKS + 1):
        size = -(-n_choices * look // LOOKS)
        # no tie: each choice lies half from what chance gives
        share, variance = variance_of(won, place < size, 0.25)
        n_fewer = np.minimum(variance.n_subjects, variance.n_sources)
        freedom = np.maximum(n_fewer - 1, 1)
        p = 2 * t.sf(np.abs(share - 0.5) / np.sqrt(variance.widest), freedom)
        decides = (p < 2 * norm.sf(FIRST_Z / look**0.5)) & (n_fewer >= LEAST_CLUSTERS)
        look_of = np.where((look_of == 0) & decides, look, look_of)
    return look_of


def main(n_panels=4_000):
    """Print the table."""
    rows = []
    for size in SIZES:
        row = {"panel": "{} x {}".format(*size)}
        for apart in (0.0, APART):
            rng = np.random.default_rng(size)
            of_orders = [
                np.concatenate(
                    [
                        decided_at(rng, (N_BLOCK, *size), apart, is_mixed=is_mixed)
                        for _ in range(n_panels // N_BLOCK)
                    ]
                )
                for is_mixed in (False, True)
            ]
            shares = [100 * np.mean(looks > 0) for looks in of_orders]
            if apart:
                early = [(looks > 0) & (looks < LOOKS) for looks in of_orders]
                row["finds 0.8, %"] = min(shares)
                row["stops early, %"] = 100 * np.mean(early)
            else:
                row["error, %"] = max(shares)
        rows.append(row)
    print(pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
