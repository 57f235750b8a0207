"""What a session in one file has saved, on its way back: its events, sealed."""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.errors import StudyError
from evalkit.errors.schema import problems
from evalkit.rating._schema import PACKS, SUBJECTS
from evalkit.rating.session import Session
from evalkit.rating.store import PSEUDONYM, Store

FORMAT = "rating session 1"


def seal_of(
    secret: str, subject: str, place: tuple[int, int], items: Sequence[str]
) -> str:
    """Who, which part, and which items in which order, by the secret of the run."""
    text = "\n".join([subject, "{}/{}".format(*place), *items])
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def _digest(seal: str, events: Sequence[str]) -> str:
    return hashlib.sha256("\n".join([seal, *events]).encode()).hexdigest()


class _Entry(BaseModel):
    """One event, as it was logged."""

    model_config = ConfigDict(extra="forbid")

    at: datetime
    event: dict[str, Any]


Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Saved(BaseModel):
    """The file that a session in one file saves."""

    model_config = ConfigDict(extra="forbid")

    evalkit: Literal["rating session 1"]
    subject: str = Field(pattern=f"^{PSEUDONYM.pattern}$")
    part: int = Field(ge=1)
    parts: int = Field(ge=1)
    items: list[str]
    seal: Digest
    events: list[str]
    digest: Digest


def import_session(store: Store, path: Path) -> int:
    """Add the answers that a session in one file has saved; return how many are new.

    The same file twice adds nothing; one that was saved later adds what came since.

    Raises
    ------
    StudyError
        Not such a file, one of another run, one that was changed, or answers that do
        not follow those that are here; nothing is added.

    """
    saved = _read(path)
    secret = store.secret("packs")
    seal = seal_of(secret, saved.subject, (saved.part, saved.parts), saved.items)
    if not hmac.compare_digest(seal, saved.seal):
        raise StudyError(
            f"{path}: expected a session that this run packed, found another subject, "
            "order or run; import it into its own run, as it was saved"
        )
    if _digest(saved.seal, saved.events) != saved.digest:
        raise StudyError(
            f"{path}: was changed since it was saved: its digest is another; ask for "
            "the file as it was saved"
        )
    try:
        entries = [_Entry.model_validate_json(line) for line in saved.events]
    except ValidationError as error:
        reasons = "; ".join(problems(error, {}))
        raise StudyError(f"{path}: expected events: {reasons}") from error
    is_this = PACKS.c.seal == saved.seal
    with store.write() as connection:
        row = connection.execute(sa.select(PACKS).where(is_this)).one_or_none()
        if row is None:
            raise StudyError(f"{path}: {saved.subject} was deleted since it was packed")
        if row.n_events and _digest(seal, saved.events[: row.n_events]) != row.digest:
            raise StudyError(
                f"{path}: other answers from the same pack, or more of them, are here "
                "already; nothing was added"
            )
        session = Session(store, saved.subject, Path())
        new = [(entry.at, entry.event) for entry in entries[row.n_events :]]
        query = sa.select(SUBJECTS.c.state).where(SUBJECTS.c.subject == saved.subject)
        if not row.n_events and connection.scalar(query) == "paused":
            new = [(entries[0].at, {"type": "resume"}), *new] if entries else new
        try:
            n_answers = session.replay(connection, new)
        except StudyError as error:
            raise StudyError(
                f"{path}: {error}; parts are imported in their order, and a pack "
                "takes the place of a link; nothing was added"
            ) from error
        digest = _digest(seal, saved.events)
        change = sa.update(PACKS).where(is_this)
        connection.execute(change.values(n_events=len(entries), digest=digest))
    return n_answers


def _read(path: Path) -> _Saved:
    content: Any = {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _Saved.model_validate(content)
    except ValidationError as error:
        reasons = "; ".join(problems(error, content, _Saved))
        raise StudyError(f"{path}: expected a saved session: {reasons}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: expected a saved session: {error}") from error
