"""The answer of a run (`evalkit.tables.ANSWER`) as lines for a screen."""

import textwrap
from collections.abc import Iterator

import pandas as pd

MARKS = {"label": "", "answer": "- ", "next": "> ", "caution": "! "}
"""What begins a line of each part."""

MOST_CAUTIONS = 3


def answer_lines(answer: pd.DataFrame, width: int | None) -> Iterator[str]:
    """Label, sentences, steps with their commands, and the first cautions.

    Parameters
    ----------
    answer
        Table `evalkit.tables.ANSWER`.
    width
        Columns of the screen; None to break no line.

    """
    for part, mark in MARKS.items():
        rows = answer[answer["part"] == part]
        if part == "caution":
            rows = rows.head(MOST_CAUTIONS)
        for row in rows.to_dict("records"):
            text = " ".join(row["text"].split())  # a name may hold a new line
            yield from _wrapped(mark + text, len(mark) * " ", width)
            if pd.notna(row["command"]):
                yield f"      {row['command']}"


def _wrapped(line: str, indent: str, width: int | None) -> list[str]:
    if width is None:
        return [line]
    return textwrap.wrap(
        line,
        max(40, min(width, 100)),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
