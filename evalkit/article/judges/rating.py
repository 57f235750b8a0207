"""Claims that only people can judge: on the scores and choices of blind sessions.

No metric enters a verdict here. Judged on the runner ``upstream``. The article's own
pictures are not public, so a picture of the same kind stands for each; its scores come
from three people and one picture and have no interval.
"""

import json
from collections.abc import Collection

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
)
from evalkit.article._figures import BACKLIT, CLAIMED, GPEN, MEANS, X4PLUS
from evalkit.restorers import settings_of

MARGIN = 0.5
"""Half a mark: means no further apart say the same."""

UPSTREAM = "@runner=upstream"
NO_SCORE = "ratings.sqlite holds no score of"
FAKE = ("plastic", "wax-figure", "not-a-real-person")
"""Reasons, by their slugs in the rating page."""


def _scores(
    evidence: Evidence, kind: str, most_alike: Collection[str] = ()
) -> pd.DataFrame:
    """Scores of pictures of a kind; only of those most alike, if they are enough."""
    images = evidence.usable
    sources = images.loc[images["kind"] == kind, "source"]
    scores = evidence.scores
    scores = scores[scores["source"].isin(sources)].astype({"score": float})
    alike = scores[scores["source"].isin(most_alike)]
    return alike if alike["source"].nunique() >= LEAST_SOURCES else scores


def _is_gpen(condition: str) -> bool:
    return bool(settings_of(condition).get("name") == GPEN)


def _mean(claim: str) -> Evaluator:
    restorer, kind, most_alike = MEANS[claim]
    claimed = float(CLAIMED[claim])

    def judge(evidence: Evidence) -> Judgement:
        scores = _scores(evidence, kind, most_alike)
        scores = scores[scores["condition"] == restorer + UPSTREAM]
        if scores.empty:
            return not_tested(f"{NO_SCORE} {restorer}{UPSTREAM} on a {kind}")
        row = stats.mean_opinion_scores(scores).iloc[0]
        low, high = row["ci_low"], row["ci_high"]
        names = ", ".join(sorted(set(scores["source"])))
        verdict, why = of_panel(
            within(low, high, claimed - MARGIN, claimed + MARGIN),
            row["n_subjects"],
            row["n_sources"],
        )
        return Judgement(
            verdict,
            f"{row['mos']:.2f} [{low:.2f}, {high:.2f}]",
            f"ratings.sqlite: {len(scores)} scores of {restorer}{UPSTREAM} by "
            f"{row['n_subjects']:g} subjects on {names}; the interval is held against "
            f"{claimed:g} plus or minus {MARGIN:g}.{why}",
        )

    return Evaluator(claim, judge)


def _with_reason(scores: pd.DataFrame, reasons: Collection[str]) -> tuple[int, int]:
    """How many subjects gave one of the reasons, and how many there are."""
    tags = scores["tags"].map(json.loads)
    has_reason = tags.map(lambda slugs: bool({*reasons} & {*slugs}))
    return scores.loc[has_reason, "subject"].nunique(), scores["subject"].nunique()


def _skin_protection(evidence: Evidence) -> Judgement:
    scores = _scores(evidence, "portrait")
    scores = scores[scores["condition"].map(_is_gpen).astype(bool)]
    if scores.empty:
        return not_tested(f"{NO_SCORE} {GPEN} on a portrait")
    k, n = _with_reason(scores, FAKE)
    answer = f"{k} of {n} subjects call a face of ours fake"
    text = f"ratings.sqlite: {answer} (reasons: {', '.join(FAKE)}). "
    why = "The switch that is claimed to prevent it is another program's."
    return Judgement(Verdict.INCONCLUSIVE, answer, text + why)


