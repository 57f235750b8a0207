"""Tables of two columns that people write, often with a spreadsheet."""

import csv
import io
from collections.abc import Collection
from pathlib import Path

from evalkit.errors import TableError


def read_pairs(path: Path, names: Collection[str], value: str) -> dict[str, str]:
    """Read a value for each name from a file in UTF-8, with Excel's mark or without.

    Parameters
    ----------
    path
        The file; its head names the columns.
    names, value
        What the column of names may be called, and the other one.

    Returns
    -------
    dict
        The value of each name, both without blanks around them.

    Raises
    ------
    TableError
        Another encoding or another head, a row with a part missing, a name that
        stands there twice.

    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TableError(
            f"{path}: expected UTF-8, found another encoding (byte {error.start}); "
            'save it as "CSV UTF-8"'
        ) from error
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise TableError(f"{path}: no comma-separated values: {error}") from error
    head = [name.strip() for name in rows[0]] if rows else []
    named = [column for column in head if column in names]
    if len(named) != 1 or head.count(value) != 1:
        raise TableError(
            f"{path}: expected columns {' or '.join(names)}, {value}; got {head}"
        )
    places = head.index(named[0]), head.index(value)
    values: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(row):
            continue
        parts = [row[place].strip() for place in places if place < len(row)]
        if len(parts) < len(places) or not all(parts):
            raise TableError(f"{path}: row {number}: expected {head}, got {row}")
        if parts[0] in values:
            raise TableError(f"{path}: {parts[0]!r} stands there twice; keep one row")
        values[parts[0]] = parts[1]
    return values
