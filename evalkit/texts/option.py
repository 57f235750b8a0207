"""The option ``--lang`` of commands."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from evalkit.texts import Language


@contextmanager
def speaking(language: Language) -> Iterator[None]:
    """Have commands, and the processes that they start, speak a language."""
    before = os.environ.get("EVALKIT_LANG")
    os.environ["EVALKIT_LANG"] = language
    try:
        yield
    finally:
        os.environ["EVALKIT_LANG"] = before or ""


def _speak(context: typer.Context, language: Language | None) -> Language | None:
    if language:
        context.with_resource(speaking(language))
    return language


Lang = Annotated[
    Language | None,
    typer.Option(
        "--lang", callback=_speak, help="en or zh; else $EVALKIT_LANG, or English."
    ),
]
"""The option as a parameter: to be given is all that it needs."""
