"""The shipped table of simulated coverage, and the program that made it."""

import runpy

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from evalkit.paths import SHIPPED
from evalkit.stats import (
    compare_conditions,
    mean_opinion_scores,
    simulated_coverage,
)

PANELS = runpy.run_path(str(SHIPPED / "benchmarks" / "panels.py"))


@pytest.mark.parametrize("size", [(2, 4), (3, 7), (5, 6)])
@pytest.mark.parametrize("missing", [0, 0.25])
def test_what_is_simulated_is_what_the_statistics_do(size, missing):
    rng = np.random.default_rng(4)
    first, second = PANELS["scores"](rng, (1, *size), (0.3, 0.3))
    is_there = rng.random((1, *size)) >= missing
    mean, variance = PANELS["variance_of"](first - second, is_there, 2 / 12)
    reach = np.sqrt(variance.total) * t.ppf(0.975, variance.freedom)
    subject, source = np.nonzero(is_there[0])
    scores = pd.concat(
        pd.DataFrame({"subject": subject, "source": source, "condition": name}).assign(
            score=values[is_there]
        )
        for name, values in (("a", first), ("b", second))
    )
    row = compare_conditions(scores).iloc[0]
    expected = [mean[0], mean[0] - reach[0], mean[0] + reach[0]]
    bounds = row[["difference", "ci_low", "ci_high"]].tolist()
    assert bounds == pytest.approx(expected)
    # few clusters: the interval of a mean score has Student's shape as well
    mean, variance = PANELS["variance_of"](first, is_there, 1 / 12)
    reach = np.sqrt(variance.total) * t.ppf(0.975, variance.freedom)
    mos = mean_opinion_scores(scores).loc["a"]
    assert mos["ci_high"] - mos["mos"] == pytest.approx(reach[0])


def test_the_shipped_table_is_the_programs():
    held = PANELS["coverage"](3, 6, (0.4, 0.4), 0, 1_000)
    for name, percent in held.items():
        # the table has the lowest of twelve kinds of panels
        assert percent > 100 * simulated_coverage(3, 6, name) - 2


def test_between_the_sizes_it_is_the_lowest_around():
    around = [simulated_coverage(n, m) for n in (8, 12) for m in (24, 36)]
    assert simulated_coverage(10, 30) == min(around)
    assert simulated_coverage(90, 90) == simulated_coverage(24, 48)
    assert simulated_coverage(3, 48) == simulated_coverage(3, 48, "mos")


@pytest.mark.parametrize("size", [(1, 5), (5, 1)])
def test_below_two_of_either_there_is_none(size):
    assert np.isnan(simulated_coverage(*size))
