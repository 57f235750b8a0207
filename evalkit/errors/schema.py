"""What pydantic found wrong, in our words: where, what was expected, what was found."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_args

from evalkit.errors import did_you_mean

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

LONGEST_SHOWN = 80
"""Characters of a value that a message shows."""

UNKNOWN_KEY = ("extra_forbidden", "invalid_key", "unexpected_keyword_argument")
OWN_WORDS = ("value_error", "assertion_error")

EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "keys and values",
    "model": "keys and values",
    "dataclass": "keys and values",
    "none_required": "null",
    "greater_than_equal": "{ge:.12g} or more",
    "greater_than": "more than {gt:.12g}",
    "less_than_equal": "{le:.12g} or less",
    "less_than": "less than {lt:.12g}",
    "literal_error": "{expected}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text that fits {pattern}",
}
"""By pydantic's type of error, or that type's first word (``int_parsing``: ``int``)."""


def problems(
    error: "ValidationError", content: Any, model: type | None = None
) -> list[str]:
    """One sentence for each place in `content` that is not as it must be.

    Parameters
    ----------
    error
        What pydantic raised.
    content
        What it was given.
    model
        Whose keys are named where one is unknown: of pydantic, or a dataclass.

    """
    by_place: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for found in error.errors(include_url=False):
        by_place.setdefault(_place(found, content), []).append(found)
    return [
        _sentence(place, _written(place, content, model), found, model)
        for place, found in by_place.items()
        # a branch of a union that was not meant
        if not any(len(place) < len(o) and o[: len(place)] == place for o in by_place)
        or any(each["type"] in OWN_WORDS for each in found)
    ]


def shown(value: Any) -> str:
    """A value as a message shows it, cut where it is long."""
    if value is None:
        return "nothing"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python writes no integer of 4,301 digits
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def _place(found: "ErrorDetails", content: Any) -> tuple[Any, ...]:
    """Keys and positions in the content, without pydantic's names of branches."""
    place = []
    for part in found["loc"]:
        is_key = isinstance(content, dict) and part in content
        is_position = isinstance(content, list) and isinstance(part, int)
        if is_key or is_position:
            content = content[part]
            place.append(part)
    if found["type"] == "invalid_key":  # 1 where text is wanted
        return (*place[:-2], str(found["loc"][0]))
    if found["type"] == "missing":  # so it is not in the content
        place.append(found["loc"][-1])
    return tuple(place)


def _sentence(
    place: tuple[Any, ...],
    where: str,
    found: "list[ErrorDetails]",
    model: type | None,
) -> str:
    kinds = {each["type"] for each in found}
    if "missing" in kinds:
        return f"{where} is missing"
    if kinds & {*UNKNOWN_KEY}:
        keys = _keys(model, place[:-1])
        known = f"; known: {', '.join(keys)}" if keys else ""
        return f"unknown key {where}{known}{did_you_mean(place[-1], keys)}"
    for each in found:
        if each["type"] in OWN_WORDS:
            text = str(each["ctx"]["error"])
            return f"{where}: {text}" if where else text
    expected = list(dict.fromkeys(map(_expected, found)))
    value = found[0]["input"]
    near = ""
    if isinstance(value, str):
        choices = re.findall("'([^']*)'", " ".join(expected))
        near = did_you_mean(value, choices)
    told = f"must be {', or '.join(expected)}; found {shown(value)}{near}"
    return f"{where} {told}" if where else told


def _expected(found: "ErrorDetails") -> str:
    kind = found["type"]
    template = EXPECTED.get(kind) or EXPECTED.get(kind.split("_")[0])
    return template.format(**found.get("ctx", {})) if template else "of another kind"


def _written(place: tuple[Any, ...], content: Any, model: type | None) -> str:
    """As in ``rating.conditions[2]``; ``claims[S1].kind`` where the model has an id."""
    written = ""
    for depth, part in enumerate(place, 1):
        inner = content[part] if isinstance(content, list) else content.get(part)
        content = inner if isinstance(inner, dict | list) else {}
        if isinstance(part, int):
            names = {"id", "name"} & {*_keys(model, place[:depth])}
            label = next((content[name] for name in names if name in content), part)
            written += f"[{label}]"
        else:
            written += f".{part}"
    return written.removeprefix(".")


def _keys(model: Any, place: tuple[Any, ...]) -> Mapping[str, Any]:
    """The fields of the model at that place; nothing where there is none."""
    for part in place:
        if isinstance(part, int):
            model = next(iter(get_args(model)), None)
        else:
            model = _fields(model).get(part)
    return _fields(model)


def _fields(model: Any) -> Mapping[str, Any]:
    """What each field of a model is; nothing where it is none."""
    if hasattr(model, "model_fields"):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return {f.name: f.type for f in fields(model)} if is_dataclass(model) else {}
