"""JPEG's blocks, softened or amplified."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import JPEG_BLOCK_PX, LEVEL, blockiness, luma
from evalkit.images import Picture
from evalkit.metrics._spec import Metric, check_same_size


def blockiness_change(output: Picture, source: Picture) -> float:
    """Blockiness of the output less that of the source, in dB.

    Returns
    -------
    float
        Below 0 the blocks were softened, above 0 amplified. The source's blocks are
        taken to begin at its top left corner, as in an uncropped JPEG.

    Raises
    ------
    ImageError
        A picture under 22 px.

    References
    ----------
    See `evalkit.features.blockiness`.

    """
    check_same_size(output, source, "source")
    return blockiness(output) - blockiness(source)


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """The energy that each block's borders add to that within, in levels of 255."""
    return _excess(luma(output)) - _excess(luma(source))


def _excess(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    step = JPEG_BLOCK_PX
    excess = np.zeros_like(plane)
    for axis in (0, 1):
        jumps = np.abs(np.diff(plane, axis=axis, append=plane.take([-1], axis))) / LEVEL
        kernel = (1, step) if axis == 0 else (step, 1)
        along = cv2.blur(jumps, kernel)
        within = cv2.blur(along, kernel[::-1])
        on_grid = np.arange(plane.shape[axis]) % step == step - 1
        lines = on_grid[:, None] if axis == 0 else on_grid[None]
        excess += np.where(lines, along - within, 0)
    spread: NDArray[np.float32] = cv2.dilate(excess, np.ones((step, step)))
    return spread


ENTRIES = (
    Metric(
        name="blockiness_change",
        unit="dB",
        higher_is_better=False,
        citation="after Wang, Bovik & Evans 2000, doi:10.1109/ICIP.2000.899622",
        needs="source",
        compute=blockiness_change,
        where=where,
        where_unit="levels of 255",
    ),
)
