"""Paths and command lines in settings: what each is called where others read of it.

They are the reader's own. In the name of a condition, and so in every table, page and
record, a short name stands for each. What it stands for is kept in the environment, so
that the processes of a study know it, and nowhere on the disk.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from evalkit.errors import SettingError

VARIABLE = "EVALKIT_ARGUMENTS"

PATHS = ("weights", "folder")
"""Settings that name a file or a folder; digests say what is in it."""

Shown: TypeAlias = Callable[[str], tuple[str, str | None]]
"""``shown(argument)``: its short name, and the argument whole, as it holds in any
folder; None for what is a short name already."""


def shorten(restorer: str, argument: str, shown: Shown, label: str | None) -> str:
    """The short name of an argument, or its `label`, which stands for it from now on.

    Raises
    ------
    SettingError
        It stands for another one.

    """
    names = _names()
    if f"{restorer}:{argument}" in names:
        return argument
    short, whole = shown(argument)
    if whole is None:
        return short
    short = label or short
    name = f"{restorer}:{short}"
    if names.setdefault(name, whole) != whole:
        raise SettingError(
            f"{name} is {names[name]} already, and cannot be {whole}, too: call one of "
            "the two otherwise"
        )
    os.environ[VARIABLE] = json.dumps(names)
    return short


def whole(restorer: str, argument: str) -> str:
    """What a short name stands for; any other argument as it is."""
    return _names().get(f"{restorer}:{argument}", argument)


def without_arguments(text: str) -> str:
    """A text with short names in place of what they stand for."""
    for name, argument in _names().items():
        text = text.replace(argument, name.partition(":")[2])
    return text


def file_shown(argument: str) -> tuple[str, str | None]:
    """The name of a file or a folder that is there; see `Shown`."""
    path = Path(argument).expanduser().absolute()
    return (path.name, str(path)) if path.exists() else (argument, None)


def without_paths(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with their files and folders (`PATHS`) called by their names alone."""
    return {
        name: without_paths(value)
        if isinstance(value, Mapping)
        else Path(value).name
        if name in PATHS and value
        else value
        for name, value in settings.items()
    }


def _names() -> dict[str, str]:
    names: dict[str, str] = json.loads(os.environ.get(VARIABLE, "{}"))
    return names
