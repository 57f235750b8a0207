"""Claims that only people can judge: on the scores and choices of blind sessions.

No metric enters a verdict here. Judged on the runner ``upstream``. The article's own
pictures are not public, so pictures like each stand for it: those that
``data/claims.yaml`` says count. Its scores come from three people and one picture and
have no interval.
"""

import json
from collections.abc import Collection, Mapping
from math import isnan
from typing import Any

import numpy as np
import pandas as pd

from evalkit import stats
from evalkit.article._evidence import (
    LEAST_SOURCES,
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    all_of,
    not_tested,
    of_panel,
    within,
    without_gpu,
)
from evalkit.article._figures import CLAIMS, GPEN, MEANS, X4PLUS
from evalkit.restorers import settings_of
from evalkit.tables import SCORES_LOOKS

UPSTREAM = "@runner=upstream"
SCALE = (1, 5)
N_DRAWS = 1000
"""Of pictures, for an interval."""
FAKE = ("plastic", "wax-figure", "not-a-real-person")
"""Reasons, by their slugs in the rating page."""

SWITCHED_ON = f"{GPEN}@skin_protection=true"


def scores_for(claim: str, evidence: Evidence) -> pd.DataFrame:
    """The scores of the pictures that count for a claim.

    The column ``source`` has the original, so that pictures of one original or face
    count as one source; ``picture`` has the picture.
    """
    scores = evidence.scores
    counts = scores["source"].isin(evidence.pictures(CLAIMS[claim])["source"])
    scores = scores[counts].astype({"score": float})
    return scores.assign(
        picture=scores["source"], source=evidence.originals_of(scores["source"])
    )


def unrated(claim: str, evidence: Evidence, who: str) -> Judgement:
    """Judge that nobody has rated what the claim needs; say if nobody could."""
    wanted = CLAIMS[claim].pictures
    assert wanted, "a claim that people judge names its pictures"
    pictures = evidence.pictures(CLAIMS[claim])
    n = evidence.originals_of(pictures["source"]).nunique()
    text = f"Nobody has rated {who} on {wanted.are} in this run (ratings.sqlite)."
    if n < LEAST_SOURCES:
        text += (
            f" It has {n} such {'picture' if n == 1 else 'pictures'} "
            f"(tables/images.csv) and a verdict takes {LEAST_SOURCES}, so this claim "
            "cannot be decided with it."
        )
    return not_tested(text)


def spread(low: float, high: float, form: str) -> str:
    """An interval behind its figure, or why there is none."""
    if isnan(low) or isnan(high):
        return " (of too few for an interval)"
    return f" [{low:{form}}, {high:{form}}]"


def people_and_pictures(panel: Mapping[str, Any]) -> str:
    """How many, in words."""
    return f"{panel['n_subjects']:g} subjects on {panel['n_sources']:g} pictures"


def _mean(claim: str) -> Evaluator:
    restorer, _ = MEANS[claim]
    entry = CLAIMS[claim]
    part, number = entry.parts[0], entry.number

    def judge(evidence: Evidence) -> Judgement:
        scores = scores_for(claim, evidence)
        scores = scores[scores["condition"] == restorer + UPSTREAM]
        if scores.empty:
            return unrated(claim, evidence, f"{restorer}{UPSTREAM}")
        row = stats.mean_opinion_scores(scores).iloc[0]
        low, high = row[["ci_low", "ci_high"]].clip(*SCALE)  # no mean lies beyond
        names = ", ".join(sorted(set(scores["source"])))
        bounds = part.bounds(number)
        verdict, why = of_panel(within(low, high, *bounds), row)
        answer = f"{row['mos']:.2f} of 5{spread(low, high, '.2f')}"
        return Judgement(
            verdict,
            answer,
            f"{people_and_pictures(row)} gave {restorer}{UPSTREAM} {answer} in "
            f"{len(scores)} scores (ratings.sqlite; {names}); the article has {number} "
            f"of 5, and from {bounds[0]:.2g} to {bounds[1]:.2g} says the same.{why}",
            1,
        )

    return Evaluator(claim, judge)


