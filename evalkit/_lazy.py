"""Names that are imported when they are first used (PEP 562)."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(names: Mapping[str, str]) -> tuple[Callable[[str], Any], list[str]]:
    """Make a package's ``__getattr__`` and ``__all__``.

    Of each name the module that it comes from; the module itself where that ends in
    the name.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"no such name: {name!r}; known: {', '.join(names)}")
        module = importlib.import_module(names[name])
        is_module = module.__name__.rpartition(".")[2] == name
        return module if is_module else getattr(module, name)

    return find, sorted(names)
