"""From a network's output to levels, where it lies: in NumPy or on PyTorch's device."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Values: TypeAlias = Any
"""An array of NumPy or a tensor of PyTorch, float32: `library_of` has what works on it.

Both know the names and arguments that are used here: NumPy 2 follows the Python array
API standard, PyTorch most of it."""

Then: TypeAlias = Callable[[Values], list[Values]]
"""What is done to a batch's output, ``(N, C, H, W)``, before it leaves the device."""

Finish: TypeAlias = Callable[[], list[NDArray[Any]]]
"""Waits for the device, and gives what a `Then` gave."""


def library_of(values: Values) -> Any:
    """NumPy or PyTorch, whichever made `values`."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch


def ends(values: Values) -> Values:
    """The least and the largest value, ``(2,)``; both NaN where any value is."""
    return library_of(values).stack([values.min(), values.max()])


def to_levels(values: Values, dtype: DTypeLike, *, truncate: bool = False) -> Values:
    """Make levels of values in [0, 1], which are lost.

    Parameters
    ----------
    values
        NaN gives any level.
    dtype
        uint8 or uint16.
    truncate
        Cut down to levels; else round, halves to the even one.

    """
    library, kind = library_of(values), np.dtype(dtype)
    values *= int(np.iinfo(kind).max)
    if not truncate:
        values = library.round(values, out=values)
    with np.errstate(invalid="ignore"):
        return library.asarray(values, dtype=getattr(library, kind.name))
