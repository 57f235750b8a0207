"""95 % intervals hold the truth in 93 to 97 % of simulated panels.

Those of strengths, which are never narrower than those of independent choices, in a few
more.
"""

import numpy as np
import pytest


def assert_covered(found):
    most = np.where(found.index.str.startswith("bradley-terry"), 0.98, 0.97)
    assert found.between(0.93, most).all(), found


@pytest.mark.slow
def test_intervals_cover_at_twelve_subjects_and_sources(coverage):
    assert_covered(coverage(12, 12, 100))


@pytest.mark.soak
@pytest.mark.parametrize(("n_subjects", "n_sources"), [(12, 12), (24, 16)])
def test_intervals_cover_over_a_thousand_panels(coverage, n_subjects, n_sources):
    assert_covered(coverage(n_subjects, n_sources, 1_000))


def test_an_inconsistency_is_known_less_well_than_its_interval_says(
    coverage, of_other_scores
):
    found = coverage(24, 16, 20, of_other_scores)
    assert found["p910 inconsistency, whole scores"] == pytest.approx(0.85, abs=0.06)
    assert found["p910 inconsistency, hard stimuli"] == pytest.approx(0.75, abs=0.07)
