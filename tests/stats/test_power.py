import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from statsmodels.stats.power import TTestPower

from evalkit.errors import SettingError
from evalkit.stats import (
    Spread,
    bradley_terry,
    compare_conditions,
    power,
    smallest_detectable_difference,
    smallest_detectable_share,
    spread_of,
)


@pytest.mark.parametrize("n", [3, 12, 40])
def test_on_one_source_power_is_that_of_a_paired_t_test(n):
    spread = Spread(subject=0.6, residual=0.8)  # together 1
    expected = TTestPower().power(0.5, n, 0.05)
    assert power(0.5, n, 1, spread=spread) == pytest.approx(expected, abs=1e-6)
    assert np.isnan(smallest_detectable_difference(n, 1, spread=spread))


def simulated(seed, n_subjects, n_sources, difference, spread):
    rng = np.random.default_rng(seed)
    size = (n_subjects, n_sources)
    apart = difference + (
        rng.normal(0, spread.subject, (n_subjects, 1))
        + rng.normal(0, spread.source, (1, n_sources))
        + rng.normal(0, spread.residual, size)
    )
    subject, source = np.indices(size).reshape(2, -1)
    rows = pd.DataFrame({"subject": subject, "source": source})
    return pd.concat(
        [
            rows.assign(condition="a", score=3 + apart.ravel()),
            rows.assign(condition="b", score=3.0),
        ]
    )


def test_a_simulated_panel_finds_the_difference_as_often_as_promised():
    spread = Spread()
    difference = smallest_detectable_difference(10, 8)
    found = [
        compare_conditions(simulated(seed, 10, 8, difference, spread))["p"].iloc[0]
        for seed in range(150)
    ]
    assert np.mean(np.array(found) < 0.05) == pytest.approx(0.8, abs=0.08)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "m"),
    [
        *((3, 3), (12, 5), (24, 16)),
        *(pytest.param(*size, marks=pytest.mark.soak) for size in [(3, 7), (6, 12)]),
    ],
)
def test_from_three_by_three_on_a_panel_keeps_what_was_promised(n, m):
    difference = smallest_detectable_difference(n, m)
    p = [
        compare_conditions(simulated(seed, n, m, difference, Spread()))["p"].iloc[0]
        for seed in range(150)
    ]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.8, abs=0.08)


def chosen(seed, n_subjects, n_sources, share, taste=0.5):
    """Whether a simulated panel tells the share from a half."""
    rng = np.random.default_rng(seed)
    subject, source = np.indices((n_subjects, n_sources)).reshape(2, -1)
    preferred = (
        rng.normal(0, taste, n_subjects)[subject]
        + rng.normal(0, taste, n_sources)[source]
    )
    # tastes bring a share nearer to a half (Zeger et al. 1988, Biometrics 44)
    wider = np.sqrt(1 + (16 * np.sqrt(3) / 15 / np.pi) ** 2 * 2 * taste**2)
    wins = rng.random(len(subject)) < expit(wider * (logit(share) + preferred))
    rows = pd.DataFrame({"subject": subject, "source": source, "tied": 0})
    names = np.where(wins, "a", "b"), np.where(wins, "b", "a")
    fit = bradley_terry(rows.assign(winner=names[0], loser=names[1]))
    return fit.interval.loc["a", "low"] > 0


@pytest.mark.parametrize(
    ("n", "m"), [(6, 12), pytest.param(24, 16, marks=pytest.mark.slow)]
)
def test_a_simulated_panel_tells_the_share_as_often_as_promised(n, m):
    share = smallest_detectable_share(n, m)
    found = [chosen(seed, n, m, share) for seed in range(150)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.09)


def test_a_share_takes_more_of_a_panel_than_a_difference():
    assert np.isnan(
        [smallest_detectable_share(*size) for size in [(2, 48), (3, 12)]]
    ).all()
    assert 0.5 < smallest_detectable_share(24, 48) < smallest_detectable_share(12, 12)
    independent = smallest_detectable_share(24, 48, taste=0.0)
    # the binomial's of 1152 choices: two-sided 0.05, power 0.8
    assert independent == pytest.approx(0.5 + 2.8016 / 2 / 1152**0.5, abs=0.01)
    with pytest.raises(SettingError, match="finite spread of 0 or more"):
        smallest_detectable_share(12, 12, taste=-1.0)


spreads = st.floats(0, 0.8)


@settings(max_examples=15, deadline=None)
@example(0.8, 0.8, 3, 47)
@given(spreads, spreads, st.integers(3, 23), st.integers(3, 47))
def test_more_people_or_pictures_are_never_worse(subject, source, n, m):
    spread = Spread(subject=subject, source=source)
    here, more_people, more_pictures = (
        smallest_detectable_difference(n + i, m + j, spread=spread)
        for i, j in ((0, 0), (1, 0), (0, 1))
    )
    # 8192 panels know their mean to a few parts in 100,000
    assert more_people <= here * (1 + 1e-4)
    assert more_pictures <= here * (1 + 1e-4)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 12), (12, 2), (3, 1)])
def test_below_three_by_three_nothing_can_be_planned(n, m):
    assert np.isnan(smallest_detectable_difference(n, m))


def test_the_spread_of_a_large_panel_is_what_was_planted():
    planted = Spread(subject=0.5, source=0.3, residual=0.9)
    found = spread_of(simulated(0, 300, 300, 0.2, planted))
    for name in ("subject", "source", "residual"):
        assert getattr(found, name) == pytest.approx(getattr(planted, name), rel=0.1)


def test_larger_panels_and_fewer_comparisons_find_smaller_differences():
    assert smallest_detectable_difference(24, 12) < smallest_detectable_difference(
        12, 12
    )
    assert smallest_detectable_difference(12, 24) < smallest_detectable_difference(
        12, 12
    )
    corrected = smallest_detectable_difference(12, 12, n_comparisons=10)
    assert corrected > smallest_detectable_difference(12, 12)


def test_one_subject_and_unpaired_scores_are_refused(panel):
    with pytest.raises(SettingError, match="2 subjects"):
        power(1.0, 1, 5)
    with pytest.raises(SettingError, match="two sources"):
        spread_of(panel(seed=0, n_sources=1).ratings)


@pytest.mark.parametrize("chance", [0.0506, 0.051])
def test_a_chance_below_that_of_a_false_alarm_is_refused(chance):
    # the test of 3 subjects with 24 sources finds 5.7 % where there is nothing
    with pytest.raises(SettingError, match=r"3 subjects and 24 sources.*found 0\.05"):
        smallest_detectable_difference(3, 24, chance=chance)
    assert smallest_detectable_difference(12, 12, chance=0.051) < 0.1


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.4, "0.4", None])
@pytest.mark.parametrize("part", ["subject", "source", "residual"])
def test_a_spread_that_is_no_finite_number_is_refused(part, value):
    with pytest.raises(SettingError, match=f"finite spread.*{part}={value!r}"):
        Spread(**{part: value})


def test_what_is_no_number_is_refused():
    with pytest.raises(SettingError, match="found 'x'"):
        smallest_detectable_difference(12, 12, chance="x")
    with pytest.raises(SettingError, match="got 'x'"):
        power("x", 12, 12)