def _with_reason(scores: pd.DataFrame, reasons: Collection[str]) -> tuple[int, int]:
    """How many subjects gave one of the reasons for more than half of their pictures.

    And how many there are. Of one picture or more it would grow with their number.
    """
    tags = scores["tags"].map(json.loads)
    has_reason = tags.map(lambda slugs: bool({*reasons} & {*slugs}))
    # pictures of one original count once
    of_one = has_reason.groupby([scores["subject"], scores["source"]]).mean()
    shares = of_one.groupby("subject").mean()
    return int((shares > 1 / 2).sum()), len(shares)


def _on_other_pictures(
    scores: pd.DataFrame, low: float, high: float
) -> tuple[float, float]:
    """The interval of a share of subjects, made as wide as other pictures make it.

    Pictures are drawn anew, with replacement, and those who saw one counted again;
    pictures of one original are one.
    """
    given = scores["tags"].map(lambda text: FAKE[2] in json.loads(text))
    cells = given.groupby([scores["subject"], scores["source"]]).mean().unstack()
    n = cells.shape[1]
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=N_DRAWS).T
    said, seen = (
        cells.fillna(0).to_numpy(float) @ times,
        cells.notna().to_numpy() @ times,
    )
    shares = (2 * said > seen).sum(axis=0) / (seen > 0).sum(axis=0)
    ends = np.quantile(shares, [0.025, 0.975])
    return min(low, float(ends[0])), max(high, float(ends[1]))


def _skin_protection(evidence: Evidence) -> Judgement:
    portraits = evidence.usable.loc[lambda rows: rows["kind"] == "portrait", "source"]
    scores = evidence.scores
    scores = scores[scores["source"].isin(portraits)]
    is_on = scores["condition"].map(
        lambda name: settings_of(name).get("skin_protection")
    )
    scores = scores[is_on.eq(other=True)]
    if scores.empty:
        return not_tested(
            f"Nobody has rated {SWITCHED_ON} on a portrait (ratings.sqlite). Even then "
            "it stays open: the switch that the claim is about is another program's."
        )
    k, n = _with_reason(scores, FAKE)
    answer = f"{k} of {n} subjects call a face of ours fake"
    return Judgement(
        Verdict.INCONCLUSIVE,
        answer,
        f"With our own switch on, {answer} (ratings.sqlite; reasons: "
        f"{', '.join(FAKE)}). The switch that the claim is about is another program's.",
    )


def _without_a_face(evidence: Evidence) -> Judgement:
    conditions = ("bicubic", GPEN + UPSTREAM)
    scores = scores_for("Q12", evidence)
    scores = scores[scores["condition"].isin(conditions)]
    pairs = scores if scores.empty else stats.compare_conditions(scores)
    if pairs.empty:
        return unrated("Q12", evidence, f"both {conditions[1]} and bicubic")
    row = pairs.iloc[0]
    low, high = -row["ci_high"], -row["ci_low"]
    answer = f"{-row['difference']:+.2f} marks{spread(low, high, '+.2f')}"
    bounds = CLAIMS["Q12"].bounds
    verdict, why = of_panel(within(low, high, *bounds), row, "difference")
    return Judgement(
        verdict,
        f"{answer} against bicubic",
        f"{people_and_pictures(row)} without a face put {conditions[1]} {answer} "
        f"from bicubic enlargement (ratings.sqlite); clearly worse is {bounds[1]:g}. "
        "The original restores the faces that it finds and leaves the rest as it was."
        f"{why}",
        1,
    )


def _eyes(_: Evidence) -> Judgement:
    return Judgement(
        Verdict.NOT_TESTABLE,
        None,
        "No picture of our sets is known to show shut eyes, and the rating page offers "
        "no reason about eyes.",
    )


def _not_a_real_person(evidence: Evidence) -> Judgement:
    condition = X4PLUS + UPSTREAM
    scores = scores_for("Q20", evidence)
    scores = scores[scores["condition"] == condition]
    if scores.empty:
        return unrated("Q20", evidence, condition)
    k, n = _with_reason(scores, FAKE[2:])
    from scipy.stats import binomtest  # late: it takes a second

    share = binomtest(k, n).proportion_ci()
    low, high = 100 * np.array(_on_other_pictures(scores, share.low, share.high))
    part = CLAIMS["Q20"].parts[0]
    held = within(low, high, *part.bounds(), is_effect=part.is_effect)
    panel = {"n_subjects": n, "n_sources": scores["source"].nunique()}
    verdict, why = of_panel(held, panel, None)
    return Judgement(
        verdict,
        f"{k} of {n} subjects",
        f"Of more than half of {condition}'s pictures that they saw {k} of {n} "
        f"subjects say that it is no real person (ratings.sqlite): {100 * k / n:.0f} % "
        f"[{low:.0f}, {high:.0f}], and the claim is more than half.{why}",
        1,
    )


