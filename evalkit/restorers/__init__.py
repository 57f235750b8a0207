"""The restorers: one file a family, found by themselves, loaded by name."""

import sys
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

from evalkit.discover import discover
from evalkit.errors import SettingError, UnknownNameError
from evalkit.restorers._arguments import (
    file_shown,
    shorten,
    whole,
    without_arguments,
)
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.restorers._protocol import (
    Cancel,
    Context,
    Plan,
    Progress,
    Restored,
    Restorer,
    RestorerSpec,
    Settings,
    stop_if,
)
from evalkit.restorers._work import CostBound

__all__ = [
    "Cancel",
    "Context",
    "CostBound",
    "Option",
    "Plan",
    "Progress",
    "Restored",
    "Restorer",
    "RestorerSpec",
    "Settings",
    "argument_of",
    "condition_name",
    "load_restorer",
    "parse_condition",
    "plan_restorer",
    "restorers",
    "settings_of",
    "shortened",
    "stop_if",
    "without_arguments",
]


@cache
def restorers() -> Mapping[str, RestorerSpec]:
    """Every restorer by name, without loading any."""
    return discover(sys.modules[__name__], RestorerSpec)


def plan_restorer(name: str, **settings: Any) -> Plan:
    """Check and resolve settings, and find the weights, without loading them.

    Raises
    ------
    UnknownNameError
        No such restorer, or no such setting.
    SettingError
        A setting that this restorer does not have, or a value it does not take.
    WeightsError
        Weights that cannot be had.

    """
    spec, requested = _request(name, settings)
    return spec.plan(spec, requested)


def load_restorer(
    name: str,
    *,
    runner: str = "tuned",
    device: str = "auto",
    precision: str = "auto",
    tile: int | str = "auto",
    weights: str | None = None,
    **options: Any,
) -> Restorer:
    """Load a restorer by name, ready to call.

    Parameters
    ----------
    name
        One of `restorers`, or ``outputs:<folder>``, ``checkpoint:<file>``.
    runner
        ``upstream``, what a user of the original gets, or ``tuned``, ours.
    device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    precision
        ``auto``, ``fp32``, ``tf32``, ``fp16`` or ``bf16``; see
        `evalkit.restorers.engines.torch.pick_precision` for what auto is, and how far
        bf16 is from fp32. On CUDA the tuned runner's
        ``fp32`` is exact; upstream's is what PyTorch makes of it, by default TF32 in
        convolutions.
    tile
        Side of a tile in source pixels; 0 for none; ``auto``, which on CUDA is chosen
        at each call by the memory that is free.
    weights
        A path, or None for the registry.
    **options
        The restorer's own; see ``restorers()[name].options``.

    Raises
    ------
    UnknownNameError, SettingError, WeightsError
        As in `plan_restorer`.
    OutOfMemoryError
        No room for its networks, or for what their device needs first.

    """
    common = {
        "runner": runner,
        "device": device,
        "precision": precision,
        "tile": tile,
        "weights": None if weights is None else str(weights),
    }
    plan = plan_restorer(name, **common, **options)
    return plan.load()


def condition_name(name: str, **settings: Any) -> str:
    """A condition's name: the restorer, then its non-default settings, sorted.

    A file, a folder or a command is called by its short name, which stands for it in
    this process and in those that it starts.

    Examples
    --------
    >>> condition_name("realesrgan-x4plus", tile=200, precision="fp16")
    'realesrgan-x4plus@precision=fp16,tile=200'

    Raises
    ------
    UnknownNameError, SettingError
        As in `plan_restorer`.

    """
    spec, requested = _request(name, settings)
    options = spec.all_options
    if spec.argument and spec.shown:
        argument, label = name.partition(":")[2], requested.pop("label", None)
        name = f"{spec.name}:{shorten(spec.name, argument, spec.shown, label)}"
    assignments = [
        f"{setting}={_to_text(_shown(setting, value, options[setting]))}"
        for setting, value in sorted(requested.items())
        if setting != spec.argument and value != options[setting].default
    ]
    return f"{name}@{','.join(assignments)}" if assignments else name


