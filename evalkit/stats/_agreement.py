"""How far subjects agree: with each other, with themselves, and metrics with them."""

import numpy as np
import pandas as pd
from scipy.stats import f, rankdata

from evalkit.errors import SettingError
from evalkit.stats._codes import Numbers, coded, known_scores, numbers
from evalkit.stats.bootstrap import generator, tails

__all__ = ["icc", "krippendorff_alpha", "metric_agreement", "retest"]

LEVELS = ("nominal", "ordinal", "interval", "ratio")


def krippendorff_alpha(ratings: pd.DataFrame, level: str = "ordinal") -> float:
    """Krippendorff's alpha over stimuli: 1 is perfect agreement, 0 is chance.

    Parameters
    ----------
    ratings
        As in `evalkit.stats.mean_opinion_scores`. The first of repeated scores counts.
    level
        How far two scores are apart: ``nominal, ordinal, interval`` or ``ratio``.

    Returns
    -------
    float
        NaN where no stimulus has two scores, or all scores are equal.

    Raises
    ------
    SettingError
        Another level.

    References
    ----------
    Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011.

    """
    if level not in LEVELS:
        raise SettingError(f"level: expected one of {', '.join(LEVELS)}, got {level!r}")
    scores = known_scores(ratings)
    c = coded(scores.drop_duplicates(["subject", "source", "condition"]))
    stimulus, stimuli = c.stimuli()
    values, value = np.unique(c.score, return_inverse=True)
    counts = np.zeros((len(stimuli), len(values)))
    np.add.at(counts, (stimulus, value), 1)
    counts = counts[counts.sum(axis=1) > 1]
    weights = counts / (counts.sum(axis=1, keepdims=True) - 1)
    observed = weights.T @ counts - np.diag(weights.sum(axis=0))
    n = observed.sum(axis=0)
    expected = (np.outer(n, n) - np.diag(n)) / max(n.sum() - 1, 1)
    distance = _distance(values, n, level)
    chance = float((expected * distance).sum())
    return 1 - float((observed * distance).sum()) / chance if chance else float("nan")


def _distance(values: Numbers, n: Numbers, level: str) -> Numbers:
    """Squared differences between values, shape ``(values, values)``."""
    if level == "nominal":
        return 1 - np.eye(len(values))
    if level == "ordinal":
        values = np.cumsum(n) - n / 2
    difference = values[:, None] - values
    if level == "ratio":
        total = values[:, None] + values
        difference = difference / np.where(total, total, 1)
    return np.asarray(difference**2, float)


def icc(ratings: pd.DataFrame, *, confidence: float = 0.95) -> pd.DataFrame:
    """Intraclass correlation of subjects, drawn at random, in absolute agreement.

    Parameters
    ----------
    ratings
        As in `evalkit.stats.mean_opinion_scores`; repeats are averaged. Only stimuli
        that every subject scored count.

    Returns
    -------
    DataFrame
        Index ``kind``: ``ICC(2,1)`` of one subject, ``ICC(2,k)`` of the panel's mean;
        columns ``icc, low, high, n_subjects, n_stimuli``. NaN below two of either, or
        where subjects differ by their bias only.

    References
    ----------
    Shrout & Fleiss, 1979; McGraw & Wong, 1996, for the intervals.

    """
    scores = known_scores(ratings)
    table = scores.pivot_table(
        index=["source", "condition"], columns="subject", values="score"
    ).dropna()
    n, k = table.shape
    single = _icc(table.to_numpy(float), confidence)
    panel = k * single / (1 + (k - 1) * single)  # Spearman and Brown
    kinds = pd.Index(["ICC(2,1)", "ICC(2,k)"], name="kind")
    frame = pd.DataFrame([single, panel], kinds, ["icc", "low", "high"])
    return frame.assign(n_subjects=k, n_stimuli=n)


