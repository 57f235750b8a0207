"""Words and numbers of the report."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from evalkit.study.progress import rounded_time
from evalkit.texts import Language, text, texts_of

MINUTE_S = 90
"""From so many seconds on a time is told in minutes."""


class Sentence(NamedTuple):
    """One sentence of the answer.

    Attributes
    ----------
    rule, text
        The rule that made it; what it says, without markup.
    tables, command
        The tables that hold its numbers; what to type, for a step.

    """

    rule: str
    text: str
    tables: tuple[str, ...]
    command: str | None = None


Sentences = Iterator[Sentence]


def number(
    value: Any, unit: Any = None, digits: int = 3, *, language: Language = "en"
) -> str:
    """A number as a reader wants it, with its unit; ``not measured`` for null.

    Examples
    --------
    >>> number(2.8149, "s"), number(1843.2, "MiB"), number(None), number(0.00001234)
    ('2.81 s', '1,843 MiB', 'not measured', '1.23e-05')

    """
    if pd.isna(value):
        return text("report.unknown", language)
    value = float(value)
    is_long = 10**digits <= abs(value) < 1e15
    digits_said = f"{value:,.0f}" if is_long else f"{value:.{digits}g}"
    return f"{digits_said} {unit}" if isinstance(unit, str) and unit else digits_said


def lasting(seconds: float) -> str:
    """A time that may be one of an album: hours and minutes where seconds are many.

    Examples
    --------
    >>> lasting(10.0), lasting(7000.0)
    ('10 s', '2 h')

    """
    return number(seconds, "s") if seconds < MINUTE_S else rounded_time(seconds)


def counted(n: int) -> dict[str, Any]:
    """The values ``n`` and ``s`` of a text whose noun has a plural."""
    return {"n": n, "s": "" if n == 1 else "s"}


def in_list(names: list[str], language: Language = "en") -> str:
    """Names in a sentence.

    Examples
    --------
    >>> in_list(["a"]), in_list(["a", "b", "c"]), in_list(["a", "b", "c"], "zh")
    ('a', 'a, b and c', 'a、b、c')

    """
    comma, last = (", ", " and ") if language == "en" else ("、", "、")
    return last.join([comma.join(names[:-1]), names[-1]] if names[1:] else names)


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as mappings, null as None."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def with_bounds(
    value: Any, low: Any, high: Any, *, unit: str = "", digits: int = 3
) -> str:
    """A value and, where it has one, its interval.

    Examples
    --------
    >>> with_bounds(2.0, 1.5, 2.5, unit="s"), with_bounds(2.0, None, None)
    ('2 s [1.5, 2.5]', '2')

    """
    words = number(value, unit, digits)
    if pd.notna(low) and low < high:
        words += f" [{number(low, digits=digits)}, {number(high, digits=digits)}]"
    return words


def in_clauses(parts: list[str], language: Language) -> str:
    """Clauses in a sentence."""
    return ("; " if language == "en" else "；").join(parts)


def in_sentences(sentences: list[str], language: Language) -> str:
    """Sentences one after the other."""
    return (" " if language == "en" else "").join(sentences)


def in_verdict(verdict: str, language: Language) -> str:
    """A verdict in the reader's language; itself, where it is not ours."""
    is_ours = f"verdict.{verdict}" in texts_of("answer")
    return text(f"answer.verdict.{verdict}", language) if is_ours else verdict


def in_kind(kind: str, language: Language) -> str:
    """A kind of picture in the reader's language; itself, where it is not ours."""
    is_ours = f"kind.{kind}" in texts_of("answer")
    return text(f"answer.kind.{kind}", language) if is_ours else kind


def kind_of(kind: str, language: Language) -> str:
    """The kind of one picture: in English the word of the tables."""
    return kind if language == "en" else in_kind(kind, language)


def or_number(names: list[str], most: int, language: Language) -> str:
    """The names of pictures; how many they are, if more than `most`."""
    if len(names) > most:
        return text("answer.pictures", language, n=len(names))
    return in_list(names, language)
