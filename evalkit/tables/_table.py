"""What a table is, and the one way it is made, checked, written and read."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import TableError
from evalkit.paths import atomic_path, file_name

TEXT, NUMBER, COUNT, TRUTH = "string", "Float64", "Int64", "boolean"
"""pandas' nullable types: what is unknown is null, never 0 and never ``""``."""

FORMULA = re.compile(r"['=@＝＠＋－\t\r\n]|[+-](?![\d.]+\Z)")
"""The beginning of a text that a spreadsheet would compute (OWASP, CSV injection), but
for a signed number; and the apostrophe that keeps it from that."""


ANEW = "a step of the study writes it anew once it is deleted and the study is run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, written and read in one way.

    Attributes
    ----------
    name
        The file's name, without its suffix.
    columns
        Each column's pandas dtype, in order. A quantity's name ends in its unit.
    key
        The columns that identify a row.
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
        for row in texts:
            for name, value in row.items():
                if isinstance(value, str):  # bytes of a file's name that are not UTF-8
                    row[name] = value.encode(errors="backslashreplace").decode()
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

    def path(self, folder: Path, part: str = "") -> Path:
        """The path of the table in a folder: ``<name>[-<part>].csv``."""
        return folder / f"{self.name}{part and f'-{file_name(part)}'}.csv"

    def write(self, frame: pd.DataFrame, folder: Path, part: str = "") -> Path:
        """Write the table, as `write_csv` does; return its path."""
        path = self.path(folder, part)
        write_csv(self.checked(frame), path)
        return path

    def read(self, path: Path) -> pd.DataFrame:
        """Read and check one file; see `read_csv`.

        A column that came into the table after the file was written is null.

        Raises
        ------
        TableError
            As in `checked` and `read_csv`.

        """
        try:
            frame = read_csv(path, self.columns)
            for name in self.columns.keys() - set(frame):
                frame[name] = None
            return self.checked(frame)
        except TableError as error:
            raise TableError(f"{path}: {error}; {ANEW}") from error


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame atomically, as UTF-8, so that `read_csv` gives exactly the same.

    A text is always in quotes, an unknown value is nothing at all. A text that a
    spreadsheet would take for a formula (`FORMULA`) gets an apostrophe before it.
    """
    rows = frame.astype(object).itertuples(index=False)
    lines = [",".join(frame), *(",".join(map(_cell, row)) for row in rows)]
    with atomic_path(path) as temporary:
        temporary.write_bytes("\n".join([*lines, ""]).encode())


def read_csv(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read a file of `write_csv`, or another of comma-separated values.

    Parameters
    ----------
    path
        In UTF-8.
    columns
        The dtype of each column that is known: one of the four of this module.

    Raises
    ------
    TableError
        Not UTF-8, no table, or a value of the wrong type.

    """
    # pandas cannot tell "" and "NA" from what is unknown, nor reads floats exactly
    import pyarrow as pa
    from pyarrow import csv

    types = {TEXT: pa.string(), NUMBER: pa.float64(), COUNT: pa.int64()}
    types[TRUTH] = pa.bool_()
    dtypes = {kind: pd.api.types.pandas_dtype(name) for name, kind in types.items()}
    try:
        table = csv.read_csv(
            path,
            csv.ReadOptions(block_size=path.stat().st_size + 1),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types={name: types[dtype] for name, dtype in columns.items()},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except ValueError as error:  # from arrow, or another encoding
        raise TableError(str(error)) from error
    frame = table.to_pandas(types_mapper=dtypes.get)
    for name in frame.columns.intersection(
        [n for n, t in columns.items() if t == TEXT]
    ):
        frame[name] = frame[name].str.removeprefix("'")
    return frame


def _cell(value: Any) -> str:
    """A value as CSV has it."""
    if pd.isna(value):
        return ""
    if not isinstance(value, str):
        return str(value)
    guard = "'" if FORMULA.match(value) else ""
    return f'"{guard}{value.replace(chr(34), chr(34) * 2)}"'
