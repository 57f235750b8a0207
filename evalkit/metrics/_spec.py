"""What a metric is, and the checks of its arguments."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ImageError
from evalkit.images import Picture, check_picture

Mask: TypeAlias = NDArray[np.bool_]
"""Shape ``(height, width)``: the pixels that count; not all false."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """All that a table must know of a metric.

    `compute` and `where` take pictures of one height and width; depth and channels may
    differ. Luma and colours are those of `evalkit.features.rgb`. No picture, two sizes
    or an unfit mask is an `ImageError`.

    Attributes
    ----------
    name
        Snake case; the value of the column ``metric``.
    unit
        The value's unit; empty for a number without one.
    higher_is_better
        None for a signed quantity that is best at 0.
    citation
        Where the formula comes from.
    needs
        The second argument of `compute`: the pristine ``reference``, the ``source``
        that was restored, or the ``borders`` of the tiles it was restored in;
        ``nothing`` where the output is the only one.
    shows
        What a picture must show to be measured, else the value is NaN; empty for any.
    nan_means
        Why the value may be NaN, in words; empty where it never is.
    takes_mask
        `compute` has a keyword ``mask`` that limits it to a region (skin, hair): a
        `Mask`, or None for all.
    compute
        ``compute(output, <what it needs>)``; a float, not rounded.
    where
        ``where(output, source)`` gives ``(height, width)``, float32: how much each
        pixel adds to the defect, 0 for none; below 0 for the opposite. None for a
        metric without a place.
    where_unit
        The unit of that map, where it is not `unit`.

    """

    name: str
    unit: str
    higher_is_better: bool | None
    citation: str
    needs: Literal["reference", "source", "borders", "nothing"]
    compute: Callable[..., float]
    shows: Literal["", "text", "faces"] = ""
    nan_means: str = ""
    takes_mask: bool = False
    where: Callable[[Picture, Picture], NDArray[np.float32]] | None = None
    where_unit: str | None = None


def check_same_size(output: Picture, other: Picture, name: str) -> None:
    """Accept two pictures of one height and width; channels and depth may differ.

    Raises
    ------
    ImageError
        As `evalkit.images.check_picture`, or two sizes.

    """
    check_picture(output)
    check_picture(other)
    if output.shape[:2] != other.shape[:2]:
        raise ImageError(
            f"expected an output of the {name}'s size {other.shape[:2]}, got "
            f"{output.shape[:2]}; resample it first and say how"
        )


def mean_within(
    where: Callable[[Picture, Picture], NDArray[np.float32]],
    output: Picture,
    source: Picture,
    mask: Mask | None,
) -> float:
    """The mean of a metric's map over the pixels that count; errors as in `region`."""
    area = region(output, source, mask)
    return float(where(output, source)[area].mean())


def region(output: Picture, source: Picture, mask: Mask | None) -> Mask:
    """The pixels that count; all of them without a mask.

    Raises
    ------
    ImageError
        As `check_same_size`; a mask of another size or type, or an empty one.

    """
    check_same_size(output, source, "source")
    if mask is None:
        return np.ones(source.shape[:2], bool)
    if mask.shape != source.shape[:2] or mask.dtype != np.bool_:
        raise ImageError(
            f"expected a mask of booleans of shape {source.shape[:2]}, got "
            f"{mask.dtype} of shape {mask.shape}"
        )
    if not mask.any():
        raise ImageError("the mask holds no pixel: there is nothing to compare")
    return mask
