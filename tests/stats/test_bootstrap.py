import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import binom, quantile_test

from evalkit import stats
from evalkit.errors import TableError
from evalkit.stats import median_coverage, median_interval
from evalkit.stats.bootstrap import resampled


@pytest.mark.parametrize("n", [6, 7, 30, 101])
def test_the_median_interval_is_scipys(n):
    values = np.random.default_rng(0).gamma(2, size=n)
    expected = quantile_test(values, p=0.5).confidence_interval(0.95)
    assert median_interval(values) == tuple(expected)


def test_a_narrower_interval_lies_within():
    values = np.random.default_rng(0).gamma(2, size=30)
    wide, narrow = median_interval(values), median_interval(values, 0.5)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_fewer_than_six_values_have_no_interval(n):
    assert median_interval(range(n)) == (None, None)
    assert median_coverage(n) is None


@pytest.mark.parametrize(("n", "out"), [(6, 0), (7, 0), (9, 1), (50, 17)])
def test_the_true_coverage_is_told(n, out):
    values = np.arange(n)
    assert median_interval(values) == (out, n - 1 - out)
    held = 1 - 2 * binom.cdf(out, n, 0.5)
    assert median_coverage(n) == pytest.approx(held)
    assert held >= 0.95


def test_a_value_that_is_not_known_is_not_counted_as_the_largest():
    with pytest.raises(TableError, match="found 1 NaN among 6: leave out"):
        median_interval([1, 2, 3, 4, 5, np.nan])
    with pytest.raises(TableError, match="found 1 NaN"):
        median_interval([1, None])


def test_resampled_sums_have_a_multinomials_covariance():
    influence = np.random.default_rng(0).normal(size=(9, 2))
    influence -= influence.mean(axis=0)
    found = resampled(influence, 40_000, np.random.default_rng(1))
    # counts have covariance I - 1/n, and the influences sum to 0
    assert np.cov(found.T) == pytest.approx(influence.T @ influence, rel=0.05)


def test_blocks_do_not_change_how_many_resamples_there_are(monkeypatch):
    monkeypatch.setattr("evalkit.stats.bootstrap.BLOCK", 50)
    found = resampled(np.zeros((20, 3)), 7, np.random.default_rng(0))
    assert found.shape == (7, 3)


def test_every_statistic_is_offered_by_the_package():
    assert {"mean_opinion_scores", "p910", "bradley_terry", "krippendorff_alpha"} <= {
        *dir(stats)
    }
    assert callable(stats.p910)
    assert callable(stats.p910)  # still, once its module has been loaded
    with pytest.raises(AttributeError, match="no such name"):
        stats.p911  # noqa: B018


def test_statistics_need_neither_torch_nor_matplotlib():
    code = (
        "import sys, evalkit.stats as s; s.p910, s.screen; "
        "print({'torch', 'matplotlib'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"set()"
