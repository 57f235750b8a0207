"""The article's claims, and the verdict of a run of ours on each."""

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from evalkit.article._evidence import (
    LEAST_COVERAGE,
    OPEN,
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
)
from evalkit.article._figures import FIGURES
from evalkit.article._register import (
    Article,
    Claim,
    load_article,
    load_claims,
    read_claims,
)
from evalkit.article._summary import summarise_article
from evalkit.article.comparison import ARTICLE
from evalkit.errors import EvalkitError, StudyError, attempt
from evalkit.study.published import PublishedComparison, published
from evalkit.study.run_folder import SQLITE
from evalkit.tables import VERDICTS

__all__ = [
    "Article",
    "Claim",
    "Evaluator",
    "Evidence",
    "Judgement",
    "Verdict",
    "article_values",
    "chance",
    "comparable_values",
    "evaluate",
    "evaluators",
    "load_article",
    "load_claims",
    "summarise_article",
]

UNJUDGED = Judgement(
    Verdict.NOT_TESTED, None, "no evaluator for this claim in evalkit.article yet"
)


@cache
def evaluators(comparison: PublishedComparison = ARTICLE) -> Mapping[str, Evaluator]:
    """The judges of a comparison's claims, by claim.

    Raises
    ------
    EvalkitError
        A judge of a claim that does not exist, or two of the same claim.

    """
    claims = {claim.id for claim in claims_of(comparison)}
    judges: dict[str, Evaluator] = {}
    for judge in comparison.judges():
        if judge.name not in claims or judge.name in judges:
            problem = "is judged twice" if judge.name in claims else "is no claim"
            raise EvalkitError(f"{comparison.name}: claim {judge.name} {problem}")
        judges[judge.name] = judge
    return MappingProxyType(judges)


@cache
def claims_of(comparison: PublishedComparison) -> tuple[Claim, ...]:
    """The claims of a comparison; none where it has no file of them."""
    return read_claims(comparison.claims) if comparison.claims else ()


def evaluate(run: Path) -> pd.DataFrame:
    """Judge every claim of the article and of other comparisons on a run folder.

    Parameters
    ----------
    run
        A run folder. What it lacks is not an error: the claims that need it are
        not yet tested.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.VERDICTS`, in the order of the claims; those of other
        installed comparisons (`evalkit.study.published`) follow.

    Raises
    ------
    StudyError
        There is no such folder.
    TableError
        Two comparisons name a claim alike.

    """
    if not run.is_dir():
        raise StudyError(f"expected a run folder, found none at {run}")
    evidence = Evidence(run)
    comparisons = {ARTICLE.name: ARTICLE, **published()}.values()
    claims = [claim for comparison in comparisons for claim in claims_of(comparison)]
    judges = ChainMap(*(dict(evaluators(comparison)) for comparison in comparisons))
    rows = []
    for claim in claims:
        judge = judges.get(claim.id)
        judgement = _judged(judge, evidence) if judge else UNJUDGED
        facts = {k: v for k, v in asdict(claim).items() if k in VERDICTS.columns}
        settled_by = claim.settled_by if judgement.verdict in OPEN else None
        rows.append(
            {
                **facts,
                "claim": claim.id,
                "claimed": str(claim.claimed),
                "verdict": judgement.verdict.value,
                "found": judgement.found,
                "evidence": judgement.evidence.replace(SQLITE, evidence.store),
                "range": claim.range,
                "n_intervals": judgement.n_intervals,
                "settled_by": settled_by,
            }
        )
    return VERDICTS.frame(rows)


def _judged(judge: Evaluator, evidence: Evidence) -> Judgement:
    """A damaged table costs the claims that need it, and no other."""
    judgement, why = attempt(partial(judge.judge, evidence), f"claim {judge.name}")
    if judgement is None:
        return Judgement(Verdict.NOT_TESTED, None, f"It could not be judged: {why}")
    return judgement


BY_CHANCE = (1 - LEAST_COVERAGE) / 2
"""The most that an interval of 95 % is wrong on the side of a range's edge, where it
has the least coverage that a verdict takes."""


def chance(verdicts: pd.DataFrame) -> str:
    """How many of the verdicts (`VERDICTS`) chance may have made, in a sentence."""
    n = int(verdicts["n_intervals"].sum())
    if not n:
        return "No verdict here rests on an interval, so chance has made none."
    return (
        f"{n} intervals of 95 % stand behind these verdicts, none of which holds the "
        f"truth in less than {LEAST_COVERAGE:.0%} of independent runs, subjects and "
        f"pictures. Each puts its claim on the wrong "
        f"side by chance in at most {BY_CHANCE:.1%} of runs, so at most "
        f"{n * BY_CHANCE:.2g} wrong verdicts are to be expected."
    )


def article_values() -> pd.DataFrame:
    """The article's cost figures, to stand beside ours.

    Returns
    -------
    DataFrame
        Index ``claim``; columns ``subject``, ``setting``, ``quantity``, ``claimed``
        (a number), ``unit``, ``caution`` and ``machine`` (the article's, one text
        for all rows). Claims of a cost that is no single number are not in it.

    """
    machine = "; ".join(load_article().machine.values())
    names = ("subject", "setting", "quantity", "claimed", "unit", "caution")
    rows = [
        {"claim": claim.id}
        | {name: getattr(claim, name) for name in names}
        | {"machine": machine}
        for claim in load_claims()
        if claim.id.startswith("G") and not isinstance(claim.claimed, str)
    ]
    return pd.DataFrame(rows).set_index("claim").astype({"claimed": "Float64"})


def comparable_values(
    restorer: str | None, *, device: str, is_half: bool, size_px: tuple[int, int]
) -> list[tuple[float, str, str]]:
    """The article's time and memory of one picture in a setting: value, unit, quantity.

    Parameters
    ----------
    restorer
        Its name; the article speaks of `gpen-512` and `realesrgan-x4plus` alone.
    device
        ``cpu`` or ``cuda``.
    is_half
        Whether in half precision.
    size_px
        Width and height of the picture.

    """
    values = article_values()
    return [
        (*values.loc[claim, ["claimed", "unit", "quantity"]],)
        for claim, figure in FIGURES.items()
        if (figure.restorer, figure.device) == (restorer, device)
        and (figure.precision == "fp16") == is_half
        and figure.n_pictures == 1
        and None not in size_px
        and figure.is_of_size(*size_px)
    ]
