import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import bootstrap

from evalkit import stats
from evalkit.stats import median_interval
from evalkit.stats.bootstrap import resampled


def test_the_median_interval_is_scipys():
    values = np.random.default_rng(0).gamma(2, size=30)
    expected = bootstrap(
        (values,), np.median, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    found = median_interval(values, 0.95, seed=3)
    assert found == pytest.approx(tuple(expected), abs=0.06)
    narrow = median_interval(values, 0.5)
    assert found[0] < narrow[0] < narrow[1] < found[1]


def test_a_single_value_has_no_interval():
    assert median_interval([1.0]) == (None, None)


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
