"""The tables of a ratings store, and the views that analyses read."""

from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    and_,
    bindparam,
    select,
)

METADATA = MetaData()

SUBJECTS = Table(
    "subjects",
    METADATA,
    Column("subject", String, primary_key=True),  # a pseudonym
    Column("number", Integer, nullable=False),  # row of the Latin square
    Column("language", String, nullable=False, default="en"),
    Column("state", String, nullable=False, default="welcome"),
    Column("secret", String, unique=True),  # of the link; never exported
    Column("expires_at", String),  # ISO 8601, UTC
)

ITEMS = Table(
    "items",
    METADATA,
    Column("item", String, primary_key=True),
    Column("subject", ForeignKey("subjects.subject"), nullable=False),
    Column("position", Integer, nullable=False),  # from 0
    Column("kind", String, nullable=False),
    Column("role", String, nullable=False),
    Column("is_training", Boolean, nullable=False),
    Column("is_repeat", Boolean, nullable=False),
    Column("source", String, nullable=False),
    Column("left", String, nullable=False),  # condition
    Column("right", String),
    Column("expected", String),
    Column("left_stimulus", String, nullable=False),
    Column("right_stimulus", String),
    Column("source_stimulus", String, nullable=False),
    Column("width_px", Integer, nullable=False),
    Column("height_px", Integer, nullable=False),
    # false once the study shows another picture there, or none
    Column("is_current", Boolean, nullable=False, default=True),
    UniqueConstraint("subject", "position"),
)

ANSWERS = Table(
    "answers",
    METADATA,
    Column("answer", Integer, primary_key=True),
    Column("item", ForeignKey("items.item"), nullable=False),
    Column("attempt", String, nullable=False),
    Column("value", String),  # null is "can't tell"
    Column("tags", String, nullable=False),  # JSON list
    Column("seconds", Float, nullable=False),  # since the stimulus was painted
    Column("answered_at", String, nullable=False),  # ISO 8601, UTC
    Column("undone_at", String),
    UniqueConstraint("item", "attempt"),
)

STANDING = Index(
    "one_standing_answer",
    ANSWERS.c.item,
    unique=True,
    sqlite_where=ANSWERS.c.undone_at.is_(None),
    postgresql_where=ANSWERS.c.undone_at.is_(None),
)
"""The database itself refuses a second answer to an item that has one."""

_ITEMS_OF = (
    select(ITEMS, ANSWERS.c.answer, ANSWERS.c.value, ANSWERS.c.tags)
    .outerjoin_from(
        ITEMS,
        ANSWERS,
        and_(ANSWERS.c.item == ITEMS.c.item, ANSWERS.c.undone_at.is_(None)),
    )
    .where(ITEMS.c.subject == bindparam("subject"))
    .order_by(ITEMS.c.position)
)


def items_of(connection: Connection, subject: str) -> list[dict[str, Any]]:
    """A subject's items in order, with their standing answers; null without one."""
    rows = connection.execute(_ITEMS_OF, {"subject": subject})
    return [dict(row) for row in rows.mappings()]


_REST = """
    CASE WHEN i.is_repeat THEN 1 ELSE 0 END AS repeat,
    i.is_training, i.role, i.expected, i.position, a.tags, a.seconds, a.answered_at
    FROM answers a JOIN items i ON i.item = a.item
    WHERE a.undone_at IS NULL AND i.is_current"""

VIEWS = {
    "scores": f"""SELECT
    i.subject, i.source, i."left" AS condition, CAST(a.value AS INTEGER) AS score,
    {_REST} AND i.kind = 'acr'""",
    "choices": f"""SELECT
    i.subject, i.source,
    CASE a.value WHEN 'right' THEN i."right" ELSE i."left" END AS winner,
    CASE a.value WHEN 'right' THEN i."left" ELSE i."right" END AS loser,
    a.value = 'same' AS tied, i."left" AS shown_left, a.value AS choice,
    {_REST} AND i.kind = 'ab' AND a.value IS NOT NULL""",
}
"""``scores``: condition and score, null for "can't tell". ``choices``: winner, loser
(of a tie: left, right) and tied. Both without what was undone, and without pictures
that the study no longer shows."""

REVEAL = """
    SELECT kind, condition, COUNT(DISTINCT subject) AS n_subjects,
        AVG(CASE WHEN subject = :subject THEN CAST(points AS FLOAT) END) AS own,
        AVG(CAST(points AS FLOAT)) AS panel
    FROM (
        SELECT 'acr' AS kind, subject, condition, 1.0 * score AS points, role,
            is_training FROM scores
        UNION ALL
        SELECT 'ab', subject, winner, CASE WHEN tied THEN 0.5 ELSE 1.0 END, role,
            is_training FROM choices
        UNION ALL
        SELECT 'ab', subject, loser, CASE WHEN tied THEN 0.5 ELSE 0.0 END, role,
            is_training FROM choices
    ) AS points
    WHERE NOT is_training AND role NOT IN ('gold', 'trap') AND points IS NOT NULL
    GROUP BY kind, condition ORDER BY kind, condition
"""
"""Mean score by condition; of pairs the share won, a tie counting half."""
