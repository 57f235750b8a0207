"""What metrics of a source against its output share: sizes, masks, weights."""

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ImageError
from evalkit.images import Picture
from evalkit.metrics._spec import check_same_size

Mask = NDArray[np.bool_]


def region(output: Picture, source: Picture, mask: Mask | None) -> Mask:
    """The pixels that count, ``(height, width)``; all of them without a mask.

    Raises
    ------
    ImageError
        Not pictures, of two sizes, a mask of another size or type, or an empty one.

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