def _without_a_face(evidence: Evidence) -> Judgement:
    conditions = ("bicubic", GPEN + UPSTREAM)
    scores = pd.concat([_scores(evidence, kind) for kind in ("building", "text")])
    scores = scores[scores["condition"].isin(conditions)]
    pairs = scores if scores.empty else stats.compare_conditions(scores)
    if pairs.empty:
        return not_tested(
            f"{NO_SCORE} {conditions[1]} and of bicubic on one building or text"
        )
    row = pairs.iloc[0]
    low, high = -row["ci_high"], -row["ci_low"]
    answer = f"{-row['difference']:+.2f} [{low:+.2f}, {high:+.2f}] against bicubic"
    verdict, why = of_panel(
        within(low, high, most=-MARGIN), row["n_subjects"], row["n_sources"]
    )
    return Judgement(
        verdict,
        answer,
        f"ratings.sqlite: {answer}, by {row['n_subjects']:g} subjects on "
        f"{row['n_sources']:g} pictures of buildings and text; clearly worse is "
        f"{MARGIN:g} or more. The original restores the faces it finds and leaves the "
        f"rest as it was.{why}",
    )


def _eyes(evidence: Evidence) -> Judgement:
    if _scores(evidence, "portrait").empty:
        return not_tested(f"{NO_SCORE} a portrait")
    text = "no picture is known to show shut eyes, and no reason offered is of eyes"
    return Judgement(Verdict.NOT_TESTABLE, None, text)


def _not_a_real_person(evidence: Evidence) -> Judgement:
    scores = _scores(evidence, "portrait", BACKLIT)
    scores = scores[scores["condition"] == X4PLUS + UPSTREAM]
    if scores.empty:
        return not_tested(f"{NO_SCORE} {X4PLUS}{UPSTREAM} on a portrait")
    k, n = _with_reason(scores, FAKE[2:])
    from scipy.stats import binomtest  # late: it takes a second

    share = binomtest(k, n).proportion_ci()
    held = within(share.low, share.high, least=0.5, is_effect=True)
    verdict, why = of_panel(held, n, scores["source"].nunique())
    return Judgement(
        verdict,
        f"{k} of {n} subjects",
        f"ratings.sqlite: {k} of {n} subjects give the reason {FAKE[2]}; the exact "
        f"interval of that share is [{share.low:.2f}, {share.high:.2f}], held against "
        f"more than half.{why}",
    )


def _preferred(
    evidence: Evidence, first: str, second: str
) -> tuple[float, float, str] | None:
    """How often `first` is chosen over `second`: the interval, then all in words."""
    choices = evidence.panel.choices
    is_pair = choices[["winner", "loser"]].isin([first, second]).all(axis=1)
    if not is_pair.any():
        return None
    choices = choices[is_pair].astype({"tied": bool})
    from scipy.special import expit

    fit = stats.bradley_terry(choices)
    low, middle, high = expit(
        2 * pd.Series([*fit.interval.loc[first], fit.strength[first]]).sort_values()
    )
    text = (
        f"{first} over {second} in {middle:.0%} [{low:.0%}, {high:.0%}] of "
        f"{len(choices)} choices by {choices['subject'].nunique()} subjects"
    )
    return float(low), float(high), text


def _half_precision(evidence: Evidence) -> Judgement:
    single, half = (f"{X4PLUS}@precision={p},runner=upstream" for p in ("fp32", "fp16"))
    preference = _preferred(evidence, single, half)
    if preference is None:
        return not_tested(f"ratings.sqlite holds no choice between {single} and {half}")
    low, high, answer = preference
    text = f"ratings.sqlite: {answer}; no visible loss is 40 to 60 %."
    return Judgement(within(low, high, 0.4, 0.6), answer, text)


def _hybrid(evidence: Evidence) -> Judgement:
    alone = (GPEN + UPSTREAM, X4PLUS + UPSTREAM)
    preferences = [_preferred(evidence, "hybrid", condition) for condition in alone]
    measured = [preference for preference in preferences if preference is not None]
    if len(measured) < 2:
        return not_tested(
            "ratings.sqlite holds no choice between hybrid and each alone"
        )
    answer = "; ".join(preference[2] for preference in measured)
    verdict = all_of(
        within(low, high, least=0.5, is_effect=True) for low, high, _ in measured
    )
    return Judgement(verdict, answer, f"ratings.sqlite: {answer}.")


ENTRIES = (
    *map(_mean, MEANS),
    Evaluator("Q11", _skin_protection),
    Evaluator("Q12", _without_a_face),
    Evaluator("Q14", _half_precision),
    Evaluator("Q15", _eyes),
    Evaluator("Q20", _not_a_real_person),
    Evaluator("G24", _hybrid),
)
