"""Advice on which restorer to take: judged by the scores that following it would lose.

That a router of ours gives the same advice is no evidence, and is not asked. A class of
pictures stands for what the article names; the scores are those of blind sessions.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from evalkit import stats
from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    all_of,
    of_panel,
    within,
)
from evalkit.article._figures import CLAIMS, GPEN, X4PLUS
from evalkit.article.judges.rating import UPSTREAM, scores_for, spread, unrated
from evalkit.tables import COST, ROUTING

CONDITIONS = {
    "gpen": GPEN + UPSTREAM,
    "realesrgan": X4PLUS + UPSTREAM,
    "hybrid": "hybrid",
}
"""By route. Each is compared with the others that were scored on the same pictures."""


ADVICE = {
    "R1": "gpen",
    "R2": "realesrgan",
    "R3": "realesrgan",
    "R4": "hybrid",
    "R5": "gpen",
    "R6": "realesrgan",
    "R8": "gpen",
}
"""What the article recommends, one of `CONDITIONS`, by claim."""


def _scores(claim: str, evidence: Evidence) -> pd.DataFrame:
    """Scores of the three conditions on the pictures that the advice is for."""
    scores = scores_for(claim, evidence)
    return scores[scores["condition"].isin(CONDITIONS.values())]


def _gains(scores: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The condition's gains; empty, and no wait for scipy, where nobody rated."""
    return scores if scores.empty else stats.compare_with(scores, condition)


def _judge(evidence: Evidence, claim: str, route: str) -> Judgement:
    """Reproduced if the advised one is best, contradicted if another is better."""
    advised, part = CONDITIONS[route], CLAIMS[claim].parts[0]
    gains = _gains(_scores(claim, evidence), advised)
    if gains.empty:
        others = " or ".join(name for name in CONDITIONS.values() if name != advised)
        return unrated(claim, evidence, f"{advised} beside {others}")
    answer = "; ".join(map(_in_words, gains.index, gains.to_dict("records")))
    bounds = gains[["ci_low", "ci_high"]].itertuples(index=False)
    held = [
        within(low, high, *part.bounds(), is_effect=part.is_effect)
        for low, high in bounds
    ]
    verdict, why = of_panel(all_of(held), _smallest(gains), "difference")
    missing = {*CONDITIONS.values()} - {advised, *gains.index}
    if missing and verdict is Verdict.REPRODUCED:
        verdict = Verdict.INCONCLUSIVE
        why = f" Nobody has scored {' or '.join(sorted(missing))} beside it."
    wanted = CLAIMS[claim].pictures
    assert wanted, "advice is for some pictures"
    return Judgement(
        verdict,
        answer,
        f"On {wanted.are} {advised} scores {answer} (ratings.sqlite, marks of 5). What "
        f"is below 0 the advice loses.{why}",
        len(held),
    )


def _smallest(gains: pd.DataFrame) -> dict[str, Any]:
    """The smallest panel of several comparisons."""
    return {name: gains[name].min() for name in ("n_subjects", "n_sources")}


def _in_words(name: str, row: Mapping[str, float]) -> str:
    return (
        f"{row['difference']:+.2f}{spread(row['ci_low'], row['ci_high'], '+.2f')} "
        f"against {name} (subjects {row['n_subjects']:g}, pictures "
        f"{row['n_sources']:g})"
    )


def _folder(evidence: Evidence) -> Judgement:
    routes = evidence.read(ROUTING).set_index("source")["route"]
    scores = _scores("R7", evidence)
    by_picture = scores["picture"].map(routes).map(CONDITIONS)
    choices = [
        scores[scores["condition"] == chosen].assign(condition=policy)
        for policy, chosen in (("gpen", CONDITIONS["gpen"]), ("others", by_picture))
    ]
    gains = _gains(pd.concat(choices), "gpen")
    if gains.empty:
        what = "what the router chose for each picture (tables/routing.csv)"
        return unrated("R7", evidence, f"{CONDITIONS['gpen']} beside {what}")
    if set(by_picture.dropna()) == {CONDITIONS["gpen"]}:
        why = "The router sends each of these pictures to GPEN: the two are one."
        return Judgement(Verdict.INCONCLUSIVE, "no difference to see", why)
    row = gains.iloc[0]
    answer = _in_words("a choice for each picture", row)
    bounds = CLAIMS["R7"].bounds
    held = within(row["ci_low"], row["ci_high"], *bounds)
    verdict, why = of_panel(held, row, "difference")
    return Judgement(
        verdict,
        answer,
        f"{CONDITIONS['gpen']} for a whole folder of faces scores {answer} "
        f"(ratings.sqlite, marks of 5); {bounds[0]:g} or more says the same.{why}",
        1,
    )


def _at_upload(evidence: Evidence) -> Judgement:
    judgement = _judge(evidence, "R9", "realesrgan")
    cost = evidence.read(COST)
    times = cost.loc[cost["condition"] == CONDITIONS["realesrgan"], "wall_time_s"]
    if judgement.verdict is Verdict.NOT_TESTED or times.isna().all():
        return judgement
    hours = 1000 * times.median() / 3600
    text = f" 1000 pictures as this run's take {hours:.3g} h, one after the other."
    return judgement._replace(evidence=judgement.evidence + text)


ENTRIES = (
    *(Evaluator(c, partial(_judge, claim=c, route=r)) for c, r in ADVICE.items()),
    Evaluator("R7", _folder),
    Evaluator("R9", _at_upload),
)
