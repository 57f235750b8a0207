"""The registry of weights: what exists, whose it is, how it is known.

It is ``data/weights.yaml``. A second file of the same form, named by
``$EVALKIT_WEIGHTS``, is merged over it: an entry or a notice with a name of the first
replaces it. So one's own weights, or a stand-in for a test, are registered without a
change to the package.
"""

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from evalkit.errors import WeightsError
from evalkit.errors.yaml import read_registry, refuse_repeated
from evalkit.paths import data_file


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredFile:
    """One file, known by its bytes.

    Attributes
    ----------
    file
        Its name in our cache, or its path within the package that carries it.
    size_bytes, sha256
        None where nobody has confirmed them: such a file is never fetched.
    urls
        The publisher's first, then copies of the same bytes.
    note
        Where size and digest come from, and what is peculiar.

    """

    file: str
    size_bytes: int | None
    sha256: str | None
    note: str
    urls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if (self.size_bytes is None) != (self.sha256 is None):
            raise ValueError("expected both of size_bytes and sha256, or neither")
        if self.sha256 and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError(f"expected 64 hexadecimal digits, got {self.sha256!r}")
        if Path(self.file).is_absolute() or ".." in Path(self.file).parts:
            raise ValueError(f"expected a relative path, got {self.file!r}")
        for url in self.urls:
            if not url.startswith(("https://", "http://")):
                raise ValueError(f"expected an http(s) address, got {url!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedWeights:
    """Weights in ncnn's format inside an installed package.

    Attributes
    ----------
    package
        Its import name; it is never imported.
    param, bin
        The description of the layers and their values, side by side.

    """

    package: str
    param: RegisteredFile
    bin: RegisteredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """The weights of one network.

    Attributes
    ----------
    name
        Kebab-case; unique.
    network
        The architecture that they fit.
    licence
        Of the weights, as far as their publisher states it.
    citation
        The paper or repository they come from.
    files
        Files that hold them, the publisher's first; any of them will do.
    accept
        The notice that must be acknowledged before a download.
    carried_by
        The packages that have them too; the first that is installed counts.
    needs
        The package that defines the network, where it is not ours.

    """

    name: str
    network: str
    licence: str
    citation: str
    files: tuple[RegisteredFile, ...]
    accept: str | None = None
    carried_by: tuple[CarriedWeights, ...] = ()
    needs: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Registry:
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    weights: tuple[WeightsFile, ...]
    notices: dict[str, str]


def registry() -> Mapping[str, WeightsFile]:
    """All weights by name, in the order of the files.

    Raises
    ------
    WeightsError
        A registry file that cannot be read, has an unknown key or a wrong value,
        names something twice or a notice that does not exist.

    """
    return MappingProxyType(_merged()[0])


def notice(accept: str) -> str:
    """The text to acknowledge before weights with this `accept` are downloaded."""
    return _merged()[1][accept]


def unaccepted(name: str, accept: Collection[str] = ()) -> str | None:
    """The notice of registered weights, by its name, if nobody has accepted it.

    `accept` as in `evalkit.weights.fetch`. It counts for a file on this machine, too.
    """
    notice_name = registry()[name].accept
    accepted = {*accept, *os.environ.get("EVALKIT_ACCEPT", "").split(",")}
    return None if notice_name in accepted else notice_name


def _merged() -> tuple[dict[str, WeightsFile], dict[str, str]]:
    paths = [data_file("weights.yaml")]
    if extra := os.environ.get("EVALKIT_WEIGHTS"):
        paths.append(Path(extra).expanduser())
    weights: dict[str, WeightsFile] = {}
    notices: dict[str, str] = {}
    for path in paths:
        try:
            state = path.stat()
            content = _read(path, state.st_mtime_ns, state.st_size)
        except OSError as error:
            raise WeightsError(f"no registry of weights at {path}: {error}") from error
        weights |= {entry.name: entry for entry in content.weights}
        notices |= content.notices
    _check(weights, notices)
    return weights, notices


@cache
def _read(path: Path, _mtime_ns: int, _size_bytes: int) -> _Registry:
    content = read_registry(path, _Registry, "a registry of weights", WeightsError)
    refuse_repeated(path, (entry.name for entry in content.weights), WeightsError)
    return content


def _check(weights: Mapping[str, WeightsFile], notices: Mapping[str, str]) -> None:
    """Refuse a notice that does not exist, and two files under one name."""
    files: set[str] = set()
    for entry in weights.values():
        if entry.accept is not None and entry.accept not in notices:
            raise WeightsError(
                f"weights {entry.name}: expected accept to be one of "
                f"{sorted(notices)}, got {entry.accept!r}"
            )
        for file in entry.files:
            if file.file in files:
                raise WeightsError(
                    f"weights {entry.name}: the file {file.file} is named twice"
                )
            files.add(file.file)
