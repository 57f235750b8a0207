"""The router's reasons in the reader's language: notes keep them in English."""

import re

from evalkit.restorers._routing import RULES, SCENES
from evalkit.texts import spoken, tell, text

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


def rule_in_language(name: str) -> str:
    """A rule by its name; in another language than English by what it says."""
    return name if spoken() == "en" else text(f"answer.why.{name}", spoken())


def in_language(reason: str) -> str:
    """A reason in the language that is spoken; itself, where it is not the router's."""
    if route := re.fullmatch(r"route (\w+): (.*)", reason):
        return tell("restore.route", route=route[1], reason=in_language(route[2]))
    for key, form in FORMS.items():
        if found := re.fullmatch(form, reason):
            values = found.groupdict()
            redraws = values.pop("redraws", None)
            if spoken() != "en" and "rule" in values:
                values["why"] = rule_in_language(values["rule"])
                values["tests"] = values["tests"].replace(" and ", "、")
            words = tell(f"route.{key}", **values)
            return words + tell("route.redraws") if redraws else words
    return reason
