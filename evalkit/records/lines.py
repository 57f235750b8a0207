"""Lines of ``records.jsonl``: what a record must be, and how it is written."""

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from evalkit.errors import TableError
from evalkit.records.rows import plain
from evalkit.tables import RECORDS
from evalkit.tables._table import COUNT, NUMBER, TEXT, TRUTH

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # from a file name that is not UTF-8


class Cell(NamedTuple):
    """What identifies a record: the key of the table ``records``.

    A picture is its name and its content: `key` has the content, `source` the name.
    """

    key: str
    source: str | None
    experiment: str
    value: str | None
    instance: int | None
    machine: str
    run: int
    phase: str


_CELL_TYPES = Cell.__annotations__
TYPES = RECORDS.columns
KINDS: dict[str, set[type]] = {
    TEXT: {str},
    NUMBER: {int, float},
    COUNT: {int},
    TRUTH: {bool},
}
_N_BITS = 63  # of a whole number without its sign


def check_types(_offset: int, row: dict[str, Any]) -> None:
    """Refuse a line with a value that its column cannot hold."""
    for name, value in row.items():
        if value is None or name in RECORDS.json_columns or name not in TYPES:
            continue
        is_long = type(value) is int and value.bit_length() > _N_BITS
        if type(value) not in KINDS[TYPES[name]] or is_long:
            raise TableError(
                f"{name} is no {TYPES[name]}: {str(value)[:80]}; mend or delete this "
                "line"
            )


def to_lines(rows: Sequence[Mapping[str, Any]]) -> dict[Cell, bytes]:
    """Check rows and make the line of each, newline included."""
    lines, written = {}, []
    for row in rows:
        full = {**dict.fromkeys(RECORDS.columns), **row}
        full = {name: plain(value) for name, value in full.items()}
        cell = cell_of(full)
        wrong = [n for n in Cell._fields if not isinstance(full[n], _CELL_TYPES[n])]
        if wrong:
            raise TableError(f"table records: null or wrong type: {wrong} of {cell}")
        try:
            text = json.dumps(
                full,
                ensure_ascii=False,
                allow_nan=False,
                separators=(",", ":"),
                default=_scalar,
            )
        except (RecursionError, TypeError, ValueError) as error:
            raise TableError(f"table records, {cell}: not JSON: {error}") from error
        line = _LONE_SURROGATE.sub("\ufffd", text).encode() + b"\n"
        written.append(json.loads(line))
        lines[cell_of(written[-1])] = line
    if len(lines) < len(written) or not all(map(_fits, written)):
        RECORDS.frame(written)  # says what is wrong
    return lines


def _fits(row: dict[str, Any]) -> bool:
    """Whether a row has the columns of the table and their types.

    A table of one row, to ask the same, takes twenty times as long.
    """
    if row.keys() != TYPES.keys():
        return False
    with suppress(TableError):
        check_types(0, row)
        return True
    return False


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell of a line; an error where a part of it is of another kind."""
    cell = Cell(*map(row.get, Cell._fields))  # type: ignore[arg-type]
    try:
        hash(cell)
    except TypeError as error:
        wrong = [n for n, v in cell._asdict().items() if isinstance(v, dict | list)]
        raise TableError(
            f"null or wrong type: {wrong}; mend or delete this line"
        ) from error
    return cell


def _scalar(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r}")
