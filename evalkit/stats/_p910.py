"""The model of ITU-T P.910: quality, each subject's bias and inconsistency."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import block_array, csr_array
from scipy.sparse.csgraph import connected_components
from scipy.stats import chi2, t

from evalkit.errors import TableError
from evalkit.stats._codes import Numbers, coded, sums
from evalkit.stats.bootstrap import tails

__all__ = ["P910", "p910"]

TOLERANCE, MAX_STEPS, EPSILON = 1e-8, 1000, 1e-8
TAKEN_OVER = 0.05
"""Share of a subject's scores that must stay free once the model is fitted to them."""


@dataclass(frozen=True, slots=True)
class P910:
    """The result of `p910`.

    Attributes
    ----------
    quality
        Each stimulus's, on the scale of the scores; index ``source, condition``.
    bias
        How much higher a subject scores than the panel; mean 0; index ``subject``.
    inconsistency
        Standard deviation of a subject's scores about quality plus bias; index
        ``subject``. NaN for a subject of one score, which tells nothing of it.
    interval
        Index ``parameter, item, condition``: parameter is ``quality``, ``bias`` or
        ``inconsistency``, item a source or a subject, condition empty for a subject.
        Columns ``low, high``; NaN for a single subject.
    is_residual
        Whether residual maximum likelihood was needed: see `p910`.

    """

    quality: pd.Series
    bias: pd.Series
    inconsistency: pd.Series
    interval: pd.DataFrame
    is_residual: bool


class _Sums(NamedTuple):
    """All that the model needs of the scores, taken about their centre.

    The first two are sparse, of shape ``(subjects, stimuli)``; the last has shape
    ``(subjects,)``.
    """

    count: csr_array
    total: csr_array
    square: Numbers


class _Fit(NamedTuple):
    quality: Numbers
    bias: Numbers
    variance: Numbers
    free: Numbers
    """Degrees of freedom of each variance."""


def p910(ratings: pd.DataFrame, *, confidence: float = 0.95) -> P910:
    """Fit score = quality + bias + inconsistency x noise by maximum likelihood.

    Parameters
    ----------
    ratings
        As in `evalkit.stats.mean_opinion_scores`.

    Notes
    -----
    The interval of a quality is for other subjects: it holds their noise and the spread
    of their biases, where P.910 takes the panel's biases as given. Intervals stand on
    residual maximum likelihood, since the most likely inconsistencies are too small.
    The likelihood has no bound: in a small panel it may follow one subject, whose
    inconsistency goes to 0. Then the estimates, too, are the residual ones.

    An interval of 95 % of an inconsistency holds it in 94 % where scores are the
    model's own (24 subjects, 16 sources), in 85 % where they are whole numbers from 1
    to 5, in 75 % where some stimuli make everybody noisier: docs/statistics.md.

    Raises
    ------
    TableError
        A missing column, no score, or groups of subjects without a common stimulus.

    References
    ----------
    ITU-T P.910, 2023, annex E, by its alternating projection; Li, Bampis, Janowski &
    Katsavounidis, A Simple Model for Subject Behavior in Subjective Experiments, 2020.

    """
    c = coded(ratings)
    stimulus, stimuli = c.stimuli()
    shape = (len(c.subjects), len(stimuli))
    centre = c.score.mean()
    score = c.score - centre
    scores = _Sums(
        csr_array((np.ones(len(score)), (c.subject, stimulus)), shape),
        csr_array((score, (c.subject, stimulus)), shape),
        sums(c.subject, shape[0], score**2),
    )
    _check_connected(scores.count)
    fit = _fit(scores, residual=False)
    residual = _fit(scores, residual=True) if shape[0] > 1 else fit
    n = scores.count.sum(axis=1)
    is_taken_over = (n > 1) & (fit.free < TAKEN_OVER * n)
    is_residual = residual is not fit and bool(is_taken_over.any())
    if is_residual:
        fit = residual
    shift = fit.bias.mean()
    quality = pd.Series(fit.quality + centre + shift, stimuli, name="quality")
    bias = pd.Series(fit.bias - shift, c.subjects, name="bias")
    inconsistency = pd.Series(fit.variance**0.5, c.subjects, name="inconsistency")
    inconsistency = inconsistency.where(n > 1)
    intervals = _intervals(scores.count, fit, residual, confidence)
    subjects = pd.MultiIndex.from_product([c.subjects, [""]])
    rows = {
        "quality": quality.to_numpy()[:, None] + intervals[0],
        "bias": bias.to_numpy()[:, None] + intervals[1],
        "inconsistency": intervals[2],
    }
    frames = {
        name: pd.DataFrame(
            bounds, stimuli if name == "quality" else subjects, ["low", "high"]
        )
        for name, bounds in rows.items()
    }
    interval = pd.concat(frames, names=["parameter", "item", "condition"])
    return P910(quality, bias, inconsistency, interval, is_residual)


