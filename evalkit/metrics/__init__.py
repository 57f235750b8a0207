"""The metrics: one file each, found by themselves; secondary to the pictures."""

import sys
from collections.abc import Mapping
from functools import cache

from evalkit.discover import discover
from evalkit.metrics._spec import Mask, Metric, check_same_size, region

__all__ = ["Mask", "Metric", "check_same_size", "metrics", "region"]


@cache
def metrics() -> Mapping[str, Metric]:
    """Every metric by name."""
    return discover(sys.modules[__name__], Metric)
