"""What is offered: restorers, their settings, and what keeps one from being used."""

from functools import cache
from typing import Any

from evalkit.daily.controls import Control, controls_of
from evalkit.daily.permitted import notices_of, permitted_plan
from evalkit.errors import EvalkitError
from evalkit.restorers import RestorerSpec, restorers
from evalkit.weights import notice


def offered() -> list[RestorerSpec]:
    """The restorers that need no file and no program of this computer."""
    return [spec for spec in restorers().values() if not spec.argument]


@cache
def facts_of(name: str) -> dict[str, Any]:
    """What a client must know of a restorer; what it lacked when first asked."""
    spec, lacks = restorers()[name], None
    try:
        notices = notices_of(permitted_plan({"name": name}))
    except EvalkitError as error:
        lacks, notices = str(error), []
    return {
        "name": name,
        "task": spec.task,
        "licence": spec.licence,
        "redraws_faces": spec.redraws_faces,
        "lacks": lacks,
        "notices": [notice(each).partition(". ")[0] for each in notices],
        "settings": {each.name: _said(each) for each in controls_of(spec)},
    }


def _said(control: Control) -> dict[str, Any]:
    option = control.option
    said = {"type": control.kind, "default": option.default, "says": option.description}
    if control.choices:
        said["choices"] = control.choices
    if option.low is not None:
        said |= {"least": option.low, "most": option.high}
    return said
