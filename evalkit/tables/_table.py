"""What a table is, and the one way it is made, checked, written and read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import TableError
from evalkit.paths import atomic_path

TEXT, NUMBER, COUNT, TRUTH = "string", "Float64", "Int64", "boolean"
"""pandas' nullable types: what is unknown is null, never 0 and never ``""``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, written and read in one way.

    Attributes
    ----------
    name
        Of the file, without its suffix.
    columns
        Each column's pandas dtype, in order. A quantity's name ends in its unit.
    key
        The columns that tell rows apart.
    json_columns
        Columns whose text is JSON.

    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    json_columns: frozenset[str] = frozenset()

    def frame(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Make a checked frame of rows; a missing cell is null.

        Raises
        ------
        TableError
            An unknown column, a value of the wrong type, a repeated or null key.

        """
        unknown = sorted({name for row in rows for name in row} - set(self.columns))
        if unknown:
            raise TableError(f"table {self.name}: unknown columns {unknown}")
        texts = [
            {
                name: json.dumps(value, sort_keys=True, ensure_ascii=False)
                if name in self.json_columns and value is not None
                else value
                for name, value in row.items()
            }
            for row in rows
        ]
        return self.checked(pd.DataFrame(texts, columns=list(self.columns)))

    def checked(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with this table's columns and dtypes, or an error.

        Raises
        ------
        TableError
            As in `frame`; also for a missing column.

        """
        wrong = sorted(set(frame.columns) ^ set(self.columns))
        if wrong:
            raise TableError(
                f"table {self.name}: missing or unknown columns {wrong}; "
                f"expected {list(self.columns)}"
            )
        try:
            typed = frame[list(self.columns)].astype(dict(self.columns))
        except (OverflowError, TypeError, ValueError) as error:
            raise TableError(f"table {self.name}: {error}") from error
        key = list(self.key)
        if key and (typed.duplicated(key).any() or typed[key[0]].isna().any()):
            raise TableError(f"table {self.name}: {key} is null or not unique")
        return typed.reset_index(drop=True)

    def write(self, frame: pd.DataFrame, folder: Path, part: str = "") -> Path:
        """Write ``<name>[-<part>].csv`` atomically; return its path."""
        path = folder / f"{self.name}{f'-{part}' if part else ''}.csv"
        checked = self.checked(frame)
        with atomic_path(path) as temporary:
            checked.to_csv(temporary, index=False)
        return path

    def read(self, path: Path) -> pd.DataFrame:
        """Read and check one file.

        Raises
        ------
        TableError
            As in `checked`; also for a file that is damaged.

        """
        try:
            return self.checked(pd.read_csv(path, dtype=dict(self.columns)))
        except ValueError as error:  # a TableError, too
            raise TableError(
                f"{path}: {error}; run the study again: the step that writes it does "
                "so anew once it is deleted"
            ) from error
