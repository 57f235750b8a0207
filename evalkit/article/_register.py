"""The register of claims, ``data/claims.yaml``, checked as it is read."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import yaml

from evalkit.errors import TableError, UnknownNameError
from evalkit.paths import data_file

KINDS = ("protocol", "rating", "metric", "measure", "upstream", "offer", "rule")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One claim of the article, in our words.

    Attributes
    ----------
    id
        A letter (S protocol, Q quality, G cost, D deployment, R routing) and a number.
    section
        Of the article.
    subject
        What the claim is about: gpen, realesrgan, hybrid, both, routing, protocol, ...
    setting
        Under what circumstances.
    quantity
        What is claimed about it.
    claimed
        The article's value; a number where it is one.
    unit
        Of `claimed`; None where it has none.
    kind
        One of `KINDS`; the head of ``data/claims.yaml`` explains them.
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
    claimed: str | int | float
    kind: str
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
    """What was read of a program that the claims are about.

    Attributes
    ----------
    name
        Of the program, or of a class.
    source, read
        Where, with the version, and on what day.
    facts
        Its options with their descriptions, by every spelling; or what its methods do.

    """

    name: str
    source: str
    read: str
    facts: Mapping[str, str]


T = TypeVar("T", Claim, Article, Program)


@cache
def load_claims() -> tuple[Claim, ...]:
    """Read every claim of ``data/claims.yaml``, in its order.

    Raises
    ------
    UnknownNameError
        A key that is not a field of `Claim`.
    TableError
        A missing field, a value of the wrong type, an unknown kind, a repeated id.

    """
    return read_claims(data_file("claims.yaml"))


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Read every claim of a file, as `load_claims` does of ``data/claims.yaml``."""
    claims = tuple(_make(Claim, entry) for entry in _read(path)["claims"])
    for claim in claims:
        _check(claim)
    ids = [claim.id for claim in claims]
    repeated = sorted({id_ for id_ in ids if ids.count(id_) > 1})
    if repeated:
        raise TableError(f"{path}: claims given twice: {', '.join(repeated)}")
    return claims


@cache
def load_article() -> Article:
    """Read the identity and the machine of the article from ``data/claims.yaml``."""
    entry = dict(_read(data_file("claims.yaml"))["article"])
    return _make(Article, entry | {"machine": MappingProxyType(entry["machine"])})


@cache
def load_programs() -> Mapping[str, Program]:
    """Read what ``data/claims.yaml`` says of programs, by name."""
    entries = _read(data_file("claims.yaml"))["programs"]
    return {entry["name"]: _make(Program, entry) for entry in entries}


def _read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = {"article", "claims"}
    if not isinstance(content, dict) or set(content) - {"programs"} != keys:
        raise TableError(f"{path}: expected the keys article and claims")
    return content


def _make(kind: type[T], entry: Mapping[str, Any]) -> T:
    name = f"{kind.__name__.lower()} {entry.get('id', '')}".strip()
    known = {field.name: field for field in fields(kind)}
    for key in entry:
        if key not in known:
            raise UnknownNameError(f"field of {name}", key, known)
    missing = [
        field.name
        for field in known.values()
        if field.default is MISSING and field.name not in entry
    ]
    if missing:
        raise TableError(f"{name}: missing {', '.join(missing)}")
    return kind(**entry)


def _check(claim: Claim) -> None:
    """Raise `TableError` for a value that is not what its field expects."""
    for field in fields(claim):
        value = getattr(claim, field.name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if isinstance(value, str) and value:
            continue
        if value is None and field.default is None:
            continue
        if is_number and field.name == "claimed":
            continue
        expected = "text or a number" if field.name == "claimed" else "text"
        raise TableError(
            f"claim {claim.id}: {field.name} expected {expected}, got {value!r}"
        )
    if claim.kind not in KINDS:
        raise TableError(
            f"claim {claim.id}: kind expected {', '.join(KINDS)}, got {claim.kind!r}"
        )
