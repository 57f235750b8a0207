"""The metrics: one file each, found by themselves; secondary to the pictures."""

import sys
from collections.abc import Mapping
from functools import cache

from evalkit.discover import discover
from evalkit.metrics._spec import Metric, check_same_size

__all__ = ["Metric", "check_same_size", "metrics"]


@cache
def metrics() -> Mapping[str, Metric]:
    """Every metric by name."""
    return discover(sys.modules[__name__], Metric)
