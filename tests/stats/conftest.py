"""Simulated panels: what they would score is known, so statistics can be checked."""

import runpy

import pytest

from evalkit.paths import SHIPPED

COVERAGE = runpy.run_path(str(SHIPPED / "benchmarks" / "coverage.py"))


@pytest.fixture
def panel():
    """``panel(seed=..., n_subjects=12, ...)``: see benchmarks/coverage.py."""
    return COVERAGE["SimulatedPanel"]


@pytest.fixture
def choices():
    """``choices(seed, n_subjects, n_sources, strengths, ...)``: ibid."""
    return COVERAGE["simulated_choices"]


@pytest.fixture
def coverage():
    """``coverage(n_subjects, n_sources, n_panels, of_one=...)``: ibid."""
    return COVERAGE["coverage"]


@pytest.fixture
def of_other_scores():
    """What `coverage` is to cover where scores are not the model's: ibid."""
    return COVERAGE["cover_other"]
