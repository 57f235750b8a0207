"""The tables of a ratings store, and the views that analyses read."""

from typing import Any

import sqlalchemy as sa

from evalkit.rating.items import GOLD, TRAP

METADATA = sa.MetaData()

VALUES = {"acr": "1 to 5", "ab": "left, right or same"}
"""Possible answers to an item, by its kind, in words; null is "can't tell"."""

ALLOWED = {"acr": (1, 2, 3, 4, 5), "ab": ("left", "right", "same")}
"""Possible answers to an item, by its kind."""

LONGEST_S = 30 * 24 * 3600.0
"""More than anyone looks at a stimulus, a tab left open for a month included."""

_QUOTED = ", ".join(f"'{value}'" for values in ALLOWED.values() for value in values)

SUBJECTS = sa.Table(
    "subjects",
    METADATA,
    sa.Column("subject", sa.String, primary_key=True),  # a pseudonym
    sa.Column("number", sa.Integer, nullable=False),  # row of the Latin square
    sa.Column("language", sa.String, nullable=False, default="en"),
    sa.Column("state", sa.String, nullable=False, default="welcome"),
    sa.Column("secret", sa.String, unique=True),  # of the link; never exported
    sa.Column("expires_at", sa.String),  # ISO 8601, UTC
    sa.Column("agreed_at", sa.String),  # ISO 8601, UTC; null: was not asked
    sa.Column("may_publish", sa.Boolean),  # their answers; null: was not asked
    sa.Column("screen", sa.String),  # JSON, as `ScreenCheck`; null: was skipped
    sa.Column("shown_at", sa.String),  # of the present item; ISO 8601, UTC
)

