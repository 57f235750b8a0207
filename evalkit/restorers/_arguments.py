"""The arguments of restorers: what each is called where others read of it.

A path or a command line is the reader's own. In the name of a condition, and so in
every table, page and record, a short name stands for it. What it stands for is kept in
the environment, so that the processes of a study know it, and nowhere on the disk.
"""

import json
import os
from collections.abc import Callable
from typing import TypeAlias

from evalkit.errors import SettingError

VARIABLE = "EVALKIT_ARGUMENTS"

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


def _names() -> dict[str, str]:
    names: dict[str, str] = json.loads(os.environ.get(VARIABLE, "{}"))
    return names
