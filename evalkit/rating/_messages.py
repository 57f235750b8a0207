"""What the page and a session tell each other, beyond values of answers."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MESSAGES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parent / "messages.json").read_text(encoding="utf-8")
)
"""What the messages between the page and a session hold, for both of them: of each the
names that are always there, and those that are sometimes; also the reasons that may be
given for an answer, with the questions and the contents of pictures that they suit."""


def _no_truth(value: Any) -> Any:
    """Return the value; pydantic takes true for 1, and a word for its number."""
    if isinstance(value, bool | str):
        raise ValueError("must be a number")
    return value


Sides: TypeAlias = dict[str, Literal["left", "right", "both"]]
Px: TypeAlias = Annotated[int, Field(ge=0, le=100_000, strict=True)]
Steps: TypeAlias = Annotated[int, Field(ge=0, le=6, strict=True)]
Scale: TypeAlias = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Truth: TypeAlias = Annotated[bool, Field(strict=True)]


class ScreenCheck(BaseModel):
    """How many of six steps near black and near white a screen shows, and its size.

    The size is in CSS pixels.
    """

    model_config = ConfigDict(extra="forbid")

    dark_steps: Steps
    bright_steps: Steps
    width_px: Px
    height_px: Px


class Seen(BaseModel):
    """How the pictures of an item were seen before it was answered.

    Attributes
    ----------
    window_width_px, window_height_px
        CSS pixels.
    pixel_ratio
        Pixels of the screen for a CSS pixel.
    scale, least_scale, most_scale
        Pixels of the screen for one of the picture: at the answer, and its range.
    zoom_used, source_opened, full_screen
        At any time before the answer.

    """

    model_config = ConfigDict(extra="forbid")

    window_width_px: Px
    window_height_px: Px
    pixel_ratio: Annotated[Scale, BeforeValidator(_no_truth)]
    scale: Annotated[Scale, BeforeValidator(_no_truth)]
    least_scale: Annotated[Scale, BeforeValidator(_no_truth)]
    most_scale: Annotated[Scale, BeforeValidator(_no_truth)]
    zoom_used: Truth
    source_opened: Truth
    full_screen: Truth
