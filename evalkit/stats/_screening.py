"""Screening of subjects: a log of what was found, and results with and without it."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit.errors import TableError
from evalkit.stats._codes import (
    Coded,
    Codes,
    Numbers,
    coded,
    complete,
    numbers,
    sums,
    truths,
)
from evalkit.stats._mos import mean_opinion_scores
from evalkit.stats._p910 import p910

__all__ = ["Screening", "screen"]

FEW = 6
"""Up to 5 subjects no score can lie 2 deviations out: with the Recommendation's n - 1
in the deviation, |z| is at most (n - 1) / sqrt(n)."""

MOST_MISSED = 1
"""One check may be missed by anyone: a slip of the finger, or a gold that is hard."""

LEAST_VARIANCE = 0.15
FASTEST_S = 1.0
"""The half second in which the page takes no answer, and another that a choice among
five takes: Hick, On the Rate of Gain of Information, 1952."""

LEAST_R_STIMULI, LEAST_R_CONDITIONS = 0.75, 0.8

LEAST_CONDITIONS = 3
"""Two means always lie on a line, and sources alone may differ too little: honest
subjects would neither follow the panel over them nor tell them apart."""

FAR, LEAST_APART = 3.5, 0.5

RULES = {
    "bt500": "BT.500: scores lie far out, to both sides",
    "correlation": "P.910: does not follow the panel over stimuli, nor conditions",
    "variance": "P.910: gives nearly the same score to everything",
    "checks": "P.910: missed two golds or traps, or more",
    "time": "half of the answers came in less time than looking and choosing takes",
    "bias": "P.910's model: far above or below the panel",
    "inconsistency": "P.910's model: noisier than the panel",
}
REJECTS = {
    "bt500": ("bt500",),
    "p910": ("correlation", "variance", "checks"),
}
"""The model of P.910 weighs a biased or noisy subject: it rejects nobody. Nor does
time: who is practised is fast."""


Flags: TypeAlias = tuple[Numbers, float, NDArray[np.bool_]]
"""A value of each subject, the limit, and whether each subject is flagged."""


@dataclass(frozen=True, slots=True)
class Screening:
    """The result of `screen`.

    Attributes
    ----------
    log
        One row a subject and rule: ``subject, rule, value, limit, is_flagged`` and
        ``reason``, null where nothing was found.
    rejected
        The subjects whom each method, ``bt500`` and ``p910``, leaves out.
    mos
        `evalkit.stats.mean_opinion_scores` under ``method`` ``none`` and each other;
        index ``method, condition``.
    note
        What the size of the panel, or of a session, makes impossible; empty for
        nothing.

    """

    log: pd.DataFrame
    rejected: dict[str, list[str]]
    mos: pd.DataFrame
    note: str


def screen(
    ratings: pd.DataFrame,
    checks: pd.DataFrame | None = None,
    times: pd.DataFrame | None = None,
) -> Screening:
    """Look for subjects who clicked, did not look, or mean something else.

    Nobody's scores are deleted: results stand beside each other. Correlation and
    variance reject only who scored three conditions or more. Where subjects are not
    linked by stimuli that both scored, the model of P.910 has no say, and is not in the
    log.

    Parameters
    ----------
    ratings
        As in `evalkit.stats.mean_opinion_scores`, without checks and training.
    checks
        Columns ``subject, is_missed`` of answers to gold and trap stimuli; None for no
        such stimuli.
    times
        Columns ``subject, seconds`` of answers, by one clock; null where it is not
        known. None for no clock.

    Raises
    ------
    TableError
        A missing column, or no score.

    References
    ----------
    ITU-R BT.500-15, 2023, annex 1, 2.3.1; ITU-T P.913, 2021, 11.4, and VQEG's
    multimedia test plan, 2008, annex VI, for correlations; Naderi & Cutler, A
    Crowdsourcing Approach to Video Quality Assessment, 2024, for variance and checks;
    Iglewicz & Hoaglin, 1993, for 3.5 as the limit of the modified z-score.

    """
    c = coded(ratings)
    n = len(c.subjects)
    notes = []
    if n < FEW:
        notes.append(
            f"with {n} subjects BT.500 cannot reject anyone "
            f"(|z| <= {(n - 1) / n**0.5:.2f})"
        )
    n_few = int((_n_conditions(c) < LEAST_CONDITIONS).sum())
    if n_few:
        notes.append(
            f"{n_few} of {n} subjects scored fewer than {LEAST_CONDITIONS} conditions, "
            "too few to tell who follows the panel or gives one score to everything: "
            "P.910's correlation and variance reject none of them"
        )
    flags: dict[str, Flags] = {
        "bt500": _bt500(c),
        "correlation": _correlation(c),
        "variance": _variance(c),
    }
    try:
        flags |= _model(ratings)
    except TableError as error:
        notes.append(f"no subject's bias or inconsistency is known: {error}")
    if checks is not None:
        rows = complete(checks, ["subject", "is_missed"], "is_missed")
        of_subject = truths(rows["is_missed"]).groupby(rows["subject"])
        missed = of_subject.sum().reindex(c.subjects).to_numpy(float)
        n_most = of_subject.size().reindex(c.subjects).max()
        flags["checks"] = (missed, MOST_MISSED + 1.0, missed > MOST_MISSED)
        if not n_most > MOST_MISSED:
            notes.append(
                f"no subject met {MOST_MISSED + 1} checks or more, so none can be "
                "rejected for missing them"
            )
    if times is not None:
        rows = complete(times, ["subject", "seconds"], "seconds")
        medians = numbers(rows["seconds"]).groupby(rows["subject"]).median()
        median = medians.reindex(c.subjects).to_numpy(float)
        flags["time"] = (median, FASTEST_S, median < FASTEST_S)
    log = pd.concat(
        pd.DataFrame(
            {
                "subject": c.subjects,
                "rule": rule,
                "value": value,
                "limit": limit,
                "is_flagged": is_flagged,
                "reason": [RULES[rule] if flag else None for flag in is_flagged],
            }
        )
        for rule, (value, limit, is_flagged) in flags.items()
    ).reset_index(drop=True)
    flagged = log[log["is_flagged"]]
    rejected = {
        method: sorted(set(flagged.loc[flagged["rule"].isin(rules), "subject"]))
        for method, rules in REJECTS.items()
    }
    remaining = {
        method: ratings[~ratings["subject"].isin(names)]
        for method, names in {"none": [], **rejected}.items()
        if len(names) < n
    }
    mos = {name: mean_opinion_scores(scores) for name, scores in remaining.items()}
    return Screening(log, rejected, pd.concat(mos, names=["method"]), "; ".join(notes))


def _bt500(c: Coded) -> Flags:
    """The share of scores far out, and whether they lie to both sides."""
    stimulus, stimuli = c.stimuli()
    m, n = len(stimuli), len(c.subjects)
    count = sums(stimulus, m)
    apart = c.score - (sums(stimulus, m, c.score) / count)[stimulus]
    second, fourth = (sums(stimulus, m, apart**power) / count for power in (2, 4))
    # a stimulus on which all agree has no outlier
    kurtosis = fourth / np.where(second > 0, second, 1) ** 2
    deviation = np.sqrt(second * count / np.maximum(count - 1, 1))
    limit = np.where((kurtosis >= 2) & (kurtosis <= 4), 2, np.sqrt(20)) * deviation
    limit = np.where(second > 0, limit, np.inf)[stimulus]
    above = sums(c.subject, n, apart >= limit)
    below = sums(c.subject, n, apart <= -limit)
    far = above + below
    share = far / sums(c.subject, n)
    is_both_sided = np.abs(above - below) < 0.3 * far
    return share, 0.05, (share > 0.05) & is_both_sided


def _n_conditions(c: Coded) -> Codes:
    """How many conditions each subject scored."""
    pairs = np.unique(c.subject * len(c.conditions) + c.condition)
    return np.bincount(pairs // len(c.conditions), minlength=len(c.subjects))


def _correlation(c: Coded) -> Flags:
    by_stimulus = _pearson(c, c.stimuli()[0])
    is_low = _pearson(c, c.condition) < LEAST_R_CONDITIONS
    is_low &= (by_stimulus < LEAST_R_STIMULI) & (_n_conditions(c) >= LEAST_CONDITIONS)
    return by_stimulus, LEAST_R_STIMULI, is_low


def _pearson(c: Coded, group: Codes) -> Numbers:
    """Correlation of each subject's mean scores of groups with the panel's."""
    frame = pd.DataFrame({"subject": c.subject, "group": group, "score": c.score})
    by_subject = frame.groupby(["group", "subject"])["score"].mean().unstack()
    panel = frame.groupby("group")["score"].mean()
    # a subject who gives everything one score follows nothing
    followed = by_subject.corrwith(panel).where(by_subject.std() > 0, 0.0)
    return np.asarray(followed, float)


def _variance(c: Coded) -> Flags:
    value = pd.Series(c.score).groupby(c.subject).var(ddof=0).to_numpy()
    is_low = (value < LEAST_VARIANCE) & (_n_conditions(c) >= LEAST_CONDITIONS)
    return value, LEAST_VARIANCE, is_low


def _model(ratings: pd.DataFrame) -> dict[str, Flags]:
    """Modified z-scores of bias (both ways) and of inconsistency (upwards)."""
    model = p910(ratings)
    flags = {}
    for name, value in (("bias", model.bias), ("inconsistency", model.inconsistency)):
        apart = (value - value.median()).to_numpy()
        apart = np.abs(apart) if name == "bias" else apart
        spread = max((value - value.median()).abs().median(), 1e-9)
        is_far = (0.6745 * apart > FAR * spread) & (apart > LEAST_APART)
        flags[name] = (value.to_numpy(), FAR * spread / 0.6745, is_far)
    return flags
