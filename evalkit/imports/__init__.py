"""Names that are imported when they are first used (PEP 562)."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lazy_loader


@contextmanager
def without_collector() -> Iterator[None]:
    """Import without the garbage collector, which takes a fifth of the time.

    What modules make stays: there is next to nothing to collect.
    """
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()


def attach_stub(package: str, file: str) -> tuple[Callable[[str], Any], Any, list[str]]:
    """Make a package's ``__getattr__``, ``__dir__`` and ``__all__`` of its stub.

    As `lazy_loader.attach_stub`, which knows the names from the ``__init__.pyi`` beside
    `file`; but without the garbage collector, and with the names in the error.
    """
    attach, list_names, names = lazy_loader.attach_stub(package, file)

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(
                f"no such name in {package}: {name!r}; known: {', '.join(names)}"
            )
        with without_collector():
            return attach(name)

    return find, list_names, names
