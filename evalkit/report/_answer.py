"""The first screen: what a run answers, what to do next, what to beware of."""

import html
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from evalkit.errors import UnknownNameError
from evalkit.report import _costs, _defects, _rules, _trials
from evalkit.report._panel import panel
from evalkit.report._rules import Rule
from evalkit.report._run_folder import RunFolder
from evalkit.report._summary import cautions
from evalkit.report._text import Sentence, Sentences, counted, in_list, in_sentences
from evalkit.study.answer_lines import answer_lines
from evalkit.tables import ANSWER
from evalkit.texts import Language, text

MOST, MOST_STEPS = 6, 3
CLAIMED_SETS = ("article", "panel", "verdicts-1024")
"""Sets of the article's kinds and size."""

"""The most sentences and steps."""


def detectable(folder: RunFolder, language: Language) -> Sentences:
    """How small a difference the panel that is planned would find."""
    # a plan needs the store of ratings
    from evalkit.study.panel_size import planned_difference
    from evalkit.study.rating import is_planned

    if is_planned(folder):
        yield Sentence("detectable", planned_difference(folder, language), ())


_EVERY = (
    *(_rules.preferred, _rules.chosen, detectable, _rules.album),
    *(_rules.routes, _rules.guess),
    *(_rules.faces, _costs.cost, _costs.same, _costs.fits, _defects.defects),
    *(_rules.claims, panel, _trials.cards),
    *(_trials.stability, _trials.budget, _trials.instances, _trials.backends),
)
RULES: dict[str, Rule] = {rule.__name__: rule for rule in _EVERY}


class Answer(NamedTuple):
    """What a run answers.

    Attributes
    ----------
    frame
        Table `evalkit.tables.ANSWER`: label, answer, next steps, cautions.

    """

    frame: pd.DataFrame

    def of(self, part: str) -> list[dict[str, Any]]:
        """The rows of one part: ``label``, ``answer``, ``next`` or ``caution``."""
        rows = self.frame[self.frame["part"] == part]
        records: list[dict[str, Any]] = rows.to_dict("records")
        return records

    def __str__(self) -> str:
        return "\n".join(answer_lines(self.frame, shutil.get_terminal_size().columns))

    def _repr_html_(self) -> str:
        lines = [html.escape(line) for line in answer_lines(self.frame, None)]
        return "<br>".join(lines)


def answer(run: Path, *rules: str, language: Language = "en") -> Answer:
    """What a run answers, what to do next, what to beware of.

    Parameters
    ----------
    run
        The run folder, as it lies.
    *rules
        Names of the rules whose sentences alone are wanted, such as ``cost``; all by
        default, with steps and cautions.
    language
        ``en`` or ``zh``.

    Returns
    -------
    Answer
        Three to six sentences where the run has results, else one that says so.

    Raises
    ------
    UnknownNameError
        No such rule.

    """
    folder = RunFolder(run, language)
    if rules:
        chosen_rules = [_rule(name) for name in rules]
        sentences = [s for rule in chosen_rules for s in rule(folder, language)]
        return Answer(_frame({"answer": sentences or [_nothing(language)]}))
    sentences = [s for rule in _order(folder) for s in rule(folder, language)]
    if not sentences and folder.results.empty:
        return Answer(_frame({"answer": [_nothing(language)]}))
    label = [*([] if folder.has_answers else [_label(language)])]
    label += panel(folder, language) if folder.has_answers else ()
    label += _rules.guess(folder, language)
    parts = {"label": label, "answer": sentences[:MOST] or [_nothing(language)]}
    parts["next"] = list(steps(folder, language))[:MOST_STEPS]
    parts["caution"] = [
        Sentence(f"caution {place}", caution, ())
        for place, caution in enumerate(cautions(folder, language))
    ]
    return Answer(_frame(parts))


def _frame(parts: dict[str, list[Sentence]]) -> pd.DataFrame:
    return ANSWER.frame(
        [
            {"part": part, **s._asdict(), "tables": ", ".join(s.tables) or None}
            for part, sentences in parts.items()
            for s in sentences
        ]
    )


def _rule(name: str) -> Rule:
    if name not in RULES:
        raise UnknownNameError("rule", name, list(RULES))
    return RULES[name]


def _order(folder: RunFolder) -> list[Rule]:
    """The rules, what matters most to the reader first."""
    names = ["preferred", "chosen"] if folder.has_answers else []
    if folder.is_album:
        names += ["album", "routes", "cost", "cards", "detectable", "same", "fits"]
        names += ["defects", "claims"]
    elif folder.has_answers:
        names += ["faces", "cost", "cards", "detectable", "same", "claims", "fits"]
    else:
        names += ["faces", "cost", "cards", "same", "fits", "defects", "claims"]
    names += ["stability", "budget", "instances", "backends"]
    return [RULES[name] for name in names]


def _label(language: Language) -> Sentence:
    return Sentence("unrated", text("answer.unrated", language), ())


def _nothing(language: Language) -> Sentence:
    return Sentence("nothing", text("answer.nothing", language), ())


def steps(folder: RunFolder, language: Language) -> Sentences:
    """What would settle the most, with its command, the greatest first."""
    again = "make study"
    if folder.title != "default":
        again += f" STUDY=runs/{folder.name}/study.yaml"
    names = [folder.restorer_of.get(name, name) for name in folder.random_conditions]
    if names := [*dict.fromkeys(names)]:
        words = text("answer.next.weights", language, names=in_list(names, language))
        command = f"evalkit weights fetch {' '.join(names)} --accept gpen"
        yield Sentence("weights", words, (), command)
    if folder.learned_conditions and not folder.has_answers:
        rating = folder.study.get("rating") or {}
        values = counted(rating.get("subjects", 3))
        values["minutes"] = rating.get("minutes", 15)
        words = text("answer.next.people", language, **values)
        plan = [sentence.text for sentence in detectable(folder, language)]
        words = in_sentences([words, *plan], language)
        yield Sentence("people", words, (), f"evalkit rate {folder.name}")
    if folder.gpus == []:
        yield Sentence("gpu", text("answer.next.gpu", language), (), again)
    images, asked = folder.study.get("images"), folder.study.get("experiments")
    if folder.shows_claims and images not in (None, *CLAIMED_SETS):
        words = text("answer.next.set", language)
        yield Sentence("set", words, (), "make study IMAGES=article")
    if folder.gpus and not asked:
        words = text("answer.next.experiments", language)
        yield Sentence("experiments", words, (), again)
    if not folder.is_album:
        command = "make study IMAGES=~/Pictures/album"
        yield Sentence("album", text("answer.next.album", language), (), command)
