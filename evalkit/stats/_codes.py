"""Ratings and choices as arrays: names become codes, null scores are left out."""

import sys
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit.errors import TableError

__all__: list[str] = []

Codes: TypeAlias = NDArray[np.intp]
Numbers: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Coded:
    """One row a score; a repeated score is a row of its own.

    Attributes
    ----------
    subject, source, condition
        Positions in the sorted names.
    score
        Shape ``(n,)``.
    subjects, sources, conditions
        The sorted names.

    """

    subject: Codes
    source: Codes
    condition: Codes
    score: Numbers
    subjects: pd.Index
    sources: pd.Index
    conditions: pd.Index

    def stimuli(self) -> tuple[Codes, pd.MultiIndex]:
        """The stimulus of each score, and the stimuli's (source, condition)."""
        pair = self.source * len(self.conditions) + self.condition
        pairs, stimulus = np.unique(pair, return_inverse=True)
        source, condition = np.divmod(pairs, len(self.conditions))
        arrays = [self.sources[source], self.conditions[condition]]
        return stimulus, pd.MultiIndex.from_arrays(
            arrays, names=["source", "condition"]
        )


def coded(ratings: pd.DataFrame) -> Coded:
    """Check and code a table of ratings, as in `evalkit.stats.mean_opinion_scores`.

    Raises
    ------
    TableError
        A missing column, a null name, a score that is no number, no score at all.

    """
    rows = at_least_one(known_scores(ratings), "score")
    subject, subjects = factorized(rows["subject"])
    source, sources = factorized(rows["source"])
    condition, conditions = factorized(rows["condition"])
    score = rows["score"].to_numpy()
    return Coded(subject, source, condition, score, subjects, sources, conditions)


def known_scores(ratings: pd.DataFrame) -> pd.DataFrame:
    """The rows with a score, float; an error for a missing column or a null name."""
    rows = complete(ratings, ["subject", "source", "condition", "score"], "score")
    return rows.assign(score=numbers(rows["score"]))


def numbers(column: pd.Series, *, largest: float = sys.float_info.max) -> pd.Series:
    """The column as float; an error where a value is no number, or above `largest`.

    Text and truths are refused, too: Python has both ``"5" > "4"`` and ``True == 1``.
    """

    def is_fit(value: Any) -> bool:
        is_number = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
        return is_number and abs(value) <= largest

    is_known = column.map(is_fit).astype(bool)
    if not is_known.all():
        raise TableError(
            f"expected finite numbers in {column.name}, found "
            f"{column[~is_known].iloc[0]!r}"
        )
    return column.astype(float)


def truths(column: pd.Series) -> pd.Series:
    """The column as bool; an error where a value is neither true nor false.

    Text is refused: Python takes ``"False"`` for true.
    """
    is_truth = column.map(
        lambda value: isinstance(value, Real | np.bool_) and value in (0, 1)
    ).astype(bool)
    if not is_truth.all():
        raise TableError(
            f"expected true or false in {column.name}, found "
            f"{column[~is_truth].iloc[0]!r}"
        )
    return column.astype(bool)


def complete(frame: pd.DataFrame, columns: list[str], optional: str) -> pd.DataFrame:
    """The rows in which `optional` is known; an error where another column is not."""
    missing = [name for name in columns if name not in frame]
    if missing:
        raise TableError(f"expected columns {columns}, found none named {missing}")
    rows = frame.loc[frame[optional].notna(), columns]
    empty = [name for name in columns if rows[name].isna().any()]
    if empty:
        raise TableError(f"expected no null in {columns}, found some in {empty}")
    return rows


def at_least_one(rows: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return the rows; an error where there is none."""
    if rows.empty:
        raise TableError(f"expected at least one row with a {what}, found none")
    return rows


def factorized(column: pd.Series) -> tuple[Codes, pd.Index]:
    """Codes of a column of names, and the sorted names."""
    try:
        codes, names = pd.factorize(column, sort=True)
    except TypeError as error:  # a list, say
        raise TableError(f"expected names in {column.name}: {error}") from error
    return np.asarray(codes, np.intp), pd.Index(names, name=column.name)


def sums(codes: Codes, n: int, values: Any = None) -> Numbers:
    """Sum of `values` (or count of rows) of each code, shape ``(n,)``."""
    return np.bincount(codes, values, n).astype(np.float64)
