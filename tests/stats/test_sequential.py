import numpy as np
import pandas as pd
import pytest

from evalkit.errors import SettingError, TableError
from evalkit.stats import LOOKS, sequential_look
from evalkit.stats._sequential import FIRST_Z


def every(n_subjects, n_sources, *, wins=1.0, tied=False, seed=0):
    """Choices of simulated subjects: ``a`` wins with this probability."""
    subject, source = np.indices((n_subjects, n_sources)).reshape(2, -1)
    is_won = np.random.default_rng(seed).random(len(subject)) < wins
    return pd.DataFrame(
        {
            "subject": subject,
            "source": source,
            "winner": np.where(is_won, "a", "b"),
            "loser": np.where(is_won, "b", "a"),
            "tied": tied,
        }
    )


def test_nothing_is_looked_at_before_the_first_look():
    row = sequential_look(every(5, 7)[:35], 144).loc[("a", "b")]
    assert (row["n_choices"], row["look"], row["next_at"]) == (35, 0, 36)
    assert not row["is_decided"]
    assert pd.isna(row["share"])


def test_unanimous_choices_decide_early_and_more_of_them_change_nothing():
    choices = every(12, 12)
    half = sequential_look(choices[:80], 144)
    row = half.loc[("a", "b")]
    assert row["is_decided"]
    assert row["share"] == 1
    assert row["look"] < LOOKS
    assert pd.isna(row["next_at"])
    whole = sequential_look(choices, 144)
    pd.testing.assert_frame_equal(
        half.drop(columns="n_choices"), whole.drop(columns="n_choices")
    )


def test_choices_between_looks_do_not_count():
    choices = every(12, 12, wins=0.6)
    at_look, later = (sequential_look(choices[:n], 144) for n in (72, 100))
    assert later["n_looked_at"].item() == 72
    assert later["p"].item() == at_look["p"].item()
    assert later["next_at"].item() == 108


def test_the_last_look_is_at_nearly_the_whole_level():
    row = sequential_look(every(12, 12, wins=0.5), 144).loc[("a", "b")]
    assert row["look"] == LOOKS
    assert row["level"] == pytest.approx(0.0346, abs=1e-4)
    assert row["low"] < row["share"] < row["high"]


def test_without_clusters_four_looks_err_in_4_of_100_panels():
    steps = np.random.default_rng(0).normal(size=(400_000, LOOKS))
    looks = np.arange(1, LOOKS + 1)
    z = steps.cumsum(axis=1) / looks**0.5
    errs = (np.abs(z) > FIRST_Z / looks**0.5).any(axis=1)
    assert errs.mean() == pytest.approx(0.04, abs=0.001)


def test_two_people_or_ties_alone_decide_nothing():
    assert not sequential_look(every(2, 40), 80)["is_decided"].item()
    tied = sequential_look(every(6, 6, tied=True), 36).loc[("a", "b")]
    assert tied["share"] == 0.5
    assert not tied["is_decided"]
    # 36 choices that split evenly: Wald's interval is as wide at least
    assert tied["high"] - tied["low"] > 2 * 1.96 * (0.25 / 36) ** 0.5


def test_each_pair_is_looked_at_by_itself():
    others = every(4, 9, wins=0.5).replace({"b": "c"})
    looks = sequential_look(pd.concat([every(4, 9), others]), 36)
    assert list(looks.index) == [("a", "b"), ("a", "c")]


def test_what_cannot_be_looked_at_is_refused():
    with pytest.raises(SettingError, match="planned"):
        sequential_look(every(2, 2), 3)
    with pytest.raises(TableError, match="one twice"):
        sequential_look(every(2, 2).assign(loser="a", winner="a"), 4)


@pytest.mark.slow
def test_looking_four_times_errs_no_more_often_than_promised(choices):
    # 400 simulated panels whose subjects and pictures have tastes, and no difference
    decided = [
        sequential_look(choices(seed, 8, 8, (0.0, 0.0), preference_sd=0.5), 64)[
            "is_decided"
        ].item()
        for seed in range(400)
    ]
    assert np.mean(decided) <= 0.05 + 2 * 0.011
