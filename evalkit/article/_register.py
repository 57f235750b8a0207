"""The register of claims, ``data/claims.yaml``, checked as it is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import inf
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import StrictFloat, StrictInt

from evalkit.errors import TableError
from evalkit.errors.yaml import read_registry, refuse_repeated
from evalkit.paths import data_file

Kind: TypeAlias = Literal[
    "protocol", "rating", "metric", "measure", "upstream", "offer", "rule"
]


ENDS = {"of 5": 5.0, "%": 100.0}
"""Of scales, by unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One statement of a claim, and the range in which what is measured must lie.

    Attributes
    ----------
    says
        The statement, or what a run must show; a verdict quotes it.
    least, most
        The range; None for no bound.
    near
        So far from the claimed number is within the range.
    factor
        Within so many times of the claimed number is within the range.
    is_effect
        The bounds are no effect and do not belong to the range.
    unit
        Of the bounds; None where the claim's own is meant, or there is none.
    excused
        Why this part alone does not make the whole claim fall; None if it does.
    metric, region
        Columns of the table ``pathologies``, of a part that a metric bears on.
    either_way
        The range is that of the absolute value.
    against
        A restorer whose value on the same source is taken off first.
    only
        Metrics of the source, and the least that each must be for it to count.
    share
        The least share of the sources on which the range must hold; None where the
        median over the sources must lie in it.

    """

    says: str
    least: StrictInt | StrictFloat | None = None
    most: StrictInt | StrictFloat | None = None
    near: StrictFloat | None = None
    factor: StrictFloat | None = None
    is_effect: bool = False
    unit: str | None = None
    excused: str | None = None
    metric: str = ""
    region: str = ""
    either_way: bool = False
    against: str | None = None
    only: Mapping[str, StrictFloat] = field(default_factory=dict)
    share: StrictFloat | None = None

    def bounds(self, claimed: float | None = None) -> tuple[float, float]:
        """Least and most, infinite where there is no bound.

        Raises
        ------
        TableError
            A range about the claimed number, and none is claimed.

        """
        if self.near or self.factor:
            if claimed is None:
                raise TableError(f"claim: {self.says!r} is near no claimed number")
            if self.near:
                return claimed - self.near, claimed + self.near
            return claimed / (self.factor or 1), claimed * (self.factor or 1)
        least = -inf if self.least is None else self.least
        return least, inf if self.most is None else self.most

    def in_words(self, claimed: float | None, unit: str | None) -> str:
        """The statement with its range, for a reader."""
        low, high = self.bounds(claimed)
        most = ENDS.get(self.unit or unit or "", inf)
        high = high if high == inf else min(high, most)  # a margin ends with the scale
        unit = " " + (self.unit or unit or "")
        beyond = (
            ("more than", "less than") if self.is_effect else ("at least", "at most")
        )
        if low > -inf and high < inf:
            bounds = f"from {low:.4g} to {high:.4g}{unit}"
        elif low > -inf:
            bounds = f"{beyond[0]} {low:.4g}{unit}"
        else:
            bounds = f"{beyond[1]} {high:.4g}{unit}" if high < inf else ""
        way = "either way " if self.either_way else ""
        return f"{self.says}: {way}{bounds.strip()}" if bounds else self.says


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Which pictures of a run count for a claim.

    Attributes
    ----------
    are
        What they are called in a sentence.
    kinds
        Their kinds (`evalkit.tables.IMAGES`).
    note
        A regular expression that their note must hold; empty for any note.

    """

    are: str
    kinds: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim of the article, in our words.

    Attributes
    ----------
    id
        A letter (S protocol, Q quality, G cost, D deployment, R routing) and a number.
    section
        The article's section.
    subject
        What the claim is about: gpen, realesrgan, hybrid, both, routing, protocol, ...
    setting
        The circumstances.
    quantity
        What is claimed about it.
    claimed
        The article's value; a number where it is one.
    unit
        The unit of `claimed`; None where it has none.
    kind
        The head of ``data/claims.yaml`` explains each.
    test
        How this project tests it.
    caution
        What a reader must know before believing a verdict.
    parts
        What it says, each with the range that its words decide.
    settled_by
        The one thing that settles it where a verdict is open, with its command.
    pictures
        The pictures that count; None where pictures decide nothing.

    """

    id: str
    section: str
    subject: str
    setting: str
    quantity: str
    claimed: str | StrictInt | StrictFloat
    kind: Kind
    test: str
    unit: str | None = None
    caution: str | None = None
    parts: tuple[Part, ...] = ()
    settled_by: str | None = None
    pictures: Pictures | None = None

    @property
    def number(self) -> float | None:
        """The claimed number; None where it is none."""
        return None if isinstance(self.claimed, str) else float(self.claimed)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and most of its first part, which for most claims is all of it."""
        return self.parts[0].bounds(self.number)

    @property
    def range(self) -> str | None:
        """What counts as the claim, in words; None where nothing is said of it."""
        words = [part.in_words(self.number, self.unit) for part in self.parts]
        return "; ".join(words) or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Article:
    """Where the claims come from.

    Attributes
    ----------
    title, author, author_role, language
        As the article gives them.
    platform
        Where it was published; None because our copy of the text does not say.
    machine
        The hardware and versions that it names, by part.

    """

    title: str
    author: str
    author_role: str
    platform: str | None
    language: str
    machine: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What was read about a program that the claims name.

    Attributes
    ----------
    name
        The name of the program, or of a class.
    source, read
        Where, with the version, and on what day.
    facts
        Its options with their descriptions, by every spelling; or what its methods do.

    """

    name: str
    source: str
    read: str
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Register:
    __pydantic_config__ = {"extra": "forbid", "str_min_length": 1}  # noqa: RUF012

    article: Article
    claims: tuple[Claim, ...]
    programs: tuple[Program, ...] = ()


@cache
def load_claims() -> tuple[Claim, ...]:
    """Read every claim of ``data/claims.yaml``, in its order.

    Raises
    ------
    TableError
        An unknown key, a missing field, a value of the wrong type, an unknown kind, a
        repeated id.

    """
    return read_claims(data_file("claims.yaml"))


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Read every claim of a file, as `load_claims` does of ``data/claims.yaml``."""
    claims = _read(path).claims
    refuse_repeated(path, (claim.id for claim in claims), TableError)
    return claims


@cache
def load_article() -> Article:
    """Read the identity and the machine of the article from ``data/claims.yaml``."""
    return _read(data_file("claims.yaml")).article


@cache
def load_programs() -> Mapping[str, Program]:
    """Read what ``data/claims.yaml`` says of programs, by name."""
    programs = _read(data_file("claims.yaml")).programs
    return {program.name: program for program in programs}


def _read(path: Path) -> _Register:
    return read_registry(path, _Register, "a register of claims", TableError)
