"""Words and numbers of the report."""

from typing import Any

import pandas as pd


def number(value: Any, unit: Any = None, digits: int = 3) -> str:
    """A number as a reader wants it, with its unit; ``not measured`` for null.

    Examples
    --------
    >>> number(2.8149, "s"), number(1843.2, "MiB"), number(None), number(0.00001234)
    ('2.81 s', '1,843 MiB', 'not measured', '1.23e-05')

    """
    if pd.isna(value):
        return "not measured"
    value = float(value)
    is_long = 10**digits <= abs(value) < 1e15
    text = f"{value:,.0f}" if is_long else f"{value:.{digits}g}"
    return f"{text} {unit}" if isinstance(unit, str) and unit else text


def count(n: int, noun: str) -> str:
    """A number and its noun.

    Examples
    --------
    >>> count(1, "picture"), count(7, "picture")
    ('1 picture', '7 pictures')

    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def listed(names: list[str]) -> str:
    """Names in a sentence.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')

    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def plain_rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as mappings, null as None."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]
