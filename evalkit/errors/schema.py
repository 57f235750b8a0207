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
"""What was expected, by pydantic's type of error or its first word (``int_parsing``:
``int``)."""


def problems(
    error: "ValidationError", content: Any, model: type | None = None
) -> list[str]:
    """One sentence for each place in `content` that is not as it must be.

    Parameters
    ----------
    error
        What pydantic raised.
    content
        What pydantic was given.
    model
        Its keys are named where one is unknown: of pydantic, or a dataclass.

    """
    by_place: dict[tuple[Any, ...], list[ErrorDetails]] = {}
    for detail in error.errors(include_url=False):
        by_place.setdefault(_place(detail, content), []).append(detail)
    return [
        _sentence(place, _written(place, content, model), details, model)
        for place, details in by_place.items()
        # leave out the branch of a union that was not meant
        if not any(len(place) < len(o) and o[: len(place)] == place for o in by_place)
        or any(detail["type"] in OWN_WORDS for detail in details)
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


def _place(detail: "ErrorDetails", content: Any) -> tuple[Any, ...]:
    """Keys and positions in the content, without pydantic's names of branches."""
    place = []
    for part in detail["loc"]:
        is_key = isinstance(content, dict) and part in content
        is_position = isinstance(content, list) and isinstance(part, int)
        if is_key or is_position:
            content = content[part]
            place.append(part)
    if detail["type"] == "invalid_key":  # 1 where text is wanted
        return (*place[:-2], str(detail["loc"][0]))
    if detail["type"] == "missing":  # so it is not in the content
        place.append(detail["loc"][-1])
    return tuple(place)


def _sentence(
    place: tuple[Any, ...],
    where: str,
    details: "list[ErrorDetails]",
    model: type | None,
) -> str:
    kinds = {detail["type"] for detail in details}
    if "missing" in kinds:
        return f"{where} is missing"
    if kinds & {*UNKNOWN_KEY}:
        keys = _keys(model, place[:-1])
        listing = f"; known: {', '.join(keys)}" if keys else ""
        return f"unknown key {where}{listing}{did_you_mean(place[-1], keys)}"
    for detail in details:
        if detail["type"] in OWN_WORDS:
            text = str(detail["ctx"]["error"])
            return f"{where}: {text}" if where else text
    expected = list(dict.fromkeys(map(_expected, details)))
    value = details[0]["input"]
    near = ""
    if isinstance(value, str):
        choices = re.findall("'([^']*)'", " ".join(expected))
        near = did_you_mean(value, choices)
    message = f"must be {', or '.join(expected)}; found {shown(value)}{near}"
    return f"{where} {message}" if where else message


def _expected(detail: "ErrorDetails") -> str:
    kind = detail["type"]
    template = EXPECTED.get(kind) or EXPECTED.get(kind.split("_")[0])
    return template.format(**detail.get("ctx", {})) if template else "of another kind"


def _written(place: tuple[Any, ...], content: Any, model: type | None) -> str:
    """A place as ``rating.conditions[2]``; ``claims[S1].kind`` in a model of ids."""
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
    """The type of each field of a model; nothing where it is no model."""
    if hasattr(model, "model_fields"):
        return {name: field.annotation for name, field in model.model_fields.items()}
    return {f.name: f.type for f in fields(model)} if is_dataclass(model) else {}