def _shown(setting: str, value: Any, option: Option) -> Any:
    """A value with its files by their short names."""
    if setting == "weights":
        return shorten("weights", value, file_shown, None)
    return shortened(value) if option.is_condition else value


def shortened(condition: str) -> str:
    """The condition with its files and command by their short names, else as it is.

    Raises
    ------
    UnknownNameError, SettingError
        As in `condition_name`.

    """
    settings = parse_condition(condition)
    spec, _ = _find(settings["name"])
    options = spec.all_options
    is_short = not spec.shown and not any(
        name == "weights" or (name in options and options[name].is_condition)
        for name in settings
    )
    return condition if is_short else condition_name(**settings)


def parse_condition(condition: str) -> dict[str, Any]:
    """The inverse of `condition_name`: arguments for `load_restorer`.

    Raises
    ------
    UnknownNameError
        No such restorer.
    SettingError
        Something behind the ``@`` that is not ``setting=value``.

    """
    name, at, text = condition.partition("@")
    spec, _ = _find(name)
    if spec.argument and at:  # which may hold an @ itself: the last may begin settings
        name, _, text = condition.rpartition("@")
        names = {part.partition("=")[0] for part in text.split(",")}
        if not names <= {*spec.all_options, *COMMON_OPTIONS}:
            name, text = condition, ""
    settings: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        setting, equals, value = part.partition("=")
        if not equals:
            raise SettingError(
                f"condition {condition!r}: expected setting=value, got {part!r}"
            )
        if setting in settings:
            raise SettingError(f"condition {condition!r}: {setting} is given twice")
        settings[setting] = _from_text(value)
    if "name" in settings:  # which the answer uses for the restorer
        raise UnknownNameError(f"option of {spec.name}", "name", spec.all_options)
    return {"name": name, **settings}


def argument_of(condition: str) -> str:
    """What is behind the colon of its restorer's name, a folder say; else nothing.

    Raises
    ------
    UnknownNameError, SettingError
        As in `parse_condition`.

    """
    return _find(parse_condition(condition)["name"])[1]


def settings_of(condition: str) -> dict[str, Any]:
    """As `parse_condition`; empty for what no restorer has made, as ``reference``."""
    try:
        return parse_condition(condition)
    except (SettingError, UnknownNameError):
        return {}


def _find(name: str) -> tuple[RestorerSpec, str]:
    if not isinstance(name, str):
        raise SettingError(
            f"expected a restorer's name, found {name!r}; a dict of settings is given "
            "as load_restorer(**settings)"
        )
    stem, colon, argument = name.partition(":")
    spec = restorers().get(stem)
    if spec is None or bool(spec.argument) != bool(colon and argument):
        names = [
            f"{s.name}:<{s.argument}>" if s.argument else s.name
            for s in restorers().values()
        ]
        raise UnknownNameError("restorer", name, names)
    return spec, argument


def _request(
    name: str, settings: Mapping[str, Any]
) -> tuple[RestorerSpec, dict[str, Any]]:
    """All settings of a restorer: those given, checked, and the defaults."""
    spec, argument = _find(name)
    options = spec.all_options
    if spec.argument:
        settings = {**settings, spec.argument: whole(spec.name, argument)}
    requested = {option: options[option].default for option in options}
    for setting, value in settings.items():
        if setting == "weights" and isinstance(value, str):
            value = whole("weights", value)
        if setting in options:
            options[setting].check(setting, value)
            requested[setting] = value
        elif setting not in COMMON_OPTIONS:
            raise UnknownNameError(f"option of {spec.name}", setting, options)
        elif value != COMMON_OPTIONS[setting].default:
            raise SettingError(
                f"{spec.name} has no {setting}; found {value!r}, known: "
                f"{', '.join(options) or 'no settings'}"
            )
    return spec, requested


def _to_text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    # a path may hold what the syntax of conditions uses
    return quote(value, safe="/:~ ()") if isinstance(value, str) else str(value)


def _from_text(text: str) -> Any:
    words = {"true": True, "false": False, "none": None}
    if text in words:
        return words[text]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return unquote(text)
