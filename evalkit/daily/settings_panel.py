"""A restorer and its settings as widgets of a notebook, and as JSON beside them."""

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import ipywidgets as widgets

from evalkit.daily.controls import NAMED, Control, controls_of
from evalkit.errors import SettingError
from evalkit.restorers import restorers
from evalkit.texts import Language, text

NARROW = {"description_width": "initial"}
ROW = {"display": "flex", "flex_flow": "row wrap"}
STEP = 0.5


class SettingsPanel(widgets.VBox):  # type: ignore[misc]
    """What is chosen; the JSON decides, and controls write into it.

    Attributes
    ----------
    restorer
        Its name.
    controls
        Of its settings, by name; of those that are `NAMED`.
    parameters
        The JSON: as `restorer.parameters`, as ``evalkit restore --params`` takes it.

    """

    def __init__(self) -> None:
        names = [name for name, spec in restorers().items() if not spec.argument]
        self.restorer = widgets.Dropdown(options=names, value="auto", style=NARROW)
        self.parameters = widgets.Textarea(
            value=json.dumps({"name": "auto"}),
            continuous_update=False,
            style=NARROW,
            layout={"width": "auto", "height": "4em"},
        )
        self.controls: dict[str, widgets.DOMWidget] = {}
        self._row = widgets.Box(layout=ROW)
        self._language: Language = "en"
        self._is_reading = False
        super().__init__([self.restorer, self._row, self.parameters])
        self.restorer.observe(lambda _: self.choose(self.restorer.value), "value")
        self.parameters.observe(lambda _: self._read(), "value")
        self._draw()
        self._read()

    @property
    def settings(self) -> dict[str, Any]:
        """What the JSON says.

        Raises
        ------
        SettingError
            It is none, or names no restorer of the list.

        """
        try:
            settings = json.loads(self.parameters.value)
        except ValueError as error:
            raise SettingError(f"expected JSON, found none: {error}") from error
        names = self.restorer.options
        if not isinstance(settings, dict) or settings.get("name") not in names:
            raise SettingError(
                f'expected the "name" of a restorer, one of {", ".join(names)}'
            )
        return settings

    def choose(self, name: str) -> None:
        """Another restorer: settings that it has, too, stay."""
        if not self._is_reading:
            options, kept = restorers()[name].all_options, {}
            with suppress(SettingError):  # of what is no JSON nothing is kept
                kept = {k: v for k, v in self.settings.items() if k in options}
            self.parameters.value = json.dumps({"name": name, **kept})

    def speak(self, language: Language) -> None:
        """Name everything in a language."""
        self._language = language
        self.restorer.description = text("service.restorer", language)
        self.parameters.description = text("service.settings", language)
        self._draw()
        self._read()

    def _draw(self) -> None:
        """New controls, of the restorer that is chosen."""
        self._drawn = self.restorer.value
        every = controls_of(restorers()[self._drawn])
        shown = [each for each in every if each.name in NAMED]
        self.controls = {each.name: self._widget(each) for each in shown}
        self._row.children = tuple(self.controls.values())

    def _read(self) -> None:
        """Set restorer and controls by the JSON; what is none is left to `settings`."""
        with suppress(SettingError):
            settings, self._is_reading = self.settings, True
            self.restorer.value = settings["name"]
            if self._drawn != settings["name"]:
                self._draw()
            options = restorers()[settings["name"]].all_options
            for name, control in self.controls.items():
                _set(control, settings.get(name, options[name].default))
            self._is_reading = False

    def _write(self, name: str, value: Any) -> None:
        """A control writes into the JSON, which keeps what has no control."""
        if not self._is_reading:
            option = restorers()[self.restorer.value].all_options[name]
            settings = self.settings | {name: value}
            if value == option.default:
                del settings[name]
            self.parameters.value = json.dumps(settings)

    def _widget(self, control: Control) -> widgets.DOMWidget:
        option, usual = control.option, control.usual
        called = text(f"service.set.{control.name}", self._language)
        common = {"description": called, "style": NARROW}
        parse: Callable[[Any], Any] = lambda value: value  # noqa: E731
        if control.kind == "choice":
            labels = [(self._called(each), each) for each in control.choices]
            widget = widgets.Dropdown(options=labels, **common)
        elif isinstance(option.default, int | float):
            widget = widgets.FloatSlider(
                min=option.low, max=option.high, step=STEP, **common
            )
            parse = _whole
        else:
            widget = widgets.Text(placeholder=usual, continuous_update=False, **common)
            parse = partial(_number, default=option.default)
        widget.observe(
            lambda change: self._write(control.name, parse(change["new"])), "value"
        )
        return widget

    def _called(self, value: object) -> str:
        if isinstance(value, bool):
            return text(f"service.is.{json.dumps(value)}", self._language)
        return str(value)


def _set(control: widgets.DOMWidget, value: Any) -> None:
    """Show a value; one that a list lacks, such as a GPU that is not here, as none."""
    if isinstance(control, widgets.Dropdown):
        values = [each for _, each in control.options]
        control.value = value if value in values else None
    elif isinstance(control, widgets.FloatSlider):
        with suppress(ValueError, TypeError):  # what runs it will say what is wrong
            control.value = float(value)
    else:
        is_number = isinstance(value, int | float)
        control.value = f"{value:g}" if is_number else ""


def _whole(value: float) -> float:
    return int(value) if value == int(value) else value


def _number(written: str, *, default: Any) -> Any:
    """A number as it is typed; the default for nothing, the text for anything else."""
    try:
        return _whole(float(written)) if written.strip() else default
    except ValueError:
        return written