def _icc(x: Numbers, confidence: float) -> Numbers:
    """ICC(2,1) of a table of stimuli by subjects, and its interval."""
    n, k = x.shape
    unknown = np.full(3, np.nan)
    if min(n, k) < 2:
        return unknown
    rows, columns = x.mean(axis=1), x.mean(axis=0)
    residual = x - rows[:, None] - columns + x.mean()
    if not residual.any():
        return unknown
    ms_rows, ms_columns = k * rows.var(ddof=1), n * columns.var(ddof=1)
    ms_residual = (residual**2).sum() / ((n - 1) * (k - 1))
    total = ms_rows + (k - 1) * ms_residual + k * (ms_columns - ms_residual) / n
    single = (ms_rows - ms_residual) / total
    a = k * single * ms_columns
    b = (n * (1 - single) + k * single * (n - 1)) * ms_residual
    freedom = (a + b) ** 2 / (a**2 / (k - 1) + b**2 / ((n - 1) * (k - 1)))
    _, high = tails(confidence)
    upper, lower = f.ppf(high, n - 1, freedom), f.ppf(high, freedom, n - 1)
    ratio = k * ms_columns + (k * n - k - n) * ms_residual
    return np.array(
        [
            single,
            n * (ms_rows - upper * ms_residual) / (upper * ratio + n * ms_rows),
            n * (lower * ms_rows - ms_residual) / (ratio + n * lower * ms_rows),
        ]
    )


def retest(ratings: pd.DataFrame) -> pd.DataFrame:
    """How far each subject repeats themselves, from stimuli scored twice.

    Parameters
    ----------
    ratings
        As in `evalkit.stats.mean_opinion_scores`. The first two scores of a subject
        for a stimulus are a pair.

    Returns
    -------
    DataFrame
        Index ``subject``; columns ``n_pairs, same`` (share of equal scores),
        ``mean_abs_difference`` and ``sd`` (of one score about the subject's own mean:
        root of half the mean squared difference). Only subjects with a pair.

    References
    ----------
    Bland & Altman, Measurement Error, 1996, for the within-subject deviation.

    """
    scores = known_scores(ratings)
    cells = scores.groupby(["subject", "source", "condition"], sort=False)
    scores = scores.assign(turn=cells.cumcount())
    pairs = scores[scores["turn"] < 2].pivot(
        index=["subject", "source", "condition"], columns="turn", values="score"
    )
    difference = pairs.reindex(columns=[0, 1]).diff(axis=1)[1].dropna()
    frame = pd.DataFrame(
        {
            "same": difference == 0,
            "mean_abs_difference": difference.abs(),
            "sd": difference**2 / 2,
        }
    ).groupby(level="subject")
    means = frame.mean()
    means.insert(0, "n_pairs", frame.size())
    return means.assign(sd=means["sd"] ** 0.5)


def metric_agreement(
    quality: pd.Series,
    metrics: pd.DataFrame,
    *,
    confidence: float = 0.95,
    n_resamples: int = 2_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Which metric orders stimuli as the panel does.

    Parameters
    ----------
    quality
        Index ``source, condition``, such as `P910.quality`.
    metrics
        The same index; one metric a column. A stimulus without a value is left out.
    confidence
        Coverage of the interval, for other sources: they are resampled as a whole.

    Returns
    -------
    DataFrame
        Index ``metric``; columns ``srcc`` (Spearman's rank correlation; near -1 for a
        good metric where lower is better), ``low, high, n_sources, n_stimuli``. NaN
        below three stimuli; the interval NaN below three sources.

    References
    ----------
    ITU-T P.1401, 2020, on comparing metrics with subjective scores.

    """
    probabilities = tails(confidence)
    rows = {}
    for name in metrics.columns:
        pairs = metrics[[name]].join(quality.rename("_quality")).dropna()
        of_source = list(pairs.groupby(level="source").indices.values())
        values = np.stack(
            # the PSNR of two equal pictures is infinite
            [numbers(pairs[column], largest=np.inf) for column in pairs],
            axis=1,
        )
        low = high = np.nan
        if (n := len(of_source)) > 2:
            rng = generator(seed, n_resamples)
            resampled = [
                _srcc(values[np.concatenate([of_source[i] for i in drawn])])
                for drawn in rng.integers(n, size=(n_resamples, n))
            ]
            low, high = np.nanquantile(resampled, probabilities)
        rows[name] = {
            "srcc": _srcc(values),
            "low": low,
            "high": high,
            "n_sources": len(of_source),
            "n_stimuli": len(values),
        }
    columns = ["srcc", "low", "high", "n_sources", "n_stimuli"]
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return frame.rename_axis("metric").sort_values("srcc", key=abs, ascending=False)


def _srcc(values: Numbers) -> float:
    if len(values) < 3:
        return float("nan")
    ranks = [rankdata(column) for column in values.T]
    if any(np.ptp(column) == 0 for column in ranks):
        return float("nan")
    return float(np.corrcoef(ranks)[0, 1])
