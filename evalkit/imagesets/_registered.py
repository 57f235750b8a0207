"""The registered public pictures of ``data/images.yaml``: found or fetched."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalkit.errors import ImageError
from evalkit.errors.yaml import read_registry, refuse_repeated
from evalkit.paths import cache_dir, data_file
from evalkit.weights import fetch_file


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredPicture:
    """One entry of the registry.

    Attributes
    ----------
    name
        Unique.
    kind
        Its class: portrait, group, mixed, building, text, product, surveillance or
        gpen-official.
    file
        Its name in our cache.
    size_bytes, sha256
        The size and digest that identify the file.
    width_px, height_px
        The size of the upright picture.
    origin, url
        Repository, and the address at a pinned commit; None where no address gives
        these bytes.
    licence
        The repository's licence.
    note
        What it shows.

    """

    name: str
    kind: str
    file: str
    size_bytes: int
    sha256: str
    width_px: int
    height_px: int
    origin: str
    url: str | None
    licence: str
    note: str

    def fetch(self) -> Path:
        """The file: from our cache or a mirror, else downloaded.

        Raises
        ------
        WeightsError
            It cannot be had; the text says what to do.

        """
        path, _ = fetch_file(
            [self.url] if self.url else [],
            file_name=self.file,
            size_bytes=self.size_bytes,
            sha256=self.sha256,
            folder=cache_dir() / "pictures",
        )
        return path

    def facts(self, source: str, **changes: Any) -> dict[str, Any]:
        """Its columns of the table `evalkit.tables.IMAGES`, and `changes`."""
        columns = ("kind", "origin", "url", "licence", "note")
        facts = {name: value for name, value in asdict(self).items() if name in columns}
        told = {"source": source, "original": self.name, "is_synthetic": False}
        return {**told, **facts, **changes}


@dataclass(frozen=True, slots=True)
class _Registry:
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012

    pictures: tuple[RegisteredPicture, ...]


@cache
def registered() -> Mapping[str, RegisteredPicture]:
    """Every registered picture by name, in the order of the file."""
    return read_pictures(data_file("images.yaml"))


def read_pictures(path: Path) -> Mapping[str, RegisteredPicture]:
    """The pictures of a file such as ``data/images.yaml``.

    Raises
    ------
    ImageError
        An unknown key, a wrong value, a name given twice.

    """
    registry = read_registry(path, _Registry, "a registry of pictures", ImageError)
    refuse_repeated(path, (picture.name for picture in registry.pictures), ImageError)
    return MappingProxyType({picture.name: picture for picture in registry.pictures})
