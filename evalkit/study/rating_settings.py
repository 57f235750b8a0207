"""What a study file says of its rating sessions."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    ValidationInfo,
    field_validator,
)

from evalkit.errors import did_you_mean
from evalkit.errors.schema import shown
from evalkit.rating.items import QUESTIONS

MAX_QUESTION = 200
OWN_QUESTION = re.compile(rf"(?=.*[^\x21-\x7e]|.*\?)[^\x00-\x1f]{{2,{MAX_QUESTION}}}")
"""More than one word, or a script that has no blanks, or a question mark; one line."""

MAX_ORGANISER = 200


def _check_question(question: Any) -> str:
    """A question; a `ValueError` where it is none: one word may be a slip."""
    if question in QUESTIONS:
        return str(question)
    if isinstance(question, str) and OWN_QUESTION.fullmatch(question.strip()):
        return question.strip()
    near = did_you_mean(question, QUESTIONS) if isinstance(question, str) else ""
    raise ValueError(
        f"must be {', '.join(QUESTIONS)} or a question of at most {MAX_QUESTION} "
        f"letters in your own words; found {shown(question)}{near}"
    )


class Rating(BaseModel):
    """What the rating sessions are planned for.

    Attributes
    ----------
    conditions
        The study's conditions that people rate; all of them when empty.
    mode
        ``acr`` (1 to 5), ``ab`` (which of two) or ``both``.
    subjects
        Sessions planned from the start; more can be added.
    minutes
        How long a session may take.
    question
        What subjects are asked: ``quality``, ``fidelity`` or ``identity`` (these two
        show the source beside), or a question in words of one's own.
    shows
        Of a picture whose outputs may be larger than the screen: ``whole``, reduced;
        ``detail``, the report's crop at its own size; or ``both``, one after the other.
    stopping
        When the panel ends: ``fixed``, when `subjects` sessions are complete; or
        ``sequential``, with mode ``ab``: by then, or at one of four looks that decides.
    organiser
        Who asks, as subjects read it before they begin, and whom they tell to have
        their answers deleted; empty for whoever sent them the link.

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    conditions: list[str] = []
    mode: Literal["acr", "ab", "both"] = "acr"
    subjects: StrictInt = Field(default=3, ge=1, le=10_000)
    minutes: StrictFloat = Field(default=15.0, gt=0, le=600, allow_inf_nan=False)
    question: Annotated[str, BeforeValidator(_check_question)] = QUESTIONS[0]
    shows: Literal["whole", "detail", "both"] = "whole"
    stopping: Literal["fixed", "sequential"] = "fixed"
    organiser: str = Field(default="", pattern=rf"^[^\x00-\x1f]{{0,{MAX_ORGANISER}}}$")

    @field_validator("stopping")
    @classmethod
    def _check_stopping(cls, stopping: str, info: ValidationInfo) -> str:
        mode = info.data.get("mode", "ab")
        if stopping == "sequential" and mode != "ab":
            raise ValueError(
                f"sequential is for choices between two: mode ab, not {mode}; scores "
                "have a fixed number of sessions"
            )
        return stopping
