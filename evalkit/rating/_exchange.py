"""Answers as CSV, to keep elsewhere or to bring from another computer."""

from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from evalkit.errors import StudyError
from evalkit.paths import atomic_path
from evalkit.rating._schema import ANSWERS, ITEMS, SUBJECTS
from evalkit.rating.store import Store, check_pseudonym

_KEYS = {SUBJECTS: ["subject"], ITEMS: ["item"], ANSWERS: ["item", "attempt"]}
_COLUMNS: dict[str, sa.Column[Any]] = {
    column.name: column
    for table in _KEYS
    for column in table.c
    if column.name not in ("answer", "secret", "expires_at")
}


def export_csv(store: Store, path: Path) -> int:
    """Write every answer, undone ones too, and its item; return how many.

    Links are left out. `import_csv` reads the file.
    """
    joined = SUBJECTS.join(ITEMS).join(ANSWERS)
    query = sa.select(*_COLUMNS.values()).select_from(joined)
    order = SUBJECTS.c.subject, ITEMS.c.position, ANSWERS.c.answer
    with store.read() as connection:
        frame = pd.read_sql_query(query.order_by(*order), connection)
    texts = frame.columns[[isinstance(c.type, sa.String) for c in _COLUMNS.values()]]
    frame[texts] = frame[texts].map(_guarded, na_action="ignore")
    with atomic_path(path) as temporary:
        frame.to_csv(temporary, index=False)
    return len(frame)


def import_csv(store: Store, path: Path) -> int:
    """Add what an exported file has and a store has not; return how many answers.

    Raises
    ------
    StudyError
        Other columns, or another session of a subject who is here; nothing is added.

    """
    texts = {n: str for n, c in _COLUMNS.items() if isinstance(c.type, sa.String)}
    frame = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""])
    if list(frame) != list(_COLUMNS):
        raise StudyError(
            f"{path}: expected columns {list(_COLUMNS)}, found {list(frame)}"
        )
    for name in texts:
        frame[name] = frame[name].map(_unguarded, na_action="ignore")
    for subject in frame["subject"].unique():
        check_pseudonym(subject)
    frame = frame.astype(object).where(frame.notna(), None)
    new: list[Any] = []
    try:
        with store.write() as connection:
            for table, key in _KEYS.items():
                keys = sa.select(*(table.c[name] for name in key))
                there = {tuple(row) for row in connection.execute(keys)}
                columns = [name for name in frame if name in table.c]
                rows = frame[columns].drop_duplicates(key).to_dict("records")
                new = [row for row in rows if tuple(row[n] for n in key) not in there]
                if new:
                    connection.execute(sa.insert(table), new)
    except sa.exc.IntegrityError as error:
        raise StudyError(
            f"{path}: a subject of the same name has another session in this store, so "
            "nothing was added; import into an empty one"
        ) from error
    return len(new)


def _guarded(text: str) -> str:
    """A text that no spreadsheet computes; `import_csv` takes the apostrophe off."""
    return (
        f"'{text}" if text.startswith(("'", "=", "+", "-", "@", "\t", "\r")) else text
    )


def _unguarded(text: str) -> str:
    return text.removeprefix("'")
