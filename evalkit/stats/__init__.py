"""Statistics of ratings: tables in, tables out; no model, no picture, no figure.

Each statistic is one private module that lists what it offers in ``__all__``; the
package finds them and offers their names, all loaded at the first use. `confidence` is
the coverage of an interval; `n_resamples` and `seed` are those of its bootstrap.
"""

import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from evalkit.discover import discover_names


@cache
def _statistics() -> Mapping[str, Any]:
    return discover_names(sys.modules[__name__])


def __getattr__(name: str) -> Any:
    if name.startswith("__"):  # Python looks for these; no statistic is meant
        raise AttributeError(name)
    if name not in _statistics():
        names = ", ".join(_statistics())
        raise AttributeError(f"no such name in {__name__}: {name!r}; known: {names}")
    return _statistics()[name]


def __dir__() -> list[str]:
    return sorted(_statistics())
