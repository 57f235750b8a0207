"""What people read on pages and screens, English and Chinese: ``data/texts.json``.

So are the main sentences of commands. Errors, notes of restorers, and messages of
notebooks are English and stand where they are used; who reads Chinese is told the notes
by the texts that they fill (`evalkit.texts.notes`).
"""

import json
import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, TypeAlias

from evalkit.errors import SettingError, UnknownNameError
from evalkit.paths import data_file

Language: TypeAlias = Literal["en", "zh"]

Texts: TypeAlias = Mapping[str, Mapping[Language, str]]
"""Texts by key and language; ``{name}`` stands for a value."""


def text(key: str, language: Language, **values: object) -> str:
    """One text, with its values filled in.

    Parameters
    ----------
    key
        The page, a dot, the key on that page: ``rating.progress``.
    language
        ``en`` or ``zh``.
    **values
        The values that the text names in braces.

    Raises
    ------
    UnknownNameError
        No such text.

    Examples
    --------
    >>> text("rating.progress", "zh", done=3, total=25)
    '已完成 3 / 25'

    """
    page, _, name = key.partition(".")
    texts = texts_of(page)
    if name not in texts:
        raise UnknownNameError("text", key, [f"{page}.{entry}" for entry in texts])
    return texts[name][language].format(**values)


def spoken() -> Language:
    """The language of commands: that of ``EVALKIT_LANG``, else English.

    The computer's own language decides nothing: a log reads the same everywhere. A
    region or an encoding behind the language says nothing more: ``zh_CN.UTF-8``.

    Raises
    ------
    SettingError
        It is neither ``en`` nor ``zh``.

    """
    asked = os.environ.get("EVALKIT_LANG") or "en"
    match re.split("[-_.]", asked.lower())[0]:
        case "en":
            return "en"
        case "zh":
            return "zh"
    raise SettingError(f"EVALKIT_LANG must be en or zh; found {asked!r}")


def tell(key: str, **values: object) -> str:
    """As `text`, in the language that is `spoken`."""
    return text(key, spoken(), **values)


def texts_of(page: str) -> Texts:
    """All texts of a page, for a script that fills in their values itself.

    Raises
    ------
    UnknownNameError
        No such page.

    """
    pages = _catalogue()
    if page not in pages:
        raise UnknownNameError("page of texts", page, pages)
    return pages[page]


@cache
def _catalogue() -> dict[str, Texts]:
    catalogue: dict[str, Texts] = json.loads(
        data_file("texts.json").read_text(encoding="utf-8")
    )
    return catalogue
