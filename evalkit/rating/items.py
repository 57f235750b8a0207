"""What a subject is asked: one item of a session, its roles, and its parts."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["acr", "ab"]
Mode: TypeAlias = Literal["acr", "ab", "both"]

QUESTIONS = ("quality", "fidelity", "identity")
"""What subjects may be asked, beside a question in words of one's own."""

BESIDE = ("fidelity", "identity")
"""Questions of likeness: the source stands beside what is judged."""

GOLD, TRAP, SOURCE = "gold", "trap", "source"
"""Roles and conditions of our own making: a picture that anyone can judge, one that
says what to answer, and the source itself, shown beside an output and never rated."""

GOLDS = {GOLD: "1", "gold-fine": "2"}
"""The golds, and the score expected of each: squares that nobody overlooks, and small
ones that take a look. A score one off is right, too."""

TRAPS = {
    "trap-2": ("2 ", "acr.2"),
    "trap-4": ("4 ", "acr.4"),
    "trap-left": ("", "left"),
    "trap-right": ("", "right"),
}
"""What each trap says: the digit of a key, and its word among the page's texts."""

WHOLE, DETAIL = "whole", "detail"
"""The parts of a picture that are shown: all of it, or a detail at its own size."""

Cell: TypeAlias = tuple[str, ...]
"""A source and a condition, which may be ``source``, a gold or a trap; of a detail
``detail`` comes third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One question to one subject.

    Attributes
    ----------
    kind
        ``acr``: one stimulus, 1 to 5. ``ab``: two, which is better.
    role
        ``system``, ``reference``, ``anchor``, ``gold`` or ``trap``; of a pair
        ``system`` unless it is a check.
    source
        Its name.
    left, right
        Conditions; `right` is None for ``acr``.
    part
        Of the source and its outputs: ``whole`` or ``detail``.
    expected
        The answer to a gold or a trap; None for what is not a check.
    is_training
        Shown first and left out of the analysis.
    is_repeat
        Shown before in this session, a pair with its sides swapped.

    """

    kind: Kind
    role: str
    source: str
    left: str
    right: str | None = None
    expected: str | None = None
    is_training: bool = False
    is_repeat: bool = False
    part: str = WHOLE

    def cell(self, condition: str) -> Cell:
        """Where the stimulus of a condition is, in this item's part."""
        return cell_of(self.source, condition, self.part)


def cell_of(source: str, condition: str, part: str = WHOLE) -> Cell:
    """The cell of a part of what a condition made of a source."""
    return (source, condition) if part == WHOLE else (source, condition, part)
