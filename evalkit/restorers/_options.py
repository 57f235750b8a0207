"""The settings of restorers: what each may be, and those that many share."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from evalkit.errors import SettingError, did_you_mean
from evalkit.errors.schema import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting of a restorer.

    Attributes
    ----------
    default
        JSON-able; what `load_restorer` takes when the setting is not given.
    description
        One line, with the unit.
    choices
        Values that are allowed as they stand.
    low, high
        Inclusive limits; with them any number between is allowed.
    is_text
        Any text is allowed: a path, a device.
    is_condition
        Any text is allowed, and it is the name of a condition.

    """

    default: Any
    description: str
    choices: tuple[Any, ...] = ()
    low: float | None = None
    high: float | None = None
    is_text: bool = False
    is_condition: bool = False

    def check(self, name: str, value: Any) -> None:
        """Accept `value`, or say what was expected.

        Raises
        ------
        SettingError
            It is not among the choices, not a number within the limits, not text.

        """
        # True == 1 in Python, so a choice must also agree in type
        is_choice = any(value == c and type(value) is type(c) for c in self.choices)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = self.low is not None and self.high is not None and is_number
        fits = fits and self.low <= value <= self.high
        takes_text = self.is_text or self.is_condition
        if is_choice or fits or (takes_text and isinstance(value, str)):
            return
        expected = [repr(choice) for choice in self.choices]
        if self.low is not None and is_number and value < self.low:
            expected = [f"{self.low:g} or more"]
        elif self.high is not None and is_number and value > self.high:
            expected = [f"{self.high:g} or less"]
        elif self.low is not None:
            expected.append(f"a number from {self.low:g} to {self.high:g}")
        if takes_text:
            expected.append("text")
        texts = [choice for choice in self.choices if isinstance(choice, str)]
        near = did_you_mean(value, texts) if isinstance(value, str) else ""
        raise SettingError(
            f"{name} must be {' or '.join(expected)}; found {shown(value)}{near}"
        )


COMMON_OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "runner": Option(
            default="tuned",
            choices=("tuned", "upstream"),
            description="ours, or what a user of the original gets",
        ),
        "device": Option(
            default="auto",
            choices=("auto", "cpu", "cuda"),
            is_text=True,
            description="auto, cpu, cuda or cuda:N",
        ),
        "precision": Option(
            default="auto",
            choices=("auto", "fp32", "tf32", "fp16", "bf16"),
            description="of the network's arithmetic; tf32 is of CUDA's convolutions",
        ),
        "tile": Option(
            default="auto",
            choices=("auto",),
            low=0,
            high=16384,
            description="side of a tile in source px; 0 for none; auto on CUDA is "
            "chosen at each call, by the memory that is free",
        ),
        "weights": Option(
            default=None,
            choices=(None,),
            is_text=True,
            description="a path; None for the registry",
        ),
    }
)
"""The settings that `load_restorer` names; a spec says which of them it honours."""
