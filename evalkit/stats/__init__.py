"""Statistics of ratings: tables in, tables out; no model, no picture, no figure.

Each statistic is one private module that lists what it offers in ``__all__``; the
package finds them and offers their names, all loaded at the first use. `confidence` is
the coverage of an interval; `n_resamples` and `seed` are those of its bootstrap.
"""

import importlib
import pkgutil
from functools import cache
from typing import Any


@cache
def _statistics() -> dict[str, Any]:
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return {
        name: getattr(module, name) for module in modules for name in module.__all__
    }


def __getattr__(name: str) -> Any:
    if name.startswith("__") or name not in _statistics():
        raise AttributeError(f"no such name in {__name__}: {name!r}")
    return _statistics()[name]


def __dir__() -> list[str]:
    return sorted(_statistics())
