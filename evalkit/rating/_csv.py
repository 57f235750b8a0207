"""Answers as CSV, to keep elsewhere or to bring from another computer."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pandas as pd
import sqlalchemy as sa
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    ValidationError,
    model_validator,
)

from evalkit.errors import StudyError, TableError
from evalkit.errors.schema import problems
from evalkit.rating._messages import ScreenCheck, Seen, Sides
from evalkit.rating._schema import ANSWERS, ITEMS, SUBJECTS
from evalkit.rating._values import Attempt, Name, Seconds, Tags, check_value
from evalkit.rating.store import PSEUDONYM, Store
from evalkit.tables import TEXT, read_csv, write_csv

_KEYS = {SUBJECTS: ["subject"], ITEMS: ["item"], ANSWERS: ["item", "attempt"]}
_COLUMNS: dict[str, sa.Column[Any]] = {
    column.name: column
    for table in _KEYS
    for column in table.c
    if column.name not in ("answer", "secret", "expires_at", "shown_at")
}

_ADDED = (
    "agreed_at",
    "may_publish",
    "screen",
    "content",
    "part",
    "server_seconds",
    "sides",
    "seen",
)
"""Columns that files of older evalkits lack: null."""


def _check_time(text: str) -> str:
    datetime.fromisoformat(text)  # raises ValueError, as the validator wants it
    return text


_Time = Annotated[str, AfterValidator(_check_time)]
_Stimulus = Annotated[str, Field(pattern=r"^[0-9a-f]{1,64}$")]  # names a file


def export_csv(store: Store, path: Path) -> int:
    """Write every answer, undone ones too, and its item; return how many.

    Links are left out. `import_csv` reads the file.

    Raises
    ------
    StudyError
        There is no such folder.

    """
    if not path.parent.is_dir():
        raise StudyError(f"{path}: expected a folder at {path.parent}, found none")
    frame = every_answer(store)
    write_csv(frame, path)
    return len(frame)


def every_answer(store: Store) -> pd.DataFrame:
    """What `export_csv` writes: every answer, undone ones too, and its item."""
    joined = SUBJECTS.join(ITEMS).join(ANSWERS)
    query = sa.select(*_COLUMNS.values()).select_from(joined)
    order = SUBJECTS.c.subject, ITEMS.c.position, ANSWERS.c.answer
    with store.read() as connection:
        return pd.read_sql_query(query.order_by(*order), connection)


class _Row(BaseModel):
    """One line of an exported file, held to the same rules as the page."""

    model_config = ConfigDict(extra="forbid")

    subject: str = Field(pattern=f"^{PSEUDONYM.pattern}$")
    number: int = Field(ge=0, le=1_000_000)
    language: Literal["en", "zh"]
    state: Literal["welcome", "rate", "paused", "finished", "closed"]
    agreed_at: _Time | None
    may_publish: bool | None
    screen: Json[ScreenCheck] | None
    item: Annotated[Name, Field(min_length=1)]
    position: int = Field(ge=0, le=1_000_000)
    kind: Literal["acr", "ab"]
    role: Name
    is_training: bool
    is_repeat: bool
    source: Name
    left: Name
    right: Name | None
    expected: Name | None
    left_stimulus: _Stimulus
    right_stimulus: _Stimulus | None
    source_stimulus: _Stimulus
    width_px: int = Field(gt=0, le=1_000_000)
    height_px: int = Field(gt=0, le=1_000_000)
    content: str | None
    part: Literal["whole", "detail"] | None
    is_current: bool
    attempt: Attempt
    value: str | None
    tags: Json[Tags]
    seconds: Seconds
    answered_at: _Time
    undone_at: _Time | None
    server_seconds: Seconds | None
    sides: Json[Sides] | None
    seen: Json[Seen] | None

    @model_validator(mode="after")
    def _check_value(self) -> Self:
        check_value(self.kind, self.value)
        return self


def import_csv(store: Store, path: Path) -> int:
    """Add what an exported file has and a store has not; return how many answers.

    Raises
    ------
    StudyError
        No such file, other columns, a value that the page would not take, or another
        session of a subject who is here; nothing is added.

    """
    rows = _read(path)
    new: list[Any] = []
    try:
        with store.write() as connection:
            for table, key in _KEYS.items():
                keys = sa.select(*(table.c[name] for name in key))
                stored = {tuple(row) for row in connection.execute(keys)}
                columns = [name for name in _COLUMNS if name in table.c]
                # the first of several rows with one key stands
                by_key = {
                    tuple(row[n] for n in key): {n: row[n] for n in columns}
                    for row in reversed(rows)
                }
                new = [by_key[k] for k in reversed(by_key) if k not in stored]
                if new:
                    connection.execute(sa.insert(table), new)
    except sa.exc.IntegrityError as error:
        raise StudyError(
            f"{path}: a subject of the same name has another session in this store, so "
            "nothing was added; import into an empty one"
        ) from error
    return len(new)


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines of an exported file, checked."""
    try:
        frame = read_csv(path, dict.fromkeys(_COLUMNS, TEXT))
    except (OSError, TableError) as error:
        raise StudyError(
            f"{path}: expected a file that `evalkit scores export` wrote: {error}"
        ) from error
    frame = frame.assign(**{n: None for n in _ADDED if n not in frame})
    if set(frame) != set(_COLUMNS):
        raise StudyError(
            f"{path}: expected columns {list(_COLUMNS)}, found {list(frame)}"
        )
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    checked = []
    for number, row in enumerate(rows, 2):
        try:
            valid = _Row.model_validate(row)
        except ValidationError as error:
            reasons = "; ".join(problems(error, row, _Row))
            raise StudyError(f"{path}: row {number}: {reasons}") from error
        as_text = {name: row[name] for name in ("tags", "sides", "seen", "screen")}
        checked.append({**valid.model_dump(), **as_text})
    return checked
