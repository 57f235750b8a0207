"""The plan of a panel, frozen by a digest before the first score."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from evalkit.rating._database import Database
from evalkit.rating._schema import ANSWERS, ITEMS, PLANS
from evalkit.rating.items import QUESTIONS
from evalkit.rating.store import now


class FrozenPlan(NamedTuple):
    """A plan as it stood from a moment on.

    Attributes
    ----------
    frozen_at
        ISO 8601, UTC.
    digest
        SHA-256 of the content as canonical JSON: keys sorted, no blanks, UTF-8.
    content
        What was planned.

    """

    frozen_at: str
    digest: str
    content: dict[str, Any]


def freeze(store: Database, content: Mapping[str, Any]) -> FrozenPlan:
    """Keep a plan with its digest and the time, unless it is the one that stands.

    Until somebody has scored, it takes the place of the last one; from then on it
    follows that one, so that a change can be told.
    """
    text = json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    digest = hashlib.sha256(text.encode()).hexdigest()
    scored = sa.select(ANSWERS.c.answer).join(ITEMS).where(~ITEMS.c.is_training)
    newest = sa.select(PLANS.c.digest).order_by(PLANS.c.plan.desc())
    with store.write() as connection:
        if connection.scalar(newest) != digest:
            if connection.scalar(scored) is None:
                connection.execute(sa.delete(PLANS))
            row = {"frozen_at": now(), "digest": digest, "content": text}
            connection.execute(sa.insert(PLANS).values(row))
    return frozen_plans(store)[-1]


def frozen_plans(store: Database) -> list[FrozenPlan]:
    """The plan that stood at the first score, then each that changed it since."""
    columns = PLANS.c.frozen_at, PLANS.c.digest, PLANS.c.content
    with store.read() as connection:
        rows = connection.execute(sa.select(*columns).order_by(PLANS.c.plan)).all()
    return [FrozenPlan(at, digest, json.loads(text)) for at, digest, text in rows]


def asked(connection: sa.Connection) -> tuple[dict[str, str | None], str]:
    """What subjects are asked, and who asks.

    The question's ``kind``, and its ``text`` where it is of one's own; the organiser
    is empty where the plan names none.
    """
    newest = sa.select(PLANS.c.content).order_by(PLANS.c.plan.desc())
    text = connection.scalar(newest)
    content = json.loads(text) if text else {"question": QUESTIONS[0]}
    question = content["question"]
    is_known = question in QUESTIONS
    kind, words = (question, None) if is_known else ("own", question)
    return {"kind": kind, "text": words}, content.get("organiser", "")
