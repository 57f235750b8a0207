"""The records of a study: on the disk before `append` returns, safe from kill -9."""

import json
import os
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from evalkit.errors import INTERRUPTED, EvalkitError, TableError
from evalkit.paths import atomic_path
from evalkit.records import jsonl
from evalkit.records.lines import KINDS, TYPES, Cell, cell_of, check_types, to_lines
from evalkit.records.old import in_todays_columns
from evalkit.tables import FAILURES, RECORDS

LOCK_TIMEOUT_S = 60.0
_canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode


class RecordsWriteError(EvalkitError, OSError):
    """The disk refused a record (full, say); nothing of it was left in the file."""


class RecordsWarning(UserWarning):
    """A half-written last line was ignored, or a cell computed twice was not kept."""


class RecordStore:
    """The records of one run folder, shared by threads and processes.

    A record is one line of JSON in ``records.jsonl`` with every column of the table
    ``records`` (null where unknown; ``setting``, ``stages_s`` and ``notes`` nested).
    The first record of a `Cell` stands; a later one is not written, unless the first
    `is_open`: then the later one takes its place for readers, and both stay in the
    file. Lines of older versions are read as those of this one; see
    `evalkit.records.old`.

    Parameters
    ----------
    folder
        The run folder; made by the first `append`.

    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.path = self.folder / "records.jsonl"
        self._known = _Known()
        self._scanning = threading.Lock()

    def append(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Write rows, flushed to the disk, before returning.

        Parameters
        ----------
        rows
            Columns of the table ``records``; a missing one, NaN and None are null.

        Returns
        -------
        int
            How many were written. A row whose `Cell` is already stored, and not
            open, is left out, with a `RecordsWarning`.

        Raises
        ------
        TableError
            An unknown column, a value of the wrong type, a cell that is null or
            repeated within `rows`, or a broken line in the middle of the file.
        RecordsWriteError
            The disk refused; no part of `rows` stays in the file.
        EvalkitError
            Another process held the lock for over a minute.

        """
        lines = to_lines(rows)
        if not lines:
            return 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                n_written = self._append(lines)
        except OSError as error:
            raise RecordsWriteError(
                f"{self.path}: could not add {len(lines)} records: {error}. Those "
                "before them stand; make room or give access, and run again"
            ) from error
        if n_written < len(lines):
            _warn(
                f"{self.path.name}: {len(lines) - n_written} of {len(lines)} records "
                "were not written: their cells are there already, the first ones stand"
            )
        return n_written

    def has(self, cell: Cell) -> bool:
        """Whether the cell is recorded, by this process or another, and not open."""
        return cell in self._scan()[0]

    def cells(self) -> frozenset[Cell]:
        """Every recorded cell that is not open."""
        return frozenset(self._scan()[0])

    def read(self) -> pd.DataFrame:
        """All records as the table ``records``, in the order of writing.

        It leaves out those that failed or were interrupted and were tried again.
        A half-written last line is ignored, with a `RecordsWarning`.

        Raises
        ------
        TableError
            A broken line in the middle of the file, an unknown column, a value of
            the wrong type or a repeated cell.

        """
        columns, scanned = self._read_columns()
        if scanned.torn and os.access(self.folder, os.W_OK):
            with self._locked():  # a writer may have been at it just then
                columns, scanned = self._read_columns()
        if scanned.torn:
            _warn(
                f"{self.path.name}: line {scanned.n_lines + 1} is broken "
                f"({len(scanned.torn)} bytes; its writer was killed) and ignored; "
                "the next record takes its place"
            )
        kinds = {name: set(map(type, values)) for name, values in columns.items()}
        try:
            if any(kinds[n] - {*KINDS[kind], type(None)} for n, kind in TYPES.items()):
                raise TableError(f"{self.path}: a value of another type")
            return RECORDS.checked(_without_retried(pd.DataFrame(columns)))
        except (OverflowError, TableError):
            jsonl.scan(self.path, check_types)  # names the line
            raise

    def write_parquet(self) -> Path:
        """Write all records to ``records.parquet``, atomically; return its path.

        Raises
        ------
        RecordsWriteError
            The disk refused; the file is as it was.

        """
        path = self.folder / "records.parquet"
        records = self.read()
        try:
            with atomic_path(path) as temporary:
                records.to_parquet(temporary, index=False)
        except OSError as error:
            raise RecordsWriteError(
                f"{path}: could not be written: {error}; make room or give access, and "
                "run again"
            ) from error
        return path

    def _scan(self) -> tuple[set[Cell], jsonl.Scanned]:
        """The cells that are there and not open, and how far they were read."""

        def add(_offset: int, row: dict[str, Any]) -> None:
            row = in_todays_columns(row)
            if not is_open(row):
                known.cells.add(cell_of(row))

        with self._scanning:
            if not self._known.holds(self.path):
                self._known = _Known()
            known = self._known
            # a line is read once: else a study of n records would read n * n
            scanned = jsonl.scan(self.path, add, known.scanned)
            known.scanned = scanned._replace(torn=b"")
            known.mark = jsonl.mark(self.path, scanned.end)
            return known.cells, scanned

    def _append(self, lines: Mapping[Cell, bytes]) -> int:
        """Mend the end of the file, then add the lines whose cells are new."""
        cells, scanned = self._scan()
        added = [line for cell, line in lines.items() if cell not in cells]
        torn = scanned.torn
        jsonl.append(self.path, b"".join(added), torn_at=scanned.end if torn else None)
        if torn:
            _warn(
                f"{self.path.name}: removed a half-written last line ({len(torn)} "
                "bytes; its writer was killed)"
            )
        return len(added)

    def _read_columns(self) -> tuple[dict[str, list[Any]], jsonl.Scanned]:
        columns: dict[str, list[Any]] = {name: [] for name in RECORDS.columns}
        cells: set[Cell] = set()

        def add(_offset: int, row: dict[str, Any]) -> None:
            row = in_todays_columns(row)
            if not row.keys() <= columns.keys():
                raise TableError(
                    f"unknown columns {sorted(row.keys() - columns)}; a later evalkit "
                    "wrote them: use that"
                )
            if row.get("outcome") == "ok":
                cell = cell_of(row)
                if cell in cells:
                    raise TableError(
                        "its cell is that of an earlier line, and no evalkit writes "
                        "one twice; delete this line"
                    )
                cells.add(cell)
            for name in RECORDS.json_columns:
                if row.get(name) is not None:
                    row[name] = _canonical(row[name])
            for name, values in columns.items():
                values.append(row.get(name))

        return columns, jsonl.scan(self.path, add)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        lock = filelock.FileLock(self.folder / ".records.lock", timeout=LOCK_TIMEOUT_S)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            raise EvalkitError(
                f"{lock.lock_file} was held by another process for "
                f"{LOCK_TIMEOUT_S:g} s; end that process and run again"
            ) from error
        try:
            yield
        finally:
            lock.release()


