"""What a metric is, and the one way in which metrics read pictures."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ImageError
from evalkit.images import Picture, check_picture

STRIP_PX = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """All that a table must know of a metric.

    Attributes
    ----------
    name
        Snake case; the value of the column ``metric``.
    unit
        Of the value; empty for a number without one.
    higher_is_better
        None for a signed quantity that is best at 0.
    citation
        Where the formula comes from.
    needs
        The second argument of `compute`: the pristine ``reference``, the ``source``
        that was restored, or the ``borders`` of the tiles it was restored in.
    takes_mask
        `compute` has a keyword ``mask`` that limits it to a region.
    compute
        ``compute(output, <what it needs>)``; a float, not rounded.

    """

    name: str
    unit: str
    higher_is_better: bool | None
    citation: str
    needs: Literal["reference", "source", "borders"]
    compute: Callable[..., float]
    takes_mask: bool = False


def rgb(picture: Picture) -> NDArray[np.float64]:
    """A picture as RGB in [0, 1], as every metric reads it.

    Parameters
    ----------
    picture
        See `evalkit.images.Picture`.

    Returns
    -------
    ndarray
        Shape ``(height, width, 3)``, sRGB-encoded, in [0, 1]: divided by 255 or
        65535, so two depths can be compared. Grey stands in all three channels.
        A picture with alpha is laid over mid-grey (0.5), since the colour of a
        transparent pixel means nothing.

    Raises
    ------
    ImageError
        As `evalkit.images.check_picture`.

    """
    check_picture(picture)
    values = picture / np.float64(np.iinfo(picture.dtype).max)
    if values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=2)
    if values.shape[2] == 4:
        alpha = values[..., 3:]
        return values[..., :3] * alpha + 0.5 * (1 - alpha)
    return values


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


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a picture of this shape, some at a time, so that memory stays small."""
    step = max(1, STRIP_PX // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))
