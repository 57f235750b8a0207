"""The one way in which files, and entry points of other packages, are found.

Each module of a room lists its ``ENTRIES``. A module of another installed package does,
too: its distribution names it under the room's import name, as in ::

    [project.entry-points."evalkit.restorers"]
    mine = "my_package.my_restorers"
"""

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType, ModuleType
from typing import Any, NoReturn, Protocol, TypeVar

from evalkit.errors import EvalkitError


class PluginWarning(UserWarning):
    """An entry point of another package gives nothing; the others are there."""


class Named(Protocol):
    """Anything registered under a name."""

    @property
    def name(self) -> str:
        """Unique within its room."""
        ...


T = TypeVar("T")
N = TypeVar("N", bound=Named)


def discover(package: ModuleType, kind: type[N]) -> Mapping[str, N]:
    """Collect the ``ENTRIES`` of every public module of `package`, by name.

    Those of other packages' entry points follow, from the group named like `package`.
    A broken one is left out with a `PluginWarning` that names it, as xarray does: it
    must not break what does not need it.

    Raises
    ------
    EvalkitError
        A module of `package` without ``ENTRIES``, an entry that is not a `kind`, or a
        name that is taken.

    """
    names = [name for name in _module_names(package) if not name.startswith("_")]
    return _collect(package, names, partial(_entries, kind=kind))


def discover_names(package: ModuleType) -> Mapping[str, Any]:
    """Collect what every module of `package`, also a private one, has in ``__all__``.

    The rest is as in `discover`.
    """
    return _collect(package, _module_names(package), _listed)


def _module_names(package: ModuleType) -> list[str]:
    return sorted(info.name for info in pkgutil.iter_modules(package.__path__))


def _collect(
    package: ModuleType, names: list[str], read: Callable[[Any], Mapping[str, T]]
) -> Mapping[str, T]:
    collected: dict[str, T] = {}

    def add(module: Any) -> None:
        offered = read(module)
        for name in offered:
            if name in collected:
                _refuse(module, f"the name {name!r} is taken")
        collected.update(offered)

    for name in names:
        add(importlib.import_module(f"{package.__name__}.{name}"))
    for point in entry_points(group=package.__name__):
        try:
            add(point.load())
        except (Exception, SystemExit) as error:  # noqa: BLE001, whatever it does
            warnings.warn(_broken(point, error), PluginWarning, stacklevel=2)
    return MappingProxyType(collected)


def _entries(module: Any, kind: type[N]) -> Mapping[str, N]:
    if not hasattr(module, "ENTRIES"):
        _refuse(module, "defines no ENTRIES")
    entries: dict[str, N] = {}
    for entry in module.ENTRIES:
        if not isinstance(entry, kind):
            _refuse(module, f"{entry!r} is not a {kind.__name__}")
        if entry.name in entries:
            _refuse(module, f"the name {entry.name!r} is taken")
        entries[entry.name] = entry
    return entries


def _listed(module: Any) -> Mapping[str, Any]:
    return {name: getattr(module, name) for name in module.__all__}


def _broken(point: EntryPoint, error: BaseException) -> str:
    owner = f"{point.dist.name} {point.dist.version}" if point.dist else "a package"
    reason = error if isinstance(error, EvalkitError) else repr(error)
    return (
        f"{owner} is left out of {point.group}: its entry point {point.name} = "
        f"{point.value} gives nothing: {reason}; mend or uninstall {owner}"
    )


def _refuse(module: Any, reason: str) -> NoReturn:
    raise EvalkitError(f"{getattr(module, '__name__', module)!s}: {reason}")
