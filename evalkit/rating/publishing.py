"""The answers that may be published: of those who agreed, under new pseudonyms."""

import secrets
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from evalkit.rating._csv import every_answer, import_csv
from evalkit.rating._schema import PLANS
from evalkit.rating.store import Store
from evalkit.tables import write_csv

WINDOW = ("screen", "seen")
"""What a subject's screen and window were like."""

TIMES = ("agreed_at", "answered_at", "undone_at")
NO_TIME = "1970-01-01T00:00:00+00:00"
"""In place of a clock time, for a column that is never null."""


class Agreed(NamedTuple):
    """How many subjects answered, and how many of them agreed to publishing it."""

    n_subjects: int
    n_agreed: int


def publish_answers(
    store: Store, copy: Store, path: Path, keep: Collection[str] = ()
) -> Agreed:
    """Write the answers of those who agreed, as CSV and into an empty store.

    Pseudonyms, numbers and identifiers are drawn anew, and nothing tells the old ones
    from them. Whoever was not asked has not agreed.

    Parameters
    ----------
    store
        What the panel answered.
    copy
        An empty store: gets the same answers as `path`, and the frozen plans.
    path
        As `evalkit.rating.export_csv` writes it.
    keep
        ``window``: also what the screen and the window were like; ``times``: also when
        each answer was given. Else these are null, or the beginning of 1970.

    """
    frame = every_answer(store)
    n_subjects = frame["subject"].nunique()
    frame = frame[frame["may_publish"].eq(True).fillna(False)].reset_index(drop=True)
    drawn = [*frame["subject"].unique()]
    secrets.SystemRandom().shuffle(drawn)
    place = {name: number for number, name in enumerate(drawn)}
    numbers = frame["subject"].map(place)
    frame["number"] = numbers.astype("Int64")
    frame["subject"] = numbers.map(lambda number: f"p{number + 1:02}")
    items = {item: uuid.uuid4().hex for item in frame["item"].unique()}
    frame["item"] = frame["item"].map(items)
    frame["attempt"] = [uuid.uuid4().hex for _ in frame.index]
    if "window" not in keep:
        frame[[*WINDOW]] = None
    if "times" not in keep:
        for name in TIMES:
            frame[name] = frame[name].where(frame[name].isna(), NO_TIME)
    order = ["number", "position"]
    write_csv(frame.sort_values(order, kind="stable"), path)
    import_csv(copy, path)
    plans = sa.select(PLANS)
    with store.read() as connection:
        rows = [dict(row) for row in connection.execute(plans).mappings()]
    if rows:
        with copy.write() as connection:
            connection.execute(sa.insert(PLANS), rows)
    return Agreed(n_subjects, len(drawn))
