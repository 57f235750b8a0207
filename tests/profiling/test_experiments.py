"""Warm-up, percentiles, leaks, failures, against planted truth."""

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter
from statsmodels.stats.proportion import proportion_confint

from evalkit.errors import TableError
from evalkit.profiling.experiments import (
    failure_rate,
    highest_percentile,
    is_warm,
    percentile_bound,
    slope,
)

N_SERIES, N_RUNS = 200, 50


def noise(seed: int, n: int = N_RUNS) -> np.ndarray:
    return np.random.default_rng(seed).normal(500, 2, n)


def test_warm_begins_when_three_times_in_a_row_agree():
    times_s = [2.0, 1.4, 1.04, 1.0, 1.02, 0.99]
    warm = [is_warm(times_s[:n]) for n in range(len(times_s) + 1)]
    assert warm == [False] * 5 + [True, True]


@pytest.mark.parametrize(("n", "percent"), [(64, 90), (130, 95), (662, 99)])
def test_the_percentiles_are_those_of_mlperfs_early_stopping(n, percent):
    assert highest_percentile(n - 1) < percent <= highest_percentile(n)
    values = np.arange(n)
    assert percentile_bound(values, percent) == n - 2
    assert percentile_bound(values[:-1], percent) is None


def test_fifty_runs_support_the_87th_percentile_and_one_run_none():
    assert highest_percentile(50) == pytest.approx(87.4, abs=0.05)
    assert highest_percentile(50, confidence=0.95) == pytest.approx(90.9, abs=0.05)
    assert highest_percentile(1) is None
    assert percentile_bound([1.0], 50) is None


def test_a_percentile_lies_below_its_bound_as_often_as_is_said():
    rng = np.random.default_rng(3)
    bounds = [percentile_bound(rng.exponential(size=100), 50) for _ in range(2000)]
    share = np.mean(np.array(bounds) >= np.log(2))  # the median of that distribution
    # a discrete statistic: at least 0.99, and not by much
    assert 0.985 <= share < 0.998


def test_a_planted_leak_of_1_mib_a_run_is_never_missed():
    runs = np.arange(N_RUNS)
    found = [slope(noise(seed) + runs) for seed in range(N_SERIES)]
    assert all(low > 0 for _, low, _ in found)
    assert np.median([value for value, _, _ in found]) == pytest.approx(1, abs=0.01)


def test_without_a_leak_the_interval_includes_0_as_often_as_is_said():
    found = [slope(noise(seed)) for seed in range(N_SERIES)]
    included = np.mean([low <= 0 <= high for _, low, high in found])
    assert 0.93 <= included <= 0.97


def test_few_runs_whose_neighbours_are_alike_are_no_leak():
    rng = np.random.default_rng(7)

    def series(n=20, alike=0.5):
        values = rng.normal(size=n)
        for i in range(1, n):
            values[i] += alike * values[i - 1]
        return values

    found = [slope(series()) for _ in range(500)]
    assert np.mean([low <= 0 <= high for _, low, high in found]) > 0.9


def test_alike_neighbours_widen_the_interval():
    white = noise(1)
    plateaus = np.repeat(white[::10], 10)
    _, low, high = slope(plateaus)
    found = stats.linregress(np.arange(N_RUNS), plateaus)
    plain = 2 * stats.t.ppf(0.975, N_RUNS - 2) * found.stderr
    assert high - low > 1.5 * plain


def test_of_runs_that_are_alike_a_percentile_lies_below_its_bound_less_often():
    noise = np.random.default_rng(4).normal(size=(2000, 114))
    series = lfilter([1], [1, -0.7], noise)[:, 50:] * (1 - 0.7**2) ** 0.5
    bounds = np.array([percentile_bound(values, 90) for values in series])
    assert np.mean(bounds >= stats.norm.ppf(0.9)) == pytest.approx(0.90, abs=0.02)


def test_a_slope_is_that_of_least_squares():
    values = noise(5)
    found = stats.linregress(np.arange(N_RUNS), values)
    reach = stats.t.ppf(0.975, N_RUNS - 2) * found.stderr
    value, low, high = slope(values)
    assert value == pytest.approx(found.slope)
    assert (low, high) == pytest.approx((found.slope - reach, found.slope + reach))


def test_each_process_has_a_level_of_its_own():
    groups = np.repeat([1, 2], 25)
    values = np.arange(50.0) + np.where(groups == 1, 0, 300) + noise(2) / 100
    assert slope(values, groups).value == pytest.approx(1, abs=0.01)
    assert slope(values).value > 5


def test_constant_memory_has_no_slope_and_few_runs_have_no_interval():
    assert slope([7.0] * 10) == (0, 0, 0)
    assert slope([7.0, 8.0, 9.0]) is None


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_a_run_of_which_nothing_is_known_has_no_place_in_a_series(unknown):
    series = [1.0, 2.0, 3.0, unknown, 5.0, 6.0]
    with pytest.raises(TableError, match=f"found {unknown} among 6: leave out"):
        slope(series)
    with pytest.raises(TableError, match=f"found {unknown} among 100"):
        percentile_bound([*range(99), unknown], 90)


@pytest.mark.parametrize(("n_failed", "n"), [(0, 50), (1, 50), (25, 50), (3, 3)])
def test_the_bound_of_failures_is_wilsons(n_failed, n):
    value, low, high = failure_rate(n_failed, n)
    assert value == n_failed / n
    expected = proportion_confint(n_failed, n, method="wilson")
    assert (low, high) == pytest.approx(expected, abs=1e-9)
