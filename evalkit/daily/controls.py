"""The controls of a restorer's settings, as a page or a notebook draws them."""

from dataclasses import dataclass
from typing import Any, Literal

from evalkit.restorers import Option, RestorerSpec
from evalkit.restorers.engines.torch import n_devices

NAMED = ("scale", "device", "precision", "tile", "strength", "skin_protection")
"""Settings that come first, in this order, and have a name in each language."""

UNSEEN = ("weights",)
"""Of files on this computer, which a page must not name."""

Kind = Literal["number", "choice", "condition", "text"]


@dataclass(frozen=True, slots=True)
class Control:
    """How one setting is chosen.

    Attributes
    ----------
    name, option
        The setting, and what it may be.
    choices
        The values to choose from, those of this computer's GPUs among them.
    usual
        In words, what holds where nothing is chosen.

    """

    name: str
    option: Option
    choices: tuple[Any, ...]
    usual: str

    @property
    def kind(self) -> Kind:
        """A number in limits, one of the choices, a condition's name, or any text."""
        option = self.option
        if option.is_condition:
            return "condition"
        if option.low is not None:
            return "number"
        return "choice" if self.choices else "text"


def controls_of(spec: RestorerSpec) -> list[Control]:
    """Of all settings of a restorer, the `NAMED` ones first."""
    options = {k: v for k, v in spec.all_options.items() if k not in UNSEEN}
    first = [name for name in NAMED if name in options]
    return [_control(spec, n, options[n]) for n in dict.fromkeys([*first, *options])]


def _control(spec: RestorerSpec, name: str, option: Option) -> Control:
    choices = option.choices
    if name == "device" and n_devices() > 1:
        choices += tuple(f"cuda:{number}" for number in range(n_devices()))
    usual = option.default
    if usual is None:
        usual = spec.scale if name == "scale" else ""
    return Control(name, option, choices, str(usual))
