"""Bradley-Terry strengths from choices between two, ties counting half."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse.csgraph import connected_components
from scipy.special import expit, logit

from evalkit.errors import TableError
from evalkit.stats._codes import (
    Codes,
    Numbers,
    at_least_one,
    complete,
    factorized,
    numbers,
    sums,
    truths,
)
from evalkit.stats._two_way import TwoWay, two_way_interval
from evalkit.stats.bootstrap import tails

__all__ = ["BradleyTerry", "bradley_terry", "win_matrix"]

TOLERANCE, MAX_STEPS = 1e-10, 100


@dataclass(frozen=True, slots=True)
class BradleyTerry:
    """The result of `bradley_terry`.

    Attributes
    ----------
    strength
        Natural log, mean 0; index ``condition``. The first of two is chosen with
        probability ``1 / (1 + exp(second - first))``.
    interval
        Index ``condition``; columns ``low, high``.
    effect
        Index ``covariate``; columns ``value, low, high``: what a lead of one unit adds
        to the log odds. Empty without covariates.
    is_regularised
        Whether one tied choice was added to each pair: see `bradley_terry`.

    """

    strength: pd.Series
    interval: pd.DataFrame
    effect: pd.DataFrame
    is_regularised: bool


def bradley_terry(
    choices: pd.DataFrame,
    covariates: pd.DataFrame | None = None,
    *,
    confidence: float = 0.95,
    n_resamples: int = 1_000,
    seed: int = 0,
) -> BradleyTerry:
    """Strengths of conditions by maximum likelihood.

    Parameters
    ----------
    choices
        Columns ``subject, source, winner, loser, tied``; a tie is half a win of each,
        whichever stands first. A null `tied` ("can't tell") is left out.
    covariates
        Index ``source, condition``; numbers in each column, such as metrics. Every
        stimulus of `choices` must be in it.
    confidence
        Coverage of the intervals, for other subjects and other sources.

    Notes
    -----
    A tie counts half, but makes nothing surer than a choice does: no interval is
    narrower than that of as many independent choices, won and lost.

    Where some conditions were never beaten by the others, no finite strengths are most
    likely. Then, and only then, one tied choice is added to each pair of conditions
    that was compared, and `is_regularised` says so. Of two conditions, one of them
    always chosen, the interval is that of the binomial share.

    Raises
    ------
    TableError
        A missing column, no choice, a condition chosen against itself, groups of
        conditions never compared, a stimulus without covariates, a covariate that is
        no number or that the choices cannot tell from the others or the conditions: a
        constant one, say.

    References
    ----------
    Bradley & Terry, 1952; ties as half wins as in the Arena of Chiang et al., 2024.

    """
    columns = ["subject", "source", "winner", "loser", "tied"]
    rows = at_least_one(complete(choices, columns, "tied"), "tied")
    kinds = _kinds(rows, covariates)
    k = len(kinds.conditions)
    prior = _ties_to_add(kinds)
    added = np.zeros((len(prior), kinds.design.shape[1]))
    np.put_along_axis(added, prior, np.array([[1.0, -1.0]]), axis=1)
    fitted, covariance = _fit(
        np.vstack([kinds.design, added]),
        np.append(kinds.outcome, np.full(len(prior), 0.5)),
        np.append(kinds.n, np.ones(len(prior))),
        k,
    )
    residual = kinds.outcome - expit(kinds.design @ fitted)
    influence = (kinds.design * residual[:, None]) @ covariance
    below, above = _reaches(
        rows,
        influence,
        kinds.kind,
        covariance.diagonal(),
        confidence,
        n_resamples,
        seed,
    )
    table = pd.DataFrame(
        {"value": fitted, "low": fitted + below, "high": fitted + above}
    )
    strength = table[:k].set_axis(kinds.conditions)
    if k == 2 and len(prior) and covariates is None and rows["subject"].nunique() > 1:
        strength[["low", "high"]] = _unanimous(fitted[:k], len(rows), confidence)
    names = [] if covariates is None else list(covariates.columns)
    return BradleyTerry(
        strength["value"].rename("strength"),
        strength[["low", "high"]],
        table[k:].set_axis(pd.Index(names, name="covariate")),
        len(prior) > 0,
    )


def win_matrix(choices: pd.DataFrame) -> pd.DataFrame:
    """How often each condition (rows) was chosen over each other, ties half."""
    rows = complete(choices, ["winner", "loser", "tied"], "tied")
    kinds = _kinds(at_least_one(rows, "tied"), None)
    return pd.DataFrame(kinds.wins(), kinds.conditions, kinds.conditions)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Choices counted by what they have in common."""

    conditions: pd.Index
    first: Codes
    second: Codes
    outcome: Numbers
    """1 where the first won, 0.5 for a tie."""
    n: Numbers
    kind: Codes
    """The kind of each choice, by its number."""
    design: Numbers
    """Shape ``(kinds, conditions + covariates)``: the first minus the second."""

    def wins(self) -> Numbers:
        k = len(self.conditions)
        wins = np.zeros((k, k))
        np.add.at(wins, (self.first, self.second), self.outcome * self.n)
        np.add.at(wins, (self.second, self.first), (1 - self.outcome) * self.n)
        return wins


