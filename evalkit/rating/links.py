"""Who has a link, how far they have come, and how a link ends."""

from typing import NamedTuple

import sqlalchemy as sa

from evalkit.errors import UnknownNameError
from evalkit.rating._schema import ANSWERS, ITEMS, PACKS, SUBJECTS, VISITS
from evalkit.rating.store import Store, now
from evalkit.texts import Language


class Place(NamedTuple):
    """How far a subject has come.

    Attributes
    ----------
    subject
        A pseudonym.
    state
        As in `evalkit.rating.Session`; ``revoked``: their link is dead; ``packed``:
        they have not handed in, and got a file.
    items, answered
        How many there are, and how many of them have an answer.
    seen_at
        When the page was last opened, or an answer came: ISO 8601, UTC, or None.

    """

    subject: str
    state: str
    items: int
    answered: int
    seen_at: str | None

    @property
    def is_complete(self) -> bool:
        """Whether everything has an answer."""
        return 0 < self.items == self.answered


def places(store: Store) -> list[Place]:
    """How far each subject has come; nobody's single answers."""
    answers = sa.select(ITEMS.c.subject, sa.func.max(ANSWERS.c.answered_at))
    answers = answers.join_from(ANSWERS, ITEMS).group_by(ITEMS.c.subject)
    visits = sa.select(VISITS.c.subject, VISITS.c.seen_at)
    times: dict[str, str] = {}
    with store.read() as connection:
        for query in (answers, visits):
            for subject, time in connection.execute(query).tuples():
                times[subject] = max(time, times.get(subject, ""))
        is_dead = SUBJECTS.c.secret.is_(None) & SUBJECTS.c.expires_at.is_not(None)
        revoked = {*connection.scalars(sa.select(SUBJECTS.c.subject).where(is_dead))}
        packed = {*connection.scalars(sa.select(PACKS.c.subject))}
    states = dict.fromkeys(packed, "packed") | dict.fromkeys(revoked, "revoked")
    return [
        Place(
            subject,
            row["state"]
            if row["state"] == "closed"
            else states.get(subject, row["state"]),
            int(row["items"]),
            int(row["answered"]),
            times.get(subject),
        )
        for subject, row in store.progress().iterrows()
    ]


def revoke(store: Store, subject: str) -> None:
    """End a subject's link at once; what they answered stays.

    `Store.link` makes another when it is asked to.

    Raises
    ------
    UnknownNameError
        There is no such subject.

    """
    if subject not in store.subjects():
        raise UnknownNameError("subject", subject, store.subjects())
    is_theirs = SUBJECTS.c.subject == subject
    change = sa.update(SUBJECTS).where(is_theirs)
    with store.write() as connection:
        # a secret that was never made has no date either
        connection.execute(change.values(secret=None, expires_at=now()))


def expiry(store: Store, subject: str) -> str:
    """The last day of a subject's link: ``2026-12-11``, UTC."""
    query = sa.select(SUBJECTS.c.expires_at).where(SUBJECTS.c.subject == subject)
    with store.read() as connection:
        return str(connection.scalar(query))[:10]


def note_visit(store: Store, subject: str, language: Language) -> None:
    """Keep when a subject opened the page; the first time, in which language."""
    is_theirs = SUBJECTS.c.subject == subject
    state = sa.select(SUBJECTS.c.state).where(is_theirs).with_for_update()
    seen = sa.update(VISITS).where(VISITS.c.subject == subject)
    with store.write() as connection:
        is_new = connection.scalar(state) == "welcome"
        if connection.execute(seen.values(seen_at=now())).rowcount:
            return
        row = {"subject": subject, "seen_at": now()}
        connection.execute(sa.insert(VISITS).values(row))
        if is_new:
            change = sa.update(SUBJECTS).where(is_theirs)
            connection.execute(change.values(language=language))


def language_of(store: Store, subject: str, preferred: Language) -> Language:
    """The subject's language; before their first visit, the one that is preferred."""
    query = sa.select(SUBJECTS.c.language).join(VISITS)
    with store.read() as connection:
        language = connection.scalar(query.where(SUBJECTS.c.subject == subject))
    return preferred if language is None else language
