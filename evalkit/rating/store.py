"""The ratings store: SQLite beside the run, or PostgreSQL by URL."""

import hashlib
import re
import secrets
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import sqlalchemy as sa

from evalkit.errors import StudyError, UnknownNameError
from evalkit.rating._database import Database
from evalkit.rating._schema import (
    ANSWERS,
    CHECKS,
    COUNTED,
    ITEMS,
    PACKS,
    SECRETS,
    SUBJECTS,
    items_of,
)
from evalkit.rating.answers import Answers
from evalkit.rating.items import GOLD, GOLDS, SOURCE, TRAP, Cell, Item
from evalkit.rating.stimuli import Stimulus

PSEUDONYM = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


_AS_OF: ContextVar[datetime | None] = ContextVar("_AS_OF", default=None)


def now(later: timedelta = timedelta()) -> str:
    """The present, or `later` than it: ISO 8601, UTC, to the millisecond."""
    present = _AS_OF.get() or datetime.now(UTC)
    return (present + later).isoformat(timespec="milliseconds")


@contextmanager
def as_of(time: datetime) -> Iterator[None]:
    """Let `now` be another time in the block: what happened elsewhere is written."""
    token = _AS_OF.set(time.astimezone(UTC))
    try:
        yield
    finally:
        _AS_OF.reset(token)


def seconds_since(time: str) -> float:
    """Seconds from a time that `now` gave until the present; 0 for one to come."""
    apart = datetime.fromisoformat(now()) - datetime.fromisoformat(time)
    return max(0.0, apart.total_seconds())  # a clock may be set back


