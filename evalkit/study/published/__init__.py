"""Published comparisons of restorers, to stand beside ours: found by entry points.

They are the ``ENTRIES`` of modules in the group of this package (`evalkit.discover`).
Where none is installed, what a run measured stands alone.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from evalkit.discover import discover
from evalkit.restorers import settings_of
from evalkit.restorers._routing import Rule


class PublishedScore(NamedTuple):
    """A mean opinion score.

    Attributes
    ----------
    kind
        The pictures' kind (`evalkit.tables.IMAGES`).
    restorer
        The name of the one whose network was scored: not of its family.
    mos
        From 1 to 5.

    """

    kind: str
    restorer: str
    mos: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """A figure of cost.

    Attributes
    ----------
    name
        A claim's id; the column ``figure`` of `evalkit.tables.FLOORS` has it.
    restorer, setting
        The settings that the work depends on; ``runner``, ``device``, ``precision``
        and ``tile`` among them.
    quantity, value
        One of `evalkit.experiments.UNITS`, and the number in its unit.
    width_px, height_px, n_pictures
        A picture's size; the number of pictures in a call.
    rate
        ``matrix_tflop_s`` and ``copy_gib_s`` of the device; empty where unknown.
    note
        A caution for the reader, if any.

    """

    name: str
    restorer: str
    setting: Mapping[str, Any]
    quantity: str
    value: float
    width_px: int
    height_px: int
    n_pictures: int
    rate: Mapping[str, float]
    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PublishedComparison:
    """What others have published; any part may be lacking.

    Attributes
    ----------
    name
        Its name in tables, and behind "the" in a sentence.
    card
        The GPU that its figures of cost are from.
    claims
        A file of claims, as ``data/claims.yaml``.
    judges
        Gives the judge of each claim that is judged: its ``name`` is the claim's id.
    scores, figures
        They stand beside a panel's scores and a run's figures.
    instances
        By restorer: how many of its processes that memory holds side by side, at least;
        and the claim's id.
    rules, literal_rules
        Its advice as the rules of a router, which always decides; and read word by
        word, with a feature ``is_jpg`` of the file's name: what no rule holds of has no
        route.
    folder_route
        Gives the route for a whole folder by the share of its pictures that have a
        face; None where each picture has its own.

    """

    name: str
    card: str = ""
    claims: Path | None = None
    judges: Callable[[], Iterable[Any]] = tuple
    scores: tuple[PublishedScore, ...] = ()
    figures: tuple[PublishedFigure, ...] = ()
    instances: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    literal_rules: tuple[Rule, ...] = ()
    folder_route: Callable[[float], str | None] | None = None


@cache
def published() -> Mapping[str, PublishedComparison]:
    """Every installed comparison by name."""
    return discover(sys.modules[__name__], PublishedComparison)


def published_scores() -> list[PublishedScore]:
    """Every published mean score."""
    return [score for comparison in published().values() for score in comparison.scores]


def published_scores_of(condition: str) -> dict[str, float]:
    """The published mean score of a condition's own network, by kind of picture."""
    name = settings_of(condition).get("name")
    return {s.kind: s.mos for s in published_scores() if s.restorer == name}
