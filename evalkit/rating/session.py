"""One subject's session: what is shown, what may be answered, and when it ends."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from evalkit.errors import StudyError, UnknownNameError
from evalkit.errors.schema import problems
from evalkit.rating._frozen import asked
from evalkit.rating._messages import ScreenCheck, Seen, Sides, Truth
from evalkit.rating._schema import (
    ANSWERS,
    ITEMS,
    REVEAL,
    SUBJECTS,
    UNANSWERED,
    items_of,
)
from evalkit.rating._values import Attempt, Seconds, Tags, Value, check_value
from evalkit.rating.items import BESIDE
from evalkit.rating.stimuli import stimulus_file
from evalkit.rating.store import Store, as_of, now, seconds_since
from evalkit.texts import Language

N_PRELOADED = 2
"""Items whose stimuli are named in advance."""

SIDES = {"a": "left_stimulus", "b": "right_stimulus", "c": "source_stimulus"}
"""The column that the last digit of a stimulus's address names; the others are the
item's."""


LEAST_OTHERS = 3
"""With fewer, a mean and one's own scores tell those of another."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid")

    # what was in sight, "" for no item; an event that comes late, or twice, has another
    item: str | None = None


class Command(_Event):
    """Anything but an answer; a start says what the subject agreed to."""

    type: Literal["start", "pause", "resume", "undo", "finish", "reveal", "language"]
    language: Literal["en", "zh"] = "en"
    has_agreed: Truth | None = None
    may_publish: Truth | None = None
    screen: ScreenCheck | None = None


class Answer(_Event):
    """One answer to one item; `attempt` tells a retry from a second answer."""

    type: Literal["answer"]
    item: str = Field(min_length=1)
    attempt: Attempt
    value: Value
    tags: Tags = []
    sides: Sides = {}
    seen: Seen | None = None
    seconds: Annotated[Seconds, Field(strict=True)]


EVENT: TypeAdapter[Command | Answer] = TypeAdapter(
    Annotated[Command | Answer, Field(discriminator="type")]
)


class Session:
    """A subject's session; all its state is in the store.

    Any number of these may serve one subject at once, in several processes: a tab
    left open, the same link on another computer. The states are ``welcome``, ``rate``,
    ``paused``, ``finished`` (all is answered, the last can be undone) and ``closed``
    (locked for good).

    Parameters
    ----------
    store
        Where the subject has been added and planned.
    subject
        A pseudonym.
    stimuli
        The folder that `evalkit.rating.write_stimuli` filled.
    published
        What is published elsewhere, by condition; shown at the end.

    """

    def __init__(
        self,
        store: Store,
        subject: str,
        stimuli: Path,
        published: Mapping[str, float | str] | None = None,
    ) -> None:
        self._store, self._subject = store, subject
        self._stimuli, self._published = stimuli, published or {}

    def view(self) -> dict[str, Any]:
        """All that the screen needs, and nothing that tells a condition or a role."""
        with self._store.read() as connection:
            return self._view(connection)

    def handle(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Do what an event says and return the new view.

        When it returns, what was answered is on the disk. An event about another item
        than the present one, or one that the state does not allow, changes nothing.

        Raises
        ------
        StudyError
            Not an event, or an answer of the wrong kind.

        """
        checked = _checked(event)
        with self._store.write() as connection:
            self._apply(connection, checked)
            view = self._view(connection)
            if checked.type == "reveal" and view["state"] == "closed":
                view["reveal"] = self._reveal(connection)
        return view

    def coming(self) -> list[dict[str, Any]]:
        """The items that have no answer yet, in order, each as a view shows it."""
        with self._store.read() as connection:
            rows = items_of(connection, self._subject)
            return [_item_view(connection, row) for row in rows[_n_done(rows) :]]

    def replay(
        self,
        connection: sa.Connection,
        events: Iterable[tuple[datetime, Mapping[str, Any]]],
    ) -> int:
        """Do what events said elsewhere, at the times they did; how many are answers.

        Raises
        ------
        StudyError
            Not an event, or an answer to another item than the present one.

        """
        n_answers = 0
        for time, event in events:
            checked = _checked(event)
            if not isinstance(checked, Answer):
                # what was in sight there may be a part of what there is here
                checked = checked.model_copy(update={"item": None})
            with as_of(time):
                self._apply(connection, checked)
            if isinstance(checked, Answer):
                n_answers += 1
                is_this = ANSWERS.c.attempt == checked.attempt
                item = sa.select(ANSWERS.c.item).where(is_this)
                if checked.item not in connection.scalars(item).all():
                    raise StudyError("another item than that of its answer is due")
        return n_answers

    def stimulus(self, address: str, language: Language | None = None) -> bytes:
        """The file of an address that a view has named, in the subject's language.

        Or in another `language`, for a page that changes it without asking.

        Raises
        ------
        UnknownNameError
            Not an address of this session, or the session is closed.

        """
        if column := SIDES.get(address[-1:]):
            query = sa.select(ITEMS.c[column], SUBJECTS.c.language).join(SUBJECTS)
            is_mine = sa.and_(
                ITEMS.c.item == address[:-1],
                SUBJECTS.c.subject == self._subject,
                SUBJECTS.c.state != "closed",
            )
            with self._store.read() as connection:
                row = connection.execute(query.where(is_mine)).first()
            if row and row[0]:
                name, of_subject = row
                file = stimulus_file(self._stimuli, name, language or of_subject)
                return file.read_bytes()
        raise UnknownNameError("stimulus", address, ["those that the view names"])

    def _apply(self, connection: sa.Connection, event: Command | Answer) -> None:
        columns = sa.select(SUBJECTS.c.state, SUBJECTS.c.shown_at)
        query = columns.where(SUBJECTS.c.subject == self._subject)
        state, shown_at = connection.execute(query.with_for_update()).one()
        rows = items_of(connection, self._subject)
        n_done = _n_done(rows)
        present = rows[n_done]["item"] if n_done < len(rows) else None
        if event.type == "language":
            self._change(connection, language=event.language)
        in_sight = present if state == "rate" and present else ""
        if event.item not in (None, in_sight):
            return
        allowed = {"welcome": "start", "paused": "resume"}.get(str(state))
        if event.type == allowed:
            self._change(connection, state="rate", shown_at=now(), **_consent(event))
        elif state != "rate":
            return
        elif event.type == "pause":
            self._change(connection, state="paused")
        elif event.type == "finish" and present is None:
            self._change(connection, state="closed")
        elif event.type == "undo" and n_done:
            undone = ANSWERS.c.answer == rows[n_done - 1]["answer"]
            connection.execute(sa.update(ANSWERS).where(undone).values(undone_at=now()))
            self._change(connection, shown_at=now())
        elif event.type == "answer":
            _insert_answer(connection, rows[n_done]["kind"], event, shown_at)
            self._change(connection, shown_at=now())

    def _change(self, connection: sa.Connection, **columns: Any) -> None:
        is_this = SUBJECTS.c.subject == self._subject
        connection.execute(sa.update(SUBJECTS).where(is_this).values(columns))

    def _view(self, connection: sa.Connection) -> dict[str, Any]:
        query = sa.select(SUBJECTS).where(SUBJECTS.c.subject == self._subject)
        subject = connection.execute(query).mappings().one()
        rows = items_of(connection, self._subject)
        n_done = _n_done(rows)
        state = subject["state"]
        if n_done == len(rows) and state == "rate":
            state = "finished"
        is_shown = state == "rate"
        coming = [] if state == "closed" else rows[n_done + is_shown :][:N_PRELOADED]
        question, organiser = asked(connection)
        is_beside = question["kind"] in BESIDE
        return {
            "state": state,
            "language": subject["language"],
            "question": question,
            "organiser": organiser,
            "may_open_source": not is_beside,
            "progress": {"done": n_done, "total": len(rows)},
            "kinds": list(dict.fromkeys(row["kind"] for row in rows)),
            "item": _item_view(connection, rows[n_done]) if is_shown else None,
            "preload": [a for row in coming for a in _stimuli_of(row, "c" * is_beside)],
            "can_undo": n_done > 0 and state in ("rate", "finished"),
            "reveal": None,
        }

    def _reveal(self, connection: sa.Connection) -> dict[str, Any]:
        """Means by condition: the subject's, everybody's and the published.

        For pairs it is the share won; a tie counts half. Everybody's is null while
        anybody still rates, whom it would influence, and where fewer others than
        `LEAST_OTHERS` stand behind it, whose scores it would tell.
        """
        means = connection.execute(sa.text(REVEAL), {"subject": self._subject})
        is_complete = connection.scalar(UNANSWERED) == 0
        rows = []
        for row in map(dict, means.mappings()):
            if row.pop("n_others") < LEAST_OTHERS or not is_complete:
                row["panel"] = None
            rows.append({**row, "published": self._published.get(row["condition"])})
        return {"rows": rows}