class Store(Database):
    """Subjects, their plans and their answers.

    What a method has written is on the disk when it returns.

    Parameters
    ----------
    database
        A file for SQLite, or an SQLAlchemy URL: ``postgresql+psycopg://...``.
    schema
        A schema of PostgreSQL, made when it is missing: several studies share a
        database.

    """

    def add_subject(self, subject: str) -> int:
        """Add a subject, or find them; return their number in the Latin square.

        Raises
        ------
        StudyError
            As `check_pseudonym`.

        """
        check_pseudonym(subject)
        query = sa.select(SUBJECTS.c.subject, SUBJECTS.c.number)
        with self.write() as connection:
            numbers: dict[str, int] = dict(connection.execute(query).tuples().all())
            if subject not in numbers:
                free = set(range(len(numbers) + 1)) - set(numbers.values())
                numbers[subject] = min(free)
                row = {"subject": subject, "number": numbers[subject]}
                connection.execute(sa.insert(SUBJECTS).values(row))
        return numbers[subject]

    def order_seed(self, seed: int) -> int:
        """What this run draws its orders from: a study's seed and a secret of the run.

        The secret is drawn once and kept here only, so that nobody can tell the order
        of a session from what is published.
        """
        digest = hashlib.sha256(f"{self.secret('order')}\0{seed}".encode()).digest()
        return int.from_bytes(digest[:16])

    def secret(self, purpose: str) -> str:
        """A secret of the run, drawn when it is asked for first."""
        query = sa.select(SECRETS.c.secret).where(SECRETS.c.purpose == purpose)
        with self.read() as connection:
            secret: str | None = connection.scalar(query)
        if secret is not None:
            return secret
        row = {"purpose": purpose, "secret": secrets.token_urlsafe(32)}
        # another process may be faster: then its secret stands
        with suppress(sa.exc.IntegrityError), self.write() as connection:
            connection.execute(sa.insert(SECRETS).values(row))
        return self.secret(purpose)

    def subjects(self) -> dict[str, int]:
        """Every subject's number."""
        query = sa.select(SUBJECTS.c.subject, SUBJECTS.c.number)
        with self.read() as connection:
            rows = connection.execute(query.order_by(SUBJECTS.c.subject))
            return dict(rows.tuples().all())

    def progress(self) -> pd.DataFrame:
        """Index ``subject``; columns ``state``, ``items`` and ``answered``."""
        is_standing = ANSWERS.c.undone_at.is_(None) & (ANSWERS.c.item == ITEMS.c.item)
        query = sa.select(
            SUBJECTS.c.subject,
            SUBJECTS.c.state,
            sa.func.count(ITEMS.c.item).label("items"),
            sa.func.count(ANSWERS.c.item).label("answered"),
        ).select_from(SUBJECTS.outerjoin(ITEMS).outerjoin(ANSWERS, is_standing))
        query = query.group_by(SUBJECTS.c.subject).order_by(SUBJECTS.c.subject)
        with self.read() as connection:
            return pd.read_sql_query(query, connection, index_col="subject")

    def set_plan(
        self, subject: str, items: Sequence[Item], stimuli: Mapping[Cell, Stimulus]
    ) -> None:
        """Plan a subject's session, or plan anew what they have not seen.

        Every item up to the present one stays; then follow the items of the new plan
        that are not among those. A session that is closed, or was given away as a file,
        stays as it is. The views leave out the scores of stimuli that are not among
        `stimuli` any more. See `evalkit.rating.plan_session` and
        `evalkit.rating.name_stimuli`.
        """
        query = sa.select(SUBJECTS.c.state).where(SUBJECTS.c.subject == subject)
        packs = sa.select(PACKS.c.seal).where(PACKS.c.subject == subject)
        answered = sa.select(ANSWERS.c.item).where(_is_of(subject))
        names = {None, *(stimulus.name for stimulus in stimuli.values())}
        with self.write() as connection:
            state = connection.scalar(query.with_for_update())
            rows = items_of(connection, subject)
            for row in rows:
                is_current = {row["left_stimulus"], row["right_stimulus"]} <= names
                if is_current != row["is_current"]:
                    change = sa.update(ITEMS).where(ITEMS.c.item == row["item"])
                    connection.execute(change.values(is_current=is_current))
            answered_items = set(connection.scalars(answered))
            n_seen = max(
                (n for n, r in enumerate(rows, 1) if r["item"] in answered_items),
                default=0,
            )
            past = rows[: n_seen + (state != "welcome")]
            left = Counter(map(_identity, past))
            planned = [{**_row(item, stimuli), "subject": subject} for item in items]
            future = []
            for row in planned:
                left.subtract([_identity(row)])
                if left[_identity(row)] < 0:
                    future.append(row)
            old = [*map(_identity, rows[len(past) :])]
            is_packed = connection.scalar(packs) is not None
            is_fixed = state == "closed" or is_packed
            if is_fixed or old == [*map(_identity, future)]:
                return
            is_old = (ITEMS.c.subject == subject) & (ITEMS.c.position >= len(past))
            connection.execute(sa.delete(ITEMS).where(is_old))
            for position, row in enumerate(future, len(past)):
                row |= {"item": uuid.uuid4().hex, "position": position}
                connection.execute(sa.insert(ITEMS).values(row))

    def link(self, subject: str, days: float) -> str:
        """A subject's secret; a new one, good for `days`, when theirs has expired."""
        is_theirs = SUBJECTS.c.subject == subject
        columns = sa.select(SUBJECTS.c.secret, SUBJECTS.c.expires_at)
        with self.write() as connection:
            row = connection.execute(columns.where(is_theirs).with_for_update()).one()
            if row.secret and row.expires_at > now():
                return str(row.secret)
            secret = secrets.token_urlsafe(32)
            until = now(timedelta(days=days))
            change = sa.update(SUBJECTS).where(is_theirs)
            connection.execute(change.values(secret=secret, expires_at=until))
        return secret

    def subject_of(self, secret: str) -> str | None:
        """The subject of a secret; None for one that is wrong or has expired."""
        is_theirs = sa.and_(SUBJECTS.c.secret == secret, SUBJECTS.c.expires_at > now())
        with self.read() as connection:
            return connection.scalar(sa.select(SUBJECTS.c.subject).where(is_theirs))

    def delete_subject(self, subject: str) -> bool:
        """Delete all that is known of a subject: plan, answers, link.

        Returns
        -------
        bool
            Whether it is gone from the disk, too: see `truncate_log`.

        Raises
        ------
        UnknownNameError
            There is no such subject.

        """
        if subject not in self.subjects():
            raise UnknownNameError("subject", subject, self.subjects())
        with self.write() as connection:
            connection.execute(sa.delete(ANSWERS).where(_is_of(subject)))
            connection.execute(sa.delete(ITEMS).where(ITEMS.c.subject == subject))
            connection.execute(sa.delete(SUBJECTS).where(SUBJECTS.c.subject == subject))
        return self.truncate_log()

    def scores(self) -> pd.DataFrame:
        """The view ``scores``: one row a score, null for "can't tell"."""
        return self._view("scores")

    def choices(self) -> pd.DataFrame:
        """The view ``choices``: one row a choice between two."""
        return self._view("choices")

    def answers(self) -> Answers:
        """The answers that count, and the checks, as they stand now."""
        scores, choices = (self._view(name, CHECKS) for name in ("scores", "choices"))
        expected = pd.to_numeric(scores["expected"], errors="coerce")
        tolerance = scores["role"].map({GOLD: 1, TRAP: 0})
        is_off = ((scores["score"] - expected).abs() > tolerance).fillna(True)
        checks = [
            scores[["subject"]].assign(is_missed=is_off),
            choices[["subject"]].assign(
                is_missed=choices["choice"] != choices["expected"]
            ),
        ]
        scores, choices = (self._view(name, COUNTED) for name in ("scores", "choices"))
        times = [
            frame[["subject", "server_seconds"]].set_axis(
                ["subject", "seconds"], axis="columns"
            )
            for frame in (scores, choices)
        ]
        return Answers(scores, choices, pd.concat(checks), pd.concat(times))

    def _view(self, name: str, rule: str = "true") -> pd.DataFrame:
        query = f"SELECT * FROM {name} WHERE {rule} ORDER BY subject, position"
        with self.read() as connection:
            frame = pd.read_sql_query(query, connection)
        truths = {c: bool for c in ("is_training", "tied") if c in frame}
        numbers = {c: "Int64" for c in ("score",) if c in frame}
        numbers["server_seconds"] = "Float64"
        return frame.astype(truths | numbers)

    def digest(self) -> str:
        """A digest that changes with every answer that counts; empty without any."""
        counts = sa.func.count(), sa.func.sum(ANSWERS.c.answer)
        query = sa.select(*counts, sa.func.max(ANSWERS.c.answered_at)).join(ITEMS)
        is_standing = ANSWERS.c.undone_at.is_(None) & ITEMS.c.is_current
        with self.read() as connection:
            totals = connection.execute(query.where(is_standing)).one()
        if not totals[0]:
            return ""
        return hashlib.sha256(repr(tuple(totals)).encode()).hexdigest()[:16]


