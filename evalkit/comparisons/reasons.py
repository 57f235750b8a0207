"""Notes and the router's reasons in the reader's language: records keep the English."""

import re

from evalkit.restorers._routing import RULES, SCENES
from evalkit.texts import Language, spoken, text
from evalkit.texts.notes import note_in

_NAMES = "|".join(sorted({rule.name for rule in (*RULES, *SCENES)}))
_BECAUSE = rf"(?P<rule>{_NAMES}): (?P<tests>.+?) \((?P<why>.*)\)"

FORMS = {
    "rule": rf"rule (?P<place>\d+) of (?P<n>\d+), {_BECAUSE}",
    "scene": rf"{_BECAUSE}(?P<redraws>; no face is drawn anew .*)?",
    "folder": r"folder rule: (?P<share>\S+) of the pictures of this folder .*",
    "candidates": r"candidates: (?P<n>\d+) seen .*",
    "seen": r"seen: (?P<values>.*)",
    "unknown": r"unknown: (?P<names>.*)",
    "ocr": r"text is found by the extra ocr: (?P<command>.*)",
    "fallback": r"(?P<chosen>\S+) was chosen, and (?P<used>\S+) is used: .*",
}
"""What `evalkit.restorers` says, by the texts of the page ``route`` that say it."""


def rule_in_language(name: str, language: Language | None = None) -> str:
    """A rule by its name; in another language than English by what it says."""
    language = language or spoken()
    return name if language == "en" else text(f"answer.why.{name}", language)


def in_language(note: str, language: Language | None = None) -> str:
    """A note, of the router or another, in a language, else in the one that is spoken.

    Itself, where it is not ours.
    """
    language = language or spoken()
    if route := re.fullmatch(r"route (\w+): (.*)", note):
        reason = in_language(route[2], language)
        return text("restore.route", language, route=route[1], reason=reason)
    for key, form in FORMS.items():
        if found := re.fullmatch(form, note):
            values = found.groupdict()
            redraws = values.pop("redraws", None)
            if language != "en" and "rule" in values:
                values["why"] = rule_in_language(values["rule"], language)
                values["tests"] = values["tests"].replace(" and ", "、")
            words = text(f"route.{key}", language, **values)
            return words + text("route.redraws", language) if redraws else words
    return note_in(note, language)
