import choix
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import expit
from scipy.stats import binomtest

from evalkit.errors import TableError
from evalkit.stats import bradley_terry, win_matrix

STRENGTHS = (-0.8, -0.2, 0.3, 0.7)


def as_pairs(choices):
    """Each choice twice; of a tie, once each way."""
    for row in choices.itertuples():
        yield row.winner, row.loser
        yield (row.loser, row.winner) if row.tied else (row.winner, row.loser)


@pytest.mark.parametrize("tied", [0, 0.2])
def test_strengths_agree_with_choix(choices, tied):
    rows = choices(0, 8, 6, STRENGTHS, tied=tied)
    found = bradley_terry(rows)
    expected = choix.opt_pairwise(4, list(as_pairs(rows)), alpha=0)
    assert found.strength.to_numpy() == pytest.approx(expected, abs=1e-3)
    assert found.strength.mean() == pytest.approx(0, abs=1e-9)
    assert found.interval.index.equals(found.strength.index)
    assert not found.is_regularised
    inside = found.strength.between(found.interval["low"], found.interval["high"])
    assert inside.all()


def test_covariates_agree_with_logistic_regression(choices):
    rows = choices(1, 10, 8, STRENGTHS)
    stimuli = pd.MultiIndex.from_product([range(8), range(4)])
    rng = np.random.default_rng(0)
    metrics = pd.DataFrame(rng.normal(size=(32, 2)), stimuli, ["sharpness", "noise"])
    found = bradley_terry(rows, metrics)
    one, other = (
        metrics.loc[list(zip(rows["source"], rows[side], strict=True))].to_numpy()
        for side in ("winner", "loser")
    )
    design = np.eye(4)[rows["winner"]] - np.eye(4)[rows["loser"]]
    # half of the rows the other way round, so that there are losses too
    sign = np.where(np.arange(len(rows)) % 2, 1, -1)[:, None]
    design = sign * np.hstack([design[:, 1:] - 0, one - other])
    fit = sm.Logit((sign > 0).ravel().astype(int), design).fit(disp=False)
    assert found.effect["value"].to_numpy() == pytest.approx(fit.params[3:], abs=1e-3)
    strength = found.strength - found.strength[0]
    assert strength.to_numpy()[1:] == pytest.approx(fit.params[:3], abs=1e-3)
    assert list(found.effect.index) == ["sharpness", "noise"]


def test_a_condition_never_beaten_gets_ties_and_that_is_said(choices):
    rows = choices(2, 6, 4, STRENGTHS)
    always = rows.assign(winner="best", loser=rows["loser"].astype(str))
    rows = pd.concat([rows.astype({"winner": str, "loser": str}), always])
    found = bradley_terry(rows)
    assert found.is_regularised
    assert found.strength.idxmax() == "best"
    # one tie added to each compared pair, by choix
    names = list(found.strength.index)
    code = {name: i for i, name in enumerate(names)}
    pairs = [(code[a], code[b]) for a, b in as_pairs(rows)]
    pairs += [(a, b) for a in range(5) for b in range(5) if a != b]
    expected = choix.opt_pairwise(5, pairs, alpha=0)
    assert found.strength.to_numpy() == pytest.approx(expected, abs=1e-3)
    width = found.interval["high"] - found.interval["low"]
    assert width["best"] > 1


@pytest.mark.parametrize("n_sources", [7, 40])
def test_unanimous_choices_have_the_binomials_interval(n_sources):
    subject, source = np.indices((3, n_sources)).reshape(2, -1)
    rows = pd.DataFrame(
        {"subject": subject, "source": source, "winner": "a", "loser": "b"}
    )
    found = bradley_terry(rows.assign(tied=False))
    exact = binomtest(len(rows), len(rows)).proportion_ci(0.95)
    share = expit(2 * found.interval.loc["a"])
    assert tuple(share) == pytest.approx((exact.low, exact.high))
    assert tuple(-found.interval.loc["b"]) == pytest.approx(
        tuple(found.interval.loc["a"])[::-1]
    )
    assert found.strength["a"] > found.interval.loc["a", "low"]


@pytest.mark.parametrize("n_won", [0, 1, 4])
@pytest.mark.parametrize("size", [(3, 3), (12, 12)])
def test_ties_are_no_surer_than_choices_that_split_evenly(size, n_won):
    subject, source = np.indices(size).reshape(2, -1)
    n = len(subject)
    rows = pd.DataFrame(
        {"subject": subject, "source": source, "winner": "a", "loser": "b"}
    )
    found = bradley_terry(rows.assign(tied=np.arange(n) >= n_won))
    # Wald's interval of the log odds of n choices of which half are won
    reach = 1.959964 * np.sqrt(4 / n)
    log_odds = 2 * found.interval.loc["a"]
    middle = 2 * found.strength["a"]
    assert not found.is_regularised
    assert log_odds["low"] <= middle - reach * (1 - 1e-6)
    assert log_odds["high"] >= middle + reach * (1 - 1e-6)


def test_groups_never_compared_are_refused():
    rows = pd.DataFrame(
        {"subject": 1, "source": 1, "winner": ["a", "b", "x", "y"]}
        | {"loser": ["b", "a", "y", "x"], "tied": False}
    )
    with pytest.raises(TableError, match="2 groups"):
        bradley_terry(rows)


def test_a_condition_against_itself_and_missing_covariates_are_refused(choices):
    rows = choices(3, 3, 3, STRENGTHS)
    with pytest.raises(TableError, match="twice"):
        bradley_terry(rows.assign(loser=rows["winner"]))
    with pytest.raises(TableError, match="covariates of every stimulus"):
        bradley_terry(
            rows, pd.DataFrame({"m": [1.0]}, pd.MultiIndex.from_tuples([(0, 0)]))
        )


def test_the_order_of_a_tie_does_not_matter(choices):
    rows = choices(4, 6, 4, STRENGTHS, tied=0.5)
    is_tie = rows["tied"]
    turned = rows.copy()
    turned.loc[is_tie, ["winner", "loser"]] = rows.loc[
        is_tie, ["loser", "winner"]
    ].to_numpy()
    one, other = bradley_terry(rows), bradley_terry(turned)
    assert one.strength.to_numpy() == pytest.approx(other.strength.to_numpy())
    assert one.interval.to_numpy() == pytest.approx(other.interval.to_numpy(), rel=1e-6)


def test_the_win_matrix_counts_ties_half():
    rows = pd.DataFrame(
        {"winner": ["a", "a", "b"], "loser": ["b", "b", "a"], "tied": [0, 1, 0]}
    )
    assert win_matrix(rows).to_numpy().tolist() == [[0, 1.5], [1.5, 0]]