def _preferred(
    evidence: Evidence, claim: str, first: str, second: str
) -> tuple[Verdict, str, str] | None:
    """The verdict on how often `first` is chosen over `second`, that in words, why."""
    choices = evidence.panel.choices
    is_pair = choices[["winner", "loser"]].isin([first, second]).all(axis=1)
    is_pair &= choices["source"].isin(evidence.pictures(CLAIMS[claim])["source"])
    if not is_pair.any():
        return None
    is_pair &= choices["repeat"] == 0  # whose answers are no new ones
    choices = choices[is_pair].astype({"tied": bool})
    choices = choices.assign(source=evidence.originals_of(choices["source"]))
    from scipy.special import expit

    fit = stats.bradley_terry(choices)
    low, high = 100 * expit(2 * fit.interval.loc[first].astype(float))
    is_won = (choices["winner"] == first).astype(float)
    middle = 100 * is_won.mask(choices["tied"], 0.5).mean()
    panel = {f"n_{name}s": choices[name].nunique() for name in ("subject", "source")}
    held = within(low, high, *CLAIMS[claim].bounds)
    verdict, why = of_panel(held, panel, None)
    looks = evidence.read(SCORES_LOOKS)
    is_pair = looks[["condition", "other"]].isin([first, second]).all(axis=1)
    # then the interval stands
    is_at_the_end = (looks["look"] > 0) & looks["next_at"].isna()
    if not (looks["is_decided"] | is_at_the_end)[is_pair].all():
        verdict = Verdict.INCONCLUSIVE
        why = (
            " By the looks that were planned this is not decided (tables/scores_looks)."
        )
    text = (
        f"{first} is chosen over {second} in {middle:.0f} %{spread(low, high, '.0f')} "
        f"of {len(choices)} choices by {people_and_pictures(panel)}"
    )
    return verdict, text, why


def _half_precision(evidence: Evidence) -> Judgement:
    single, half = (f"{X4PLUS}@precision={p},runner=upstream" for p in ("fp32", "fp16"))
    preference = _preferred(evidence, "Q14", single, half)
    if preference is None:
        text = f"Nobody has chosen between {single} and {half} (ratings.sqlite)."
        return without_gpu(evidence, text) or not_tested(text)
    verdict, answer, why = preference
    least, most = CLAIMS["Q14"].bounds
    return Judgement(
        verdict,
        answer,
        f"{answer} (ratings.sqlite); from {least:g} to {most:g} % is no visible loss."
        f"{why}",
        1,
    )


def _hybrid(evidence: Evidence) -> Judgement:
    alone = (GPEN + UPSTREAM, X4PLUS + UPSTREAM)
    preferences = [_preferred(evidence, "G24", "hybrid", name) for name in alone]
    measured = [preference for preference in preferences if preference is not None]
    if len(measured) < len(alone):
        who = f"the hybrid against {alone[0]} and against {alone[1]}"
        return unrated("G24", evidence, who)
    least, _ = CLAIMS["G24"].bounds
    answer = "; ".join(text for _, text, _ in measured)
    return Judgement(
        all_of(verdict for verdict, _, _ in measured),
        answer,
        f"{answer} (ratings.sqlite); far better is {least:g} % or more against each."
        f"{''.join(dict.fromkeys(why for *_, why in measured))}",
        len(measured),
    )


ENTRIES = (
    *map(_mean, MEANS),
    Evaluator("Q11", _skin_protection),
    Evaluator("Q12", _without_a_face),
    Evaluator("Q14", _half_precision),
    Evaluator("Q15", _eyes),
    Evaluator("Q20", _not_a_real_person),
    Evaluator("G24", _hybrid),
)
