"""Black or flat blocks where the source had a picture: what a failed network leaves."""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import luma
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, mean_within

WINDOW_PX = 9
BLACK, LIT = 2 / 255, 16 / 255
FLAT, DETAILED = 1.5 / 255, 12 / 255
STRUCTURE_SIGMA_PX = 2.0


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """1 where the output is dead and the source is not, else 0."""
    out, src = luma(output), luma(source)
    kernel = np.ones((WINDOW_PX, WINDOW_PX))
    range_of = partial(cv2.morphologyEx, op=cv2.MORPH_GRADIENT, kernel=kernel)
    is_black = (cv2.dilate(out, kernel) <= BLACK) & (cv2.erode(src, kernel) >= LIT)
    # noise that was removed leaves a flat ground: only structure can be lost
    structure = cv2.GaussianBlur(src, (0, 0), STRUCTURE_SIGMA_PX)
    detail = np.minimum(range_of(src), range_of(structure))
    is_flat = (range_of(out) <= FLAT) & (detail >= DETAILED)
    dead: NDArray[np.float32] = (is_black | is_flat).astype(np.float32)
    return dead


def dead_area(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Share of the picture that has gone black or flat, in per cent.

    A saved picture holds no NaN: a network that overflows leaves black, or one value.

    Returns
    -------
    float
        From 0 to 100: pixels whose 9x9 px in the output are all at most 2 levels of
        255 while the source's are all at least 16, or span at most 1 level while the
        source's span at least 12, also when blurred by 2 px against noise.

    References
    ----------
    Our own; the defect: Real-ESRGAN issues 330 and 479, GFPGAN issue 116.

    """
    return 100 * mean_within(where, output, source, mask)


ENTRIES = (
    Metric(
        name="dead_area",
        unit="%",
        higher_is_better=False,
        citation="ours; the defect: github.com/xinntao/Real-ESRGAN issue 330",
        needs="source",
        takes_mask=True,
        compute=dead_area,
        where=where,
        where_unit="(1: here)",
    ),
)
