"""Advice on which restorer to take: judged by the scores that following it would lose.

That a router of ours gives the same advice is no evidence, and is not asked. A class of
pictures stands for what the article names; the scores are those of blind sessions.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

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
from evalkit.article._figures import GPEN, X4PLUS
from evalkit.article.judges.rating import MARGIN, UPSTREAM
from evalkit.tables import COST, ROUTING

CONDITIONS = {
    "gpen": GPEN + UPSTREAM,
    "realesrgan": X4PLUS + UPSTREAM,
    "hybrid": "hybrid",
}
"""By route. Each is compared with the others that were scored on the same pictures."""


class Advice(NamedTuple):
    """What the article recommends, and for which pictures of ours.

    Attributes
    ----------
    route
        One of `CONDITIONS`.
    kinds
        Kinds of sources that stand for the article's.
    alike
        The pictures of our sets that are most alike.

    """

    route: str
    kinds: Sequence[str]
    alike: Sequence[str] = ()


FAMILIES = ("group-family", "family_wedding_10045", "family_seven_elderly")
OLD = ("adele_old_colour", "paris_hilton_old_bw", "oldphoto2_sepia_160")
ADVICE = {
    "R1": Advice("gpen", ["portrait"]),
    "R2": Advice("realesrgan", ["product"]),
    "R3": Advice("realesrgan", ["surveillance"]),
    "R4": Advice("hybrid", ["group"], FAMILIES),
    "R5": Advice("gpen", ["portrait", "group"]),
    "R6": Advice("realesrgan", ["text"]),
    "R8": Advice("gpen", ["portrait", "group"], OLD),
}


def _scores(evidence: Evidence, advice: Advice) -> pd.DataFrame:
    """Scores of the three conditions on the pictures that the advice is for."""
    images = evidence.usable
    sources = images.loc[images["kind"].isin(advice.kinds), "source"]
    alike = sources[sources.isin(advice.alike)]
    scores = evidence.scores
    is_meant = scores["source"].isin(alike if len(alike) >= LEAST_SOURCES else sources)
    scores = scores[is_meant & scores["condition"].isin(CONDITIONS.values())]
    return scores.astype({"score": float})


def _gains(scores: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The condition's gains; empty, and no wait for scipy, where nobody rated."""
    return scores if scores.empty else stats.compare_with(scores, condition)


def _judge(evidence: Evidence, advice: Advice) -> Judgement:
    """Reproduced if the advised one is best, contradicted if another is better."""
    advised = CONDITIONS[advice.route]
    gains = _gains(_scores(evidence, advice), advised)
    kinds = " or ".join(advice.kinds)
    if gains.empty:
        return not_tested(
            f"ratings.sqlite holds no scores of {advised} and another restorer on one "
            f"{kinds}"
        )
    answer = "; ".join(map(_in_words, gains.index, gains.to_dict("records")))
    bounds = gains[["ci_low", "ci_high"]].itertuples(index=False)
    verdict, why = of_panel(
        all_of(within(low, high, least=0, is_effect=True) for low, high in bounds),
        gains["n_subjects"].min(),
        gains["n_sources"].min(),
    )
    return Judgement(
        verdict,
        answer,
        f"ratings.sqlite, pictures of the kind {kinds}: {advised} has {answer}. Below "
        f"0 it is what the advice loses.{why}",
    )


def _in_words(name: str, row: Mapping[str, float]) -> str:
    return (
        f"{row['difference']:+.2f} [{row['ci_low']:+.2f}, {row['ci_high']:+.2f}] "
        f"against {name} (subjects {row['n_subjects']}, pictures {row['n_sources']})"
    )


def _folder(evidence: Evidence) -> Judgement:
    routes = evidence.read(ROUTING).set_index("source")["route"]
    scores = _scores(evidence, Advice("gpen", ["portrait", "group"]))
    by_picture = scores["source"].map(routes).map(CONDITIONS)
    choices = [
        scores[scores["condition"] == chosen].assign(condition=policy)
        for policy, chosen in (("gpen", CONDITIONS["gpen"]), ("others", by_picture))
    ]
    gains = _gains(pd.concat(choices), "gpen")
    if gains.empty:
        return not_tested(
            "ratings.sqlite and the table routing hold no scores of what the router "
            f"chose for pictures of faces, beside those of {CONDITIONS['gpen']}"
        )
    row = gains.iloc[0]
    answer = _in_words("a choice for each picture", row)
    held = within(row["ci_low"], row["ci_high"], least=-MARGIN)
    verdict, why = of_panel(held, row["n_subjects"], row["n_sources"])
    return Judgement(
        verdict,
        answer,
        f"ratings.sqlite: {CONDITIONS['gpen']} for a whole folder of faces has "
        f"{answer}; not more than {MARGIN:g} below says the same.{why}",
    )


def _at_upload(evidence: Evidence) -> Judgement:
    judgement = _judge(evidence, Advice("realesrgan", ["product"]))
    cost = evidence.read(COST)
    times = cost.loc[cost["condition"] == CONDITIONS["realesrgan"], "wall_time_s"]
    if judgement.verdict is Verdict.NOT_TESTED or times.isna().all():
        return judgement
    hours = 1000 * times.median() / 3600
    text = f" 1000 pictures as this run's take {hours:.3g} h, one after the other."
    return judgement._replace(evidence=judgement.evidence + text)


ENTRIES = (
    *(Evaluator(claim, partial(_judge, advice=a)) for claim, a in ADVICE.items()),
    Evaluator("R7", _folder),
    Evaluator("R9", _at_upload),
)
