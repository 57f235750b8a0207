"""The first screen: what a run answers, what to do next, what to beware of."""

import html
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from evalkit.errors import UnknownNameError
from evalkit.report import _rules
from evalkit.report._rules import Rule, Sentence, Sentences
from evalkit.report._run_folder import RunFolder
from evalkit.report._summary import cautions
from evalkit.report._text import counted, in_list, in_sentences
from evalkit.study.answer_lines import answer_lines
from evalkit.tables import ANSWER, VERDICTS
from evalkit.texts import Language, text

MOST, MOST_STEPS = 6, 3
"""The most sentences and steps."""

NOBODY = pd.Series(dtype=bool)

_PEOPLE = (_rules.preferred, _rules.chosen, _rules.album, _rules.routes, _rules.faces)
_TABLES = (_rules.cost, _rules.same, _rules.fits, _rules.defects, _rules.claims)
RULES: dict[str, Rule] = {rule.__name__: rule for rule in (*_PEOPLE, *_TABLES)}


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
    folder = RunFolder(run)
    if rules:
        chosen_rules = [_rule(name) for name in rules]
        sentences = [s for rule in chosen_rules for s in rule(folder, language)]
        return Answer(_frame({"answer": sentences or [_nothing(language)]}))
    sentences = [s for rule in _order(folder) for s in rule(folder, language)]
    parts = {"answer": sentences[:MOST] or [_nothing(language)]}
    if sentences and not folder.has_answers:
        parts = {"label": [_label(language)], **parts}
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
        names += ["album", "routes", "cost", "same", "fits", "claims"]
    elif folder.has_answers:
        names += ["faces", "cost", "same", "claims", "fits"]
    else:
        names += ["faces", "cost", "same", "fits", "defects", "claims"]
    return [RULES[name] for name in names]


def _label(language: Language) -> Sentence:
    return Sentence("unrated", text("answer.unrated", language), ())


def _nothing(language: Language) -> Sentence:
    return Sentence("nothing", text("answer.nothing", language), ())


def steps(folder: RunFolder, language: Language) -> Sentences:
    """What would settle the most, with its command, the greatest first."""
    verdicts = folder.read(VERDICTS) if folder.shows_claims else VERDICTS.frame([])
    is_open = verdicts["verdict"].isin(["not yet tested", "not testable here"])
    is_open &= ~verdicts["kind"].isin(["upstream", "offer", "protocol", "rule"])
    waiting = verdicts[is_open]
    is_measure = waiting["kind"] == "measure"
    is_untested = waiting["verdict"] == "not yet tested"
    n_waiting = {
        "weights": waiting["subject"].eq("gpen") & ~is_measure,
        "people": waiting["kind"] == "rating",
        "gpu": is_measure & ~is_untested,
        "experiments": is_measure & is_untested,
    }
    options: dict[str, tuple[str, str]] = {}
    if names := {
        folder.restorer_of.get(name, name): 0 for name in folder.random_conditions
    }:
        words = text("answer.next.weights", language, names=in_list([*names], language))
        options["weights"] = words, "evalkit weights fetch gpen"
    if folder.learned_conditions and not folder.has_answers:
        rating = folder.study.get("rating", {})
        values = counted(rating.get("subjects", 3))
        values["minutes"] = rating.get("minutes", 15)
        words = text("answer.next.people", language, **values)
        options["people"] = words, f"evalkit rate {folder.name}"
    if folder.gpus == []:
        images = f" IMAGES=path/to/{folder.images_name}" if folder.is_album else ""
        options["gpu"] = text("answer.next.gpu", language), f"make study{images}"
    if folder.shows_claims and not folder.study.get("experiments"):
        words = text("answer.next.experiments", language)
        options["experiments"] = words, "make study STUDY=study.yaml"
    if not folder.is_album:
        words = text("answer.next.album", language)
        options["album"] = words, "make study IMAGES=~/Pictures/album"
    counts = {rule: int(n_waiting.get(rule, NOBODY).sum()) for rule in options}
    for rule in sorted(options, key=lambda name: -counts[name]):
        words, command = options[rule]
        if n := counts[rule]:
            more = text("answer.next.waiting", language, n=n)
            words = in_sentences([words, more], language)
        yield Sentence(rule, words, (VERDICTS.name,) if n else (), command)
