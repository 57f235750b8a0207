"""Names that are imported when they are first used (PEP 562)."""

import gc
import importlib
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any


def import_modules(names: Iterable[str]) -> list[ModuleType]:
    """Import without the garbage collector, which takes a fifth of the time.

    What modules make stays: there is next to nothing to collect.
    """
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return [importlib.import_module(name) for name in names]
    finally:
        if is_collecting:
            gc.enable()


def lazy(names: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """Make a package's ``__getattr__`` and ``__all__``.

    Of each name the module that it comes from; the module itself where that ends in
    the name.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"no such name: {name!r}; known: {', '.join(names)}")
        (module,) = import_modules([names[name]])
        is_module = module.__name__.rpartition(".")[2] == name
        return module if is_module else getattr(module, name)

    return find, sorted(names)