def _check_connected(count: csr_array) -> None:
    n_subjects = count.shape[0]
    graph = block_array([[None, count], [count.T, None]])
    n_groups, _ = connected_components(graph, directed=False)
    if n_groups > 1:
        raise TableError(
            f"expected {n_subjects} subjects linked by stimuli that they both scored, "
            f"found {n_groups} groups with none in common: bias cannot be told from "
            "quality; analyse each group by itself"
        )


def _fit(scores: _Sums, *, residual: bool) -> _Fit:
    """Alternate between qualities, biases and variances until qualities rest.

    With `residual`, squares are divided by their degrees of freedom instead of by
    their number: residual maximum likelihood, which no single subject takes over.
    """
    count, total, square = scores
    count_t, total_t = count.T.tocsr(), total.T.tocsr()
    n, of_subject = count.sum(axis=1), total.sum(axis=1)
    quality = total.sum(axis=0) / count.sum(axis=0)
    weight = np.ones(len(n))
    is_measured = n > 1
    for _ in range(MAX_STEPS):
        before = quality
        bias = (of_subject - count @ quality) / n
        squares = square - 2 * (total @ quality) + count @ quality**2 - n * bias**2
        leverage = weight * (count @ (1 / (count_t @ weight)))
        free = n - 1 - leverage * (1 - 1 / n)
        divisor = np.where(is_measured, free if residual else n, 1)
        variance = np.maximum(squares, 0) / divisor
        # one score, less its own bias, is no noise at all: such a subject would
        # outweigh all others, and is taken to be as noisy as they are
        rest = variance[is_measured].mean() if is_measured.any() else 1.0
        variance = np.where(is_measured, variance, rest)
        weight = 1 / (variance + EPSILON)
        quality = (total_t @ weight - count_t @ (weight * bias)) / (count_t @ weight)
        if np.linalg.norm(quality - before) < TOLERANCE:
            break
    return _Fit(quality, (of_subject - count @ quality) / n, variance, free)


def _intervals(
    count: csr_array, fit: _Fit, residual: _Fit, confidence: float
) -> tuple[Numbers, Numbers, Numbers]:
    """Intervals about 0 of quality and bias, and those of inconsistency themselves."""
    n_subjects, n = count.shape[0], count.sum(axis=1)
    if n_subjects < 2:
        return (np.full((count.shape[1], 2), np.nan),) + (np.full((1, 2), np.nan),) * 2
    low, high = tails(confidence)
    variance, free = residual.variance, np.maximum(residual.free, 1)
    weight = 1 / (fit.variance + EPSILON)
    total = count.T @ weight
    noise = (count.T @ (weight**2 * variance)) / total**2
    # the weights are estimates themselves: Meier, Variance of a Weighted Mean, 1953
    noise *= 1 + 4 * (
        count.T @ (weight / free) / total - count.T @ (weight**2 / free) / total**2
    )
    spread = fit.bias.var(ddof=1) / n_subjects
    total_variance = noise + spread
    squares = spread**2 / (n_subjects - 1) + noise**2 / free.sum()
    freedom = np.maximum(total_variance**2 / np.maximum(squares, 1e-300), 1)
    of_quality = np.sqrt(total_variance) * t.ppf(high, freedom)
    of_mean = variance / n
    of_bias = np.sqrt(of_mean * (1 - 2 / n_subjects) + of_mean.sum() / n_subjects**2)
    of_bias *= t.ppf(high, free)
    signs = np.array([-1.0, 1.0])
    measured = np.where(n > 1, variance, np.nan)
    chi = np.stack([chi2.ppf(p, free) for p in (high, low)], axis=1)
    return (
        of_quality[:, None] * signs,
        of_bias[:, None] * signs,
        np.sqrt((measured * free)[:, None] / chi),
    )
