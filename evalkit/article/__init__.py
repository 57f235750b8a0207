"""What the article claims, and what a run of ours says to each claim."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    evaluator,
)
from evalkit.article._register import Article, Claim, load_article, load_claims
from evalkit.errors import EvalkitError, StudyError
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
    "evaluate",
    "evaluator",
    "evaluators",
    "load_article",
    "load_claims",
]

UNJUDGED = Judgement(
    Verdict.NOT_TESTED, None, "no evaluator for this claim in evalkit.article yet"
)


@cache
def evaluators() -> Mapping[str, Evaluator]:
    """Every evaluator of this package's modules, by the claim it judges.

    Raises
    ------
    EvalkitError
        An evaluator of a claim that does not exist, or two of the same claim.

    """
    known = {claim.id for claim in load_claims()}
    found: dict[str, Evaluator] = {}
    for info in sorted(pkgutil.iter_modules(__path__), key=lambda info: info.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        for entry in vars(module).values():
            if not isinstance(entry, Evaluator):
                continue
            if entry.claim not in known or entry.claim in found:
                problem = "is judged twice" if entry.claim in known else "is no claim"
                raise EvalkitError(f"{module.__name__}: {entry.claim} {problem}")
            found[entry.claim] = entry
    return MappingProxyType(found)


def evaluate(run: Path) -> pd.DataFrame:
    """Judge every claim on what one run folder holds.

    Parameters
    ----------
    run
        A run folder. What it lacks is not an error: the claims that need it are
        not yet tested.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.VERDICTS`, in the order of the claims.

    Raises
    ------
    StudyError
        There is no such folder.

    """
    if not run.is_dir():
        raise StudyError(f"expected a run folder, found none at {run}")
    evidence, judges = Evidence(run), evaluators()
    rows = []
    for claim in load_claims():
        judge = judges.get(claim.id)
        judgement = judge.judge(evidence) if judge else UNJUDGED
        facts = {k: v for k, v in asdict(claim).items() if k in VERDICTS.columns}
        rows.append(
            {
                **facts,
                "claim": claim.id,
                "claimed": str(claim.claimed),
                "verdict": judgement.verdict.value,
                "found": judgement.found,
                "evidence": judgement.evidence.replace(SQLITE, evidence.store),
            }
        )
    return VERDICTS.frame(rows)


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
