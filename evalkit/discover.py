"""The registry that finds its files: each module of a room lists its ``ENTRIES``."""

import importlib
import pkgutil
from collections.abc import Mapping
from types import MappingProxyType, ModuleType
from typing import NoReturn, Protocol, TypeVar

from evalkit.errors import EvalkitError


class Named(Protocol):
    """Anything registered under a name."""

    @property
    def name(self) -> str:
        """Unique within its room."""
        ...


T = TypeVar("T", bound=Named)


def discover(package: ModuleType, kind: type[T]) -> Mapping[str, T]:
    """Collect the ``ENTRIES`` of every public module of `package`, by name.

    Raises
    ------
    EvalkitError
        A module without ``ENTRIES``, an entry that is not a `kind`, or a name
        that is taken.

    """
    entries: dict[str, T] = {}
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda i: i.name):
        if info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        if not hasattr(module, "ENTRIES"):
            _refuse(module, "defines no ENTRIES")
        for entry in module.ENTRIES:
            if not isinstance(entry, kind):
                _refuse(module, f"{entry!r} is not a {kind.__name__}")
            if entry.name in entries:
                _refuse(module, f"the name {entry.name!r} is taken")
            entries[entry.name] = entry
    return MappingProxyType(entries)


def _refuse(module: ModuleType, reason: str) -> NoReturn:
    raise EvalkitError(f"{module.__name__}: {reason}")