ITEMS = sa.Table(
    "items",
    METADATA,
    sa.Column("item", sa.String, primary_key=True),
    sa.Column("subject", sa.ForeignKey("subjects.subject"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),  # from 0
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("role", sa.String, nullable=False),
    sa.Column("is_training", sa.Boolean, nullable=False),
    sa.Column("is_repeat", sa.Boolean, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("left", sa.String, nullable=False),  # condition
    sa.Column("right", sa.String),
    sa.Column("expected", sa.String),
    sa.Column("left_stimulus", sa.String, nullable=False),
    sa.Column("right_stimulus", sa.String),
    sa.Column("source_stimulus", sa.String, nullable=False),
    sa.Column("width_px", sa.Integer, nullable=False),
    sa.Column("height_px", sa.Integer, nullable=False),
    sa.Column("content", sa.String),  # face, text, or empty: which reasons suit
    sa.Column("part", sa.String),  # whole or detail; null, of older plans, is whole
    # false once the study shows another picture there, or none
    sa.Column("is_current", sa.Boolean, nullable=False, default=True),
    sa.UniqueConstraint("subject", "position"),
)

ANSWERS = sa.Table(
    "answers",
    METADATA,
    sa.Column("answer", sa.Integer, primary_key=True),
    sa.Column("item", sa.ForeignKey("items.item"), nullable=False),
    sa.Column("attempt", sa.String, nullable=False),
    sa.Column("value", sa.String),  # null is "can't tell"
    sa.Column("tags", sa.String, nullable=False),  # JSON list
    sa.Column("seconds", sa.Float, nullable=False),  # since the stimulus was painted
    sa.Column("answered_at", sa.String, nullable=False),  # ISO 8601, UTC
    sa.Column("undone_at", sa.String),
    # since its item was shown, by the server's clock; null where it kept no time
    sa.Column("server_seconds", sa.Float),
    sa.Column("sides", sa.String),  # JSON: of a pair, which picture a tag is of
    sa.Column("seen", sa.String),  # JSON, as `Seen`; null in answers of older pages
    sa.UniqueConstraint("item", "attempt"),
    sa.CheckConstraint(f"value IN ({_QUOTED})", "possible_value"),
    sa.CheckConstraint(f"seconds BETWEEN 0 AND {LONGEST_S}", "possible_seconds"),
)

SECRETS = sa.Table(
    "secrets",
    METADATA,
    sa.Column("purpose", sa.String, primary_key=True),
    sa.Column("secret", sa.String, nullable=False),  # never exported
)

PLANS = sa.Table(
    "plans",
    METADATA,
    sa.Column("plan", sa.Integer, primary_key=True),
    sa.Column("frozen_at", sa.String, nullable=False),  # ISO 8601, UTC
    sa.Column("digest", sa.String, nullable=False),  # SHA-256 of content
    sa.Column("content", sa.String, nullable=False),  # canonical JSON
)

STANDING = sa.Index(
    "one_standing_answer",
    ANSWERS.c.item,
    unique=True,
    sqlite_where=ANSWERS.c.undone_at.is_(None),
    postgresql_where=ANSWERS.c.undone_at.is_(None),
)
"""The database itself refuses a second answer to an item that has one."""

VISITS = sa.Table(
    "visits",
    METADATA,
    sa.Column(
        "subject",
        sa.ForeignKey("subjects.subject", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("seen_at", sa.String, nullable=False),  # ISO 8601, UTC
)

PACKS = sa.Table(
    "packs",  # sessions that were given away as files; nobody plans those anew
    METADATA,
    sa.Column("seal", sa.String, primary_key=True),  # of the subject, part and items
    sa.Column(
        "subject",
        sa.ForeignKey("subjects.subject", ondelete="CASCADE"),
        nullable=False,
    ),
    # how many of its events have been imported, and a digest of those
    sa.Column("n_events", sa.Integer, nullable=False, default=0),
    sa.Column("digest", sa.String, nullable=False, default=""),
)

_ITEMS_OF = (
    sa.select(ITEMS, ANSWERS.c.answer, ANSWERS.c.value, ANSWERS.c.tags)
    .outerjoin_from(
        ITEMS,
        ANSWERS,
        sa.and_(ANSWERS.c.item == ITEMS.c.item, ANSWERS.c.undone_at.is_(None)),
    )
    .where(ITEMS.c.subject == sa.bindparam("subject"))
    .order_by(ITEMS.c.position)
)


def items_of(connection: sa.Connection, subject: str) -> list[dict[str, Any]]:
    """A subject's items in order, with their standing answers; null without one."""
    rows = connection.execute(_ITEMS_OF, {"subject": subject})
    return [dict(row) for row in rows.mappings()]


UNANSWERED = (
    sa.select(sa.func.count())
    .select_from(ITEMS)
    .where(
        ~sa.exists().where(
            ANSWERS.c.item == ITEMS.c.item, ANSWERS.c.undone_at.is_(None)
        )
    )
)
"""How many items of all subjects are still to be answered."""

_COLUMNS_AND_RULE = """
    CASE WHEN i.is_repeat THEN 1 ELSE 0 END AS repeat,
    i.is_training, i.role, i.expected, i.position, a.tags, a.seconds,
    a.server_seconds, a.answered_at, a.sides, a.seen, COALESCE(i.part, 'whole') AS part
    FROM answers a JOIN items i ON i.item = a.item
    WHERE a.undone_at IS NULL AND i.is_current"""

VIEWS = {
    "scores": f"""SELECT
    i.subject, i.source, i."left" AS condition, CAST(a.value AS INTEGER) AS score,
    {_COLUMNS_AND_RULE} AND i.kind = 'acr'""",
    "choices": f"""SELECT
    i.subject, i.source,
    CASE a.value WHEN 'right' THEN i."right" ELSE i."left" END AS winner,
    CASE a.value WHEN 'right' THEN i."left" ELSE i."right" END AS loser,
    a.value = 'same' AS tied, i."left" AS shown_left, a.value AS choice,
    {_COLUMNS_AND_RULE} AND i.kind = 'ab' AND a.value IS NOT NULL""",
}
"""``scores``: condition and score, null for "can't tell". ``choices``: winner, loser
(of a tie: left, right) and tied. Both without what was undone, and without pictures
that the study no longer shows."""

COUNTED = f"NOT is_training AND role NOT IN ('{GOLD}', '{TRAP}')"
"""The rows of the views that are answers that count."""

CHECKS = f"NOT is_training AND role IN ('{GOLD}', '{TRAP}')"
"""The rows that are answers to a gold or a trap."""

REVEAL = f"""
    SELECT kind, condition, COUNT(DISTINCT subject) AS n_subjects,
        COUNT(DISTINCT CASE WHEN subject <> :subject THEN subject END) AS n_others,
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
    WHERE {COUNTED} AND points IS NOT NULL
    GROUP BY kind, condition ORDER BY kind, condition
"""
"""Mean score by condition; for pairs the share won, a tie counting half."""
