"""How often the intervals of scores hold the truth, at every size of a panel.

`python benchmarks/panels.py [PANELS]` writes `data/panel_coverage.csv`, which
`evalkit.stats.simulated_coverage` reads, and prints it for docs/statistics.md; 4,000
simulated panels of each size and kind take about 4 minutes.

Scores are whole numbers from 1 to 5. Two conditions are half a point apart; subjects
and sources each prefer one of them by the `PREFERENCES` (standard deviations), from not
at all to as much as `evalkit.stats.Spread` assumes; every score is there, or one in
four is not. The lowest coverage of these twelve kinds is kept. Nobody has rated
anything here.
"""

import sys
from functools import cache

import numpy as np
import pandas as pd
from scipy.stats import t

from evalkit.paths import data_file
from evalkit.stats._mos import ROUNDED
from evalkit.stats._two_way import Variance

SUBJECTS = (2, 3, 4, 5, 6, 8, 12, 16, 24)
PICTURES = (2, 3, 4, 5, 6, 8, 12, 16, 24, 36, 48)
PREFERENCES = ((0, 0), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4), (0.4, 0), (0, 0.4))
MISSING = (0, 0.25)
MEANS = (3.2, 2.7)
BIAS_SD, SOURCE_SD, NOISE_SD = 0.3, 0.5, 0.7
N_TRUE, N_CELLS = 400_000, 1_000_000


def scores(rng, shape, preference):
    """Scores of both conditions, of this shape: panels, subjects, sources."""
    n, n_subjects, n_sources = shape
    common = rng.normal(0, BIAS_SD, (n, n_subjects, 1))
    common = common + rng.normal(0, SOURCE_SD, (n, 1, n_sources))
    half = rng.normal(0, preference[0] / 2, (n, n_subjects, 1))
    half = half + rng.normal(0, preference[1] / 2, (n, 1, n_sources))
    return [
        np.clip(np.rint(mean + common + sign * half + noise), 1, 5)
        for mean, sign, noise in zip(
            MEANS, (1, -1), rng.normal(0, NOISE_SD, (2, *shape)), strict=True
        )
    ]


def variance_of(values, is_there, least):
    """The mean of each panel, and its variance as `TwoWay.variance` finds it."""
    n = is_there.sum(axis=(1, 2))
    mean = np.where(is_there, values, 0).sum(axis=(1, 2)) / n
    apart = np.where(is_there, values - mean[:, None, None], 0) / n[:, None, None]
    rest, parts, sizes = apart, [], []
    for axis in (2, 1):
        cells, total = is_there.sum(axis=axis), apart.sum(axis=axis)
        rest = rest - np.expand_dims(total / np.maximum(cells, 1), axis)
        size = (cells > 0).sum(axis=1)
        parts.append((total**2).sum(axis=1) * size / np.maximum(size - 1, 1))
        sizes.append(size)
    n_free = n - sum(sizes) + 1
    squares = (np.where(is_there, rest, 0) ** 2).sum(axis=(1, 2))
    residual = np.where(n_free > 0, squares * n / np.maximum(n_free, 1), 0)
    return mean, Variance(*parts, residual, *sizes, n_free, least / n)


def coverage(n_subjects, n_pictures, preference, missing, n_panels):
    """How often the intervals of a mean score, and of a difference, hold the truth."""
    rng = np.random.default_rng([n_subjects, n_pictures, round(100 * missing)])
    n_block = max(1, N_CELLS // (n_subjects * n_pictures))
    held = {"mos": [], "difference": []}
    truth = true_values(preference)
    for start in range(0, n_panels, n_block):
        shape = (min(n_block, n_panels - start), n_subjects, n_pictures)
        first, second = scores(rng, shape, preference)
        given = [rng.random(shape) >= missing for _ in range(2)]
        for name, values, is_there, least in (
            ("mos", first, given[0], ROUNDED),
            ("difference", first - second, given[0] & given[1], 2 * ROUNDED),
        ):
            some = is_there.any(axis=(1, 2))
            mean, variance = variance_of(values[some], is_there[some], least)
            reach = np.sqrt(variance.total) * t.ppf(0.975, variance.freedom)
            told = (variance.n_subjects > 1) & (variance.n_sources > 1)
            held[name].append((np.abs(mean - truth[name]) <= reach)[told])
    return {name: 100 * np.concatenate(parts).mean() for name, parts in held.items()}


@cache
def true_values(preference):
    """The mean score and difference over all people and pictures there are."""
    shape = (N_TRUE, 1, 1)
    first, second = scores(np.random.default_rng(1), shape, preference)
    return {"mos": first.mean(), "difference": (first - second).mean()}


def main(n_panels=4_000):
    """Write the table, and print it: mean score / difference."""
    rows = []
    for n_subjects in SUBJECTS:
        for n_pictures in PICTURES:
            kinds = [
                coverage(n_subjects, n_pictures, preference, missing, n_panels)
                for preference in PREFERENCES
                for missing in MISSING
            ]
            least = pd.DataFrame(kinds).min().round(1)
            rows.append({"subjects": n_subjects, "pictures": n_pictures, **least})
    table = pd.DataFrame(rows)
    table.to_csv(data_file("panel_coverage.csv"), index=False)
    cells = table["mos"].map("{:.1f}".format) + " / "
    table["cell"] = cells + table["difference"].map("{:.1f}".format)
    wide = table.pivot(index="subjects", columns="pictures", values="cell")
    print(wide.to_markdown())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
