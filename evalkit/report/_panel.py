"""What the answer says of the panel itself: what it was shown, and against its plan."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalkit.report._run_folder import RunFolder
from evalkit.report._text import Sentence, Sentences, in_sentences, number, with_bounds
from evalkit.tables import (
    SCALE_EFFECT,
    SCORES_LOOKS,
    SCORES_PANEL,
    SEEN_ACTUAL,
    SEEN_SMALLEST,
)
from evalkit.texts import Language, text

PARTS = {"whole": "whole", "detail": "detail", "whole and detail": "both"}
"""What of the catalogue tells the parts that were shown."""

SAME = 0.005
"""A smaller change of size is none."""


def panel(folder: RunFolder, language: Language) -> Sentences:
    """Whether people rated as planned, or what changed since; how large they saw."""
    rows = folder.read(SCORES_PANEL).set_index("quantity")
    words = []
    if note := rows["note"].dropna().get("plan"):
        words.append(text("answer.panel", language, note=note))
    if SEEN_ACTUAL in rows.index:
        share, smallest = rows.loc[[SEEN_ACTUAL, SEEN_SMALLEST], "value"]
        values = {"percent": f"{share:.0%}", "smallest": f"{smallest:.0%}"}
        words.append(text("answer.panel.seen", language, **values))
    effects = rows[rows.index == SCALE_EFFECT].dropna(subset=["value", "low", "high"])
    for row in effects.to_dict("records"):
        points = with_bounds(row["value"], row["low"], row["high"])
        words.append(text("answer.panel.scale", language, points=points))
    if words:
        sentence = in_sentences(words, language)
        yield Sentence("panel", sentence, (SCORES_PANEL.name,))


def shown_of(
    rows: Mapping[str, Mapping[str, Any]], best: str, other: str, language: Language
) -> str:
    """What was shown of two conditions, and how much reduced; empty where not kept.

    `rows` are of the table ``scores_mos``, by condition.
    """
    if any(pd.isna(rows[name]["reduced"]) for name in (best, other)):
        return ""
    shown = {"best_shown": best, "other_shown": other}
    values = {key: _as_shown(rows[name], language) for key, name in shown.items()}
    return text("answer.shown", language, best=best, other=other, **values)


def _as_shown(row: Mapping[str, Any], language: Language) -> str:
    parts = text(f"answer.shown.{PARTS[row['shown']]}", language)
    reduced = float(row["reduced"])
    key = "reduced" if reduced > 1 + SAME else "actual"
    if reduced < 1 - SAME:
        key, reduced = "enlarged", 1 / reduced
    return text(f"answer.shown.{key}", language, parts=parts, times=number(reduced))


def is_open(folder: RunFolder, best: str, other: str) -> bool:
    """Whether the looks that were planned leave it open who of two is chosen more."""
    looks = folder.read(SCORES_LOOKS)
    is_pair = looks[["condition", "other"]].isin([best, other]).all(axis=1)
    return bool(is_pair.any() and not looks.loc[is_pair, "is_decided"].iloc[0])
