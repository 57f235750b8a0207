"""The register of claims, ``data/claims.yaml``, checked as it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import StrictFloat, StrictInt

from evalkit.errors import TableError
from evalkit.errors.yaml import read_registry, refuse_repeated
from evalkit.paths import data_file

Kind: TypeAlias = Literal[
    "protocol", "rating", "metric", "measure", "upstream", "offer", "rule"
]


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
