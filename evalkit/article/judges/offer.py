"""What another program offers, beside what evalkit does.

That program is a web page of somebody else's and cannot be tested from here. Such a
claim is *shown* where evalkit's own offer is there, which is looked at as it is judged:
a command of the command line, or a function that is called.
"""

import importlib
import json
from dataclasses import dataclass

from evalkit.article._evidence import Evaluator, Evidence, Judgement, Verdict
from evalkit.article._figures import CLAIMS
from evalkit.faces import CLASSES, parse
from evalkit.restorers import load_restorer
from evalkit.tables import PATHOLOGIES

COMMANDS = "evalkit.cli"
"""The room of commands. It lies above this one, so it is imported by its name."""


def commands() -> set[str]:
    """The names of evalkit's commands."""
    import typer.main

    group = typer.main.get_command(importlib.import_module(COMMANDS).app)
    return {*getattr(group, "commands", {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What evalkit offers where another program claims something.

    Attributes
    ----------
    commands
        One of these must be a command of evalkit.
    does
        What it does there, in a sentence without its subject.
    test
        The test that shows it, a file of the repository.

    """

    commands: tuple[str, ...]
    does: str
    test: str


OFFERS = {
    "D7": Offer(
        commands=("serve",),
        does="takes a picture as multipart/form-data and answers with the restored one",
        test="tests/service",
    ),
    "D8": Offer(
        commands=("restore",),
        does="restores every other picture, and names a broken one with its reason",
        test="tests/daily/test_restore.py",
    ),
    "D9": Offer(
        commands=("restore",),
        does="names outputs by a template, a time stamp among its fields, and numbers "
        "a name that is taken",
        test="tests/daily/test_restore.py",
    ),
    "D10": Offer(
        commands=("serve",),
        does="takes device and restorer with each request, and switches those that "
        "hold where none is said, without a restart",
        test="tests/service",
    ),
}


def _offered(claim: str, offer: Offer) -> Evaluator:
    def judge(_: Evidence) -> Judgement:
        offered = sorted({*offer.commands} & commands())
        asked = CLAIMS[claim]
        theirs = f"The claim is about another program ({asked.subject}), whose"
        if not offered:
            missing = " or ".join(offer.commands)
            return Judgement(
                Verdict.NOT_TESTABLE,
                None,
                f"{theirs} page cannot be tested from here, and evalkit has no "
                f"command {missing} to show beside it.",
            )
        return Judgement(
            Verdict.SHOWN,
            f"evalkit {offered[0]} {offer.does}",
            f"{theirs} page cannot be tested from here. Beside it: evalkit "
            f"{offered[0]} {offer.does} (held by {offer.test}).",
        )

    return Evaluator(claim, judge)


def _face_parsing(evidence: Evidence) -> Judgement:
    """ParseNet, which GPEN uses, parses faces of pictures that GPEN never saw."""
    rows = evidence.read(PATHOLOGIES)
    parsed = rows[(rows["region"] == "hair") & rows["value"].notna()]
    offer = (
        f"evalkit.faces.{parse.__name__} runs ParseNet, which GPEN parses faces with, "
        f"by itself and tells {len(CLASSES)} classes (held by tests/faces)"
    )
    if parsed.empty:
        return Judgement(
            Verdict.SHOWN,
            "evalkit.faces.parse",
            f"{offer}. Its weights were not here in this run, so no face was parsed.",
        )
    n = parsed["source"].nunique()
    return Judgement(
        Verdict.REPRODUCED,
        f"hair and skin told on {n} pictures",
        f"{offer}. In this run it parsed the faces of {n} pictures "
        "(tables/pathologies.csv).",
    )


def _parameters(_: Evidence) -> Judgement:
    parameters = load_restorer("bicubic").parameters
    again = load_restorer(**json.loads(json.dumps(parameters))).parameters
    verdict = Verdict.SHOWN if again == parameters else Verdict.NOT_TESTABLE
    return Judgement(
        verdict,
        "parameters as JSON, and the same restorer from them",
        "The claim is about another program (gpen webui), whose page cannot be tested "
        "from here. Beside it: load_restorer(**restorer.parameters), whose parameters "
        "are JSON, gives the same restorer again; this was just tried with bicubic. "
        "evalkit restore --save-params writes them, and --params reads them.",
    )


ENTRIES = (
    *(_offered(claim, offer) for claim, offer in OFFERS.items()),
    Evaluator("D6", _face_parsing),
    Evaluator("D11", _parameters),
)