def check_pseudonym(subject: str) -> None:
    """Refuse what is no pseudonym.

    Raises
    ------
    StudyError
        Not 1 to 32 lower-case letters, digits and hyphens.

    """
    if not PSEUDONYM.fullmatch(subject):
        raise StudyError(
            "expected a pseudonym of at most 32 lower-case letters, digits and "
            f"hyphens, found {subject!r}; names and addresses have no place here"
        )


def _is_of(subject: str) -> sa.ColumnElement[bool]:
    items = sa.select(ITEMS.c.item).where(ITEMS.c.subject == subject)
    return ANSWERS.c.item.in_(items)


def _row(item: Item, stimuli: Mapping[Cell, Stimulus]) -> dict[str, Any]:
    left = stimuli[item.cell(item.left)]
    right = stimuli[item.cell(item.right)].name if item.right else None
    return {
        **asdict(item),
        "left_stimulus": left.name,
        "right_stimulus": right,
        "source_stimulus": stimuli[item.cell(SOURCE)].name,
        "width_px": left.width_px,
        "height_px": left.height_px,
        "content": left.content,
    }


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """The values by which an item of an old plan equals one of a new plan."""
    if row["is_training"] or row["role"] in (GOLD, TRAP):
        golds = GOLDS.keys() & {row["left"], row["right"]}
        return row["kind"], row["is_training"], row["role"], *golds
    stimuli = sorted([row["left_stimulus"], row["right_stimulus"] or ""])
    return row["kind"], row["is_repeat"], *stimuli
