"""Advice on which restorer to take: judged by the scores that following it would lose.

That a router of ours gives the same advice is no evidence, and is not asked. A class of
pictures stands for what the article names; the scores are those of blind sessions.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from evalkit import stats
from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    decide,
    evaluator,
    not_tested,
)
from evalkit.article._figures import GPEN, X4PLUS
from evalkit.article.rating import MARGIN, UPSTREAM
from evalkit.tables import COST, ROUTING

CONDITIONS = {
    "gpen": GPEN + UPSTREAM,
    "realesrgan": X4PLUS + UPSTREAM,
    "hybrid": "hybrid",
}
"""By route. Each is compared with the others that were scored on the same pictures."""

DIFFERENCE = ["difference", "ci_low", "ci_high"]


class Advice(NamedTuple):
    """What the article recommends, and for which pictures of ours.

    Attributes
    ----------
    route
        One of `CONDITIONS`.
    kinds
        Of sources that stand for the article's.
    word
        In the name of those that are most alike, if there are any.

    """

    route: str
    kinds: Sequence[str]
    word: str = ""


ADVICE = {
    "R1": Advice("gpen", ["portrait"]),
    "R2": Advice("realesrgan", ["product"]),
    "R3": Advice("realesrgan", ["surveillance"]),
    "R4": Advice("hybrid", ["group"], "family"),
    "R5": Advice("gpen", ["portrait", "group"]),
    "R6": Advice("realesrgan", ["text"]),
    "R8": Advice("gpen", ["portrait", "group"], "old"),
}


def _scores(evidence: Evidence, advice: Advice) -> pd.DataFrame:
    """Scores of the three conditions on the pictures that the advice is for."""
    images = evidence.usable
    sources = images.loc[images["kind"].isin(advice.kinds), "source"]
    alike = sources[sources.str.contains(advice.word)]
    scores = evidence.scores
    is_meant = scores["source"].isin(sources if alike.empty else alike)
    scores = scores[is_meant & scores["condition"].isin(CONDITIONS.values())]
    return scores.astype({"score": float})


def against(scores: pd.DataFrame, condition: str) -> pd.DataFrame:
    """One condition's mean score less each other's, on what both were scored for.

    Returns
    -------
    DataFrame
        As `evalkit.stats.compare_conditions`; its index is the other condition.

    """
    if scores.empty:  # where nobody rated, scipy is not imported: it takes a second
        return pd.DataFrame(columns=DIFFERENCE)
    pairs = stats.compare_conditions(scores)
    turned = pairs.swaplevel()
    turned[DIFFERENCE] = -pairs[["difference", "ci_high", "ci_low"]].to_numpy()
    both = pd.concat([pairs, turned])
    return both[both.index.get_level_values(0) == condition].droplevel(0)


def _judge(evidence: Evidence, advice: Advice) -> Judgement:
    """The best of those scored: reproduced; some other is better: contradicted."""
    advised = CONDITIONS[advice.route]
    gains = against(_scores(evidence, advice), advised)
    kinds = " or ".join(advice.kinds)
    if gains.empty:
        return not_tested(
            f"ratings.sqlite holds no scores of {advised} and another restorer on one "
            f"{kinds}"
        )
    told = "; ".join(map(_in_words, gains.index, gains.to_dict("records")))
    is_best, is_worse = (gains["ci_low"] > 0).all(), (gains["ci_high"] < 0).any()
    return Judgement(
        decide(holds=is_best, fails=is_worse),
        told,
        f"ratings.sqlite, pictures of the kind {kinds}: {advised} has {told}. Below 0 "
        "it is what the advice loses.",
    )


def _in_words(other: str, row: Mapping[str, float]) -> str:
    return (
        f"{row['difference']:+.2f} [{row['ci_low']:+.2f}, {row['ci_high']:+.2f}] "
        f"against {other} (subjects {row['n_subjects']}, pictures {row['n_sources']})"
    )


def _advice(claim: str) -> Evaluator:
    return evaluator(claim)(lambda evidence: _judge(evidence, ADVICE[claim]))


_r1, _r2, _r3, _r4, _r5, _r6, _r8 = map(_advice, ADVICE)


@evaluator("R7")
def _folder(evidence: Evidence) -> Judgement:
    routes = evidence.read(ROUTING).set_index("source")["route"]
    scores = _scores(evidence, Advice("gpen", ["portrait", "group"]))
    by_picture = scores["source"].map(routes).map(CONDITIONS)
    made = [
        scores[scores["condition"] == chosen].assign(condition=policy)
        for policy, chosen in (("gpen", CONDITIONS["gpen"]), ("others", by_picture))
    ]
    gains = against(pd.concat(made), "gpen")
    if gains.empty:
        return not_tested(
            "ratings.sqlite and the table routing hold no scores of what the router "
            f"chose for pictures of faces, beside those of {CONDITIONS['gpen']}"
        )
    row = gains.iloc[0]
    told = _in_words("a choice for each picture", row)
    return Judgement(
        decide(holds=row["ci_low"] > -MARGIN, fails=row["ci_high"] < 0),
        told,
        f"ratings.sqlite: {CONDITIONS['gpen']} for a whole folder of faces has {told}; "
        f"not more than {MARGIN:g} below says the same.",
    )


@evaluator("R9")
def _at_upload(evidence: Evidence) -> Judgement:
    judgement = _judge(evidence, Advice("realesrgan", ["product"]))
    cost = evidence.read(COST)
    times = cost.loc[cost["condition"] == CONDITIONS["realesrgan"], "wall_time_s"]
    if judgement.verdict is Verdict.NOT_TESTED or times.isna().all():
        return judgement
    hours = 1000 * times.median() / 3600
    told = f" 1000 pictures as this run's take {hours:.3g} h, one after the other."
    return judgement._replace(evidence=judgement.evidence + told)
