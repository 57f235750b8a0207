"""What an answer may hold: one rule for the page, for imported files, for the store."""

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from evalkit.rating._schema import ALLOWED, LONGEST_S, VALUES
from evalkit.texts import texts_of


def check_value(kind: str, value: int | str | None) -> None:
    """Refuse what is no answer to an item of a kind; `value` may be written as text.

    Raises
    ------
    ValueError
        With what was expected and found.

    """
    if value is not None and str(value) not in map(str, ALLOWED[kind]):
        raise ValueError(
            f"value must be {VALUES[kind]} or null; found {value!r} of an item of "
            f"kind {kind}"
        )


def _no_other_number(value: Any) -> Any:
    """Return the value; Python takes true and 1.0 for 1."""
    if isinstance(value, bool | float):
        raise ValueError("must be a whole number or a word")
    return value


def _check_tags(tags: list[str]) -> list[str]:
    known = [key[4:] for key in texts_of("rating") if key.startswith("tag.")]
    unknown = sorted({*tags} - {*known})
    if unknown:
        raise ValueError(f"must be among {', '.join(known)}; found {unknown[0]!r}")
    if len({*tags}) < len(tags):
        raise ValueError(f"must differ; found {json.dumps(tags)}")
    return tags


Attempt: TypeAlias = Annotated[str, Field(pattern=r"^[!-~]{1,64}$")]
Tag: TypeAlias = Annotated[str, Field(pattern=r"^[a-z-]{1,40}$")]
Tags: TypeAlias = Annotated[
    list[Tag], Field(max_length=30), AfterValidator(_check_tags)
]
Seconds: TypeAlias = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Value: TypeAlias = Annotated[
    Literal[1, 2, 3, 4, 5, "left", "right", "same"] | None,
    BeforeValidator(_no_other_number),
]
Name: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""Text that every database takes."""