def _checked(event: Mapping[str, Any]) -> Command | Answer:
    """An event of the right kind; else a `StudyError`."""
    try:
        return EVENT.validate_python(event)
    except ValidationError as error:
        reasons = "; ".join(problems(error, event))
        raise StudyError(f"expected an event of a session: {reasons}") from error


def _n_done(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many items are answered before the first that is not."""
    return next((n for n, r in enumerate(rows) if r["answer"] is None), len(rows))


def _stimuli_of(row: Mapping[str, Any], beside: str = "") -> list[str]:
    return [row["item"] + side for side in ("ab" if row["right"] else "a") + beside]


def _item_view(connection: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """An item without anything that tells its conditions, its source or its role."""
    undone = sa.select(ANSWERS.c.value, ANSWERS.c.tags)
    undone = undone.where(ANSWERS.c.item == row["item"])
    answer = connection.execute(undone.order_by(ANSWERS.c.answer.desc())).first()
    value = answer and answer.value
    if value and row["kind"] == "acr":
        value = int(value)
    return {
        "id": row["item"],
        "kind": row["kind"],
        "content": row["content"],
        "is_training": row["is_training"],
        "stimuli": _stimuli_of(row),
        "source": row["item"] + "c",
        "width": row["width_px"],
        "height": row["height_px"],
        "given": {"value": value, "tags": json.loads(answer.tags)} if answer else None,
    }


def _consent(event: Command | Answer) -> dict[str, Any]:
    """What a start says of the subject, as columns of `SUBJECTS`; else nothing."""
    if not isinstance(event, Command) or event.type != "start":
        return {}
    return {
        "agreed_at": now() if event.has_agreed else None,
        "may_publish": event.may_publish,
        "screen": event.screen and event.screen.model_dump_json(),
    }


def _insert_answer(
    connection: sa.Connection, kind: str, event: Answer, shown_at: str | None
) -> None:
    try:
        check_value(kind, event.value)
    except ValueError as error:
        raise StudyError(str(error)) from error
    attempt = sa.and_(ANSWERS.c.item == event.item, ANSWERS.c.attempt == event.attempt)
    if connection.scalar(sa.select(ANSWERS.c.answer).where(attempt)):
        return  # undone since, and sent again by a network that was slow
    row = {
        "item": event.item,
        "attempt": event.attempt,
        "value": None if event.value is None else str(event.value),
        "tags": json.dumps(event.tags),
        "seconds": event.seconds,
        "answered_at": now(),
        "server_seconds": seconds_since(shown_at) if shown_at else None,
        "sides": json.dumps(event.sides) if kind == "ab" else None,
        "seen": event.seen and event.seen.model_dump_json(),
    }
    connection.execute(sa.insert(ANSWERS).values(row))
