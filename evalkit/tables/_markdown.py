"""A table as Markdown, to read: every cell is text, whatever a person called it."""

import re
import unicodedata

import pandas as pd

MARKS = re.compile(r"[\\`*\[\]~]|(?<![^\W_])_|_(?![^\W_])")
"""Letters that Markdown reads as syntax; an underscore within a word is none."""

ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"})
"""A backslash before ``<`` or ``|`` does not help in every program."""


def as_markdown(frame: pd.DataFrame) -> str:
    """A pipe table, a row a line, with as many columns as the frame.

    Numbers have four digits, what is unknown is empty. Nothing in a text column is
    read as Markdown, HTML or a number.
    """
    cells = frame.copy()
    texts = [k for k, dtype in enumerate(frame.dtypes) if dtype == "string"]
    for name in frame.columns[texts]:
        cells[name] = frame[name].map(literal, na_action="ignore")
    cells = cells.astype(object).where(frame.notna(), None)  # not ``<NA>``, a tag
    table = cells.to_markdown(
        index=False,
        floatfmt=".4g",
        missingval="",
        disable_numparse=texts if len(frame) else False,
    )
    return f"{table}\n"


def literal(text: str) -> str:
    r"""A text as Markdown that shows just it, on one line.

    Examples
    --------
    >>> print(literal("a|b_c\n[d](e) <f>"))
    a&#124;b_c \[d\](e) &lt;f&gt;

    """
    one_line = "".join(
        " " if unicodedata.category(letter) in ("Cc", "Zl", "Zp") else letter
        for letter in text
    )
    return MARKS.sub(r"\\\g<0>", one_line).translate(ENTITIES)
