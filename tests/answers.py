"""Answers in a ratings store, as sessions would have left them."""

import uuid

import pandas as pd
import sqlalchemy as sa

from evalkit.rating import Store
from evalkit.rating._schema import ANSWERS, ITEMS, SUBJECTS

DEFAULTS = {"role": "system", "is_training": False, "expected": None, "tags": "[]"}


def fill(store: Store, answers: pd.DataFrame):
    """Write answers as sessions would."""
    rows = answers.assign(
        item=[f"i{n}" for n in answers.index],
        position=answers.groupby("subject").cumcount(),
        width_px=8,
        height_px=8,
        **{f"{side}_stimulus": "x" for side in ("left", "right", "source")},
    )
    for name in ("is_training", "is_repeat"):
        rows[name] = rows.get(name, pd.Series(index=rows.index)).eq(True)
    rows = rows.astype(object).where(rows.notna(), None)
    told = {"attempt": "a", "tags": "[]", "seconds": 1.0, "answered_at": "2026"}
    subjects = sorted(set(answers["subject"]))
    with store.write() as connection:
        if connection.dialect.name == "sqlite":  # older stores had no rule of values
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        connection.execute(
            sa.insert(SUBJECTS),
            [{"subject": name, "number": n} for n, name in enumerate(subjects)],
        )
        kept = [c.name for c in ITEMS.c if c.name in rows]
        answered = [name for name in ("item", "value", "tags") if name in rows]
        connection.execute(sa.insert(ITEMS), rows[kept].to_dict("records"))
        connection.execute(
            sa.insert(ANSWERS),
            [{**told, **row} for row in rows[answered].to_dict("records")],
        )
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")


def scores(frame: pd.DataFrame) -> pd.DataFrame:
    """As `fill` takes them, of columns subject, score and what is said beside."""
    told = {"source": "s0", "condition": "bicubic"} | DEFAULTS
    frame = frame.assign(**{k: v for k, v in told.items() if k not in frame})
    return frame.rename(columns={"condition": "left", "score": "value"}).assign(
        kind="acr", value=lambda rows: rows["value"].map(str, na_action="ignore")
    )


def choices(frame: pd.DataFrame) -> pd.DataFrame:
    """As `fill` takes them, of columns subject, source, winner, loser and tied."""
    told = {k: v for k, v in DEFAULTS.items() if k not in frame}
    value = frame["tied"].map({0: "left", 1: "same"})
    frame = frame.assign(kind="ab", value=value, **told)
    return frame.rename(columns={"winner": "left", "loser": "right"})


def answer(view, value):
    """The event of an answer to the item that a view shows."""
    return {
        "type": "answer",
        "item": view["item"]["id"],
        "attempt": uuid.uuid4().hex,
        "value": value,
        "seconds": 1.0,
    }