def _kinds(rows: pd.DataFrame, covariates: pd.DataFrame | None) -> _Kinds:
    pair, conditions = factorized(pd.concat([rows["winner"], rows["loser"]]))
    winner, loser = np.split(pair, 2)
    if (winner == loser).any():
        raise TableError("expected two conditions in each choice, found one twice")
    k = len(conditions)
    key = (winner * k + loser) * 2 + truths(rows["tied"]).to_numpy()
    if covariates is not None:
        source, sources = factorized(rows["source"])
        key += source * 2 * k**2
    keys, kind, n = np.unique(key, return_inverse=True, return_counts=True)
    first, second = keys // 2 // k % k, keys // 2 % k
    design = np.eye(k)[first] - np.eye(k)[second]
    if covariates is not None:
        of_source = sources[keys // (2 * k**2)]
        of_first, of_second = (
            _covariates_of(covariates, of_source, conditions[code])
            for code in (first, second)
        )
        design = np.hstack([design, of_first - of_second])
        _check_identifiable(design, k, covariates.columns)
    outcome = np.where(keys % 2, 0.5, 1.0)
    names = conditions.rename("condition")
    return _Kinds(names, first, second, outcome, n.astype(float), kind, design)


def _unanimous(fitted: Numbers, n: int, confidence: float) -> Numbers:
    """Bounds of two strengths where all of `n` choices were for one of them.

    Those of the binomial share: Clopper & Pearson, The Use of Confidence or Fiducial
    Limits, 1934. No choice bounds a share that may be 1.
    """
    low, _ = tails(confidence)
    half = float(logit(low ** (1 / n))) / 2
    bounds = np.array([[half, np.inf], [-np.inf, -half]])
    return bounds if fitted[0] > fitted[1] else bounds[::-1]


def _covariates_of(
    covariates: pd.DataFrame, sources: pd.Index, conditions: pd.Index
) -> Numbers:
    if covariates.index.nlevels != 2 or not covariates.index.is_unique:
        raise TableError(
            "expected covariates by source and condition, each once, found an index of "
            f"{covariates.index.nlevels} levels"
            f"{'' if covariates.index.is_unique else ' with repeated entries'}"
        )
    rows = covariates.reindex(pd.MultiIndex.from_arrays([sources, conditions]))
    lacking = rows.index[rows.isna().any(axis=1)]
    if len(lacking):
        raise TableError(
            f"expected covariates of every stimulus chosen from, none of {lacking[0]}"
        )
    return np.stack([numbers(rows[name]) for name in rows], axis=1)


def _check_identifiable(design: Numbers, k: int, names: pd.Index) -> None:
    """Refuse covariates whose effects no choices could tell apart."""
    length = np.linalg.norm(design, axis=0)
    rank = np.linalg.matrix_rank(design / np.where(length, length, 1))
    if rank < k - 1 + len(names):
        raise TableError(
            f"expected covariates {list(names)} that differ between the two of a "
            "choice, and not by condition alone: the choices cannot tell what one of "
            "them adds (it is constant, or follows from the others); leave it out"
        )


def _ties_to_add(kinds: _Kinds) -> Codes:
    """Pairs that get a tie: none where the likelihood has a maximum (Ford, 1957)."""
    wins = kinds.wins()
    n_groups, _ = connected_components(wins > 0, directed=False)
    if n_groups > 1:
        raise TableError(
            f"expected conditions linked by choices, found {n_groups} groups never "
            "compared with each other; analyse each group by itself"
        )
    if connected_components(wins > 0, connection="strong")[0] == 1:
        return np.empty((0, 2), np.intp)
    return np.argwhere(np.triu(wins + wins.T))


def _fit(
    design: Numbers, outcome: Numbers, n: Numbers, k: int
) -> tuple[Numbers, Numbers]:
    """Newton's method: parameters and their covariance if choices were independent."""
    along_mean = np.zeros((design.shape[1],) * 2)
    along_mean[:k, :k] = 1 / k  # what no choice can tell; keeps the mean at 0
    fitted = np.zeros(design.shape[1])
    for _ in range(MAX_STEPS):
        p = expit(design @ fitted)
        hessian = (design.T * (n * p * (1 - p))) @ design + along_mean
        step = np.linalg.solve(hessian, design.T @ (n * (outcome - p)))
        largest = np.abs(step).max()
        if largest < TOLERANCE:
            return fitted, np.linalg.inv(hessian) - along_mean
        fitted = fitted + step * min(1, 2 / largest)
    raise TableError(
        f"expected choices with finite effects, found none after {MAX_STEPS} steps: a "
        "covariate tells winners from losers without exception; leave it out"
    )


def _reaches(
    rows: pd.DataFrame,
    influence: Numbers,
    kind: Codes,
    least: Numbers,
    confidence: float,
    n_resamples: int,
    seed: int,
) -> tuple[Numbers, Numbers]:
    """How far the intervals reach, at least as far as variances of `least` do."""
    (subject, subjects), (source, sources) = (
        factorized(rows[name]) for name in ("subject", "source")
    )
    two_way = TwoWay(subject, source)
    columns = range(influence.shape[1])
    variances = [two_way.variance(influence[kind, i]) for i in columns]
    by_subject, by_source = (
        np.stack([sums(code, n, influence[kind, i]) for i in columns], axis=1)
        for code, n in ((subject, len(subjects)), (source, len(sources)))
    )
    return two_way_interval(
        by_subject,
        by_source,
        variances,
        least,
        confidence=confidence,
        n_resamples=n_resamples,
        seed=seed,
    )