def _retry_before() -> str:
    return os.environ.get("EVALKIT_RETRY_BEFORE", "")


@dataclass
class _Known:
    """The cells of the lines that were read, as long as the file only grows."""

    cells: set[Cell] = field(default_factory=set)
    scanned: jsonl.Scanned = jsonl.Scanned()  # noqa: RUF009
    mark: tuple[int, bytes] = (0, b"")
    retry_before: str = field(default_factory=_retry_before)

    def holds(self, path: Path) -> bool:
        """Whether what was read of the file stands, and means the same."""
        is_there = path.is_file() or not self.scanned.end
        is_same = is_there and jsonl.mark(path, self.scanned.end) == self.mark
        return is_same and self.retry_before == _retry_before()


def is_open(record: Mapping[str, Any]) -> bool:
    """Whether a record's cell is to be tried again, and its place to be taken.

    An interrupted record is open, and so is one that failed before the time in
    ``EVALKIT_RETRY_BEFORE`` (ISO 8601, UTC), which ``evalkit study --retry`` sets.
    """
    if record.get("outcome") in FAILURES:
        started_at = record.get("started_at")
        return (started_at if isinstance(started_at, str) else "") < _retry_before()
    return record.get("outcome") == INTERRUPTED


def _without_retried(records: pd.DataFrame) -> pd.DataFrame:
    """Drop attempts that did not end well and were followed by another.

    The later one may be cold where the first was warm: it began a new process.
    """
    run = [name for name in Cell._fields if name != "phase"]
    is_retried = records.duplicated(run, keep="last") & (records["outcome"] != "ok")
    return records[~is_retried].reset_index(drop=True)


def _warn(text: str) -> None:
    warnings.warn(text, RecordsWarning, stacklevel=3)
