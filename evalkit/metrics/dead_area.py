"""Blocks gone black, white or flat, as a failed network leaves them."""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import luma
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, mean_within
from evalkit.metrics._tone import fitted

WINDOW_PX = 9
SPECK = np.ones((5, 5))
CLIPPED, AWAY = 2 / 255, 16 / 255
FLAT, DETAILED = 1.5 / 255, 12 / 255
STRUCTURE_SIGMA_PX = 3.0


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """1 where the output is dead and the source is not, else 0."""
    out, src = luma(output), luma(source)
    expected = fitted(out, src).clip(0, 1).astype(np.float32)
    kernel = np.ones((WINDOW_PX, WINDOW_PX))
    range_of = partial(cv2.morphologyEx, op=cv2.MORPH_GRADIENT, kernel=kernel)
    is_away = cv2.erode(np.abs(out - expected), kernel) >= AWAY
    is_flat = range_of(out) <= FLAT
    is_clipped = (cv2.dilate(out, kernel) <= CLIPPED) | (
        cv2.erode(out, kernel) >= 1 - CLIPPED
    )
    # noise that was removed leaves a flat ground: only structure can be lost
    structure = cv2.GaussianBlur(expected, (0, 0), STRUCTURE_SIGMA_PX)
    detail = np.minimum(range_of(expected), range_of(structure))
    is_lost = is_flat & ~is_clipped & (detail >= DETAILED)
    is_dead = (
        is_lost | (is_clipped & is_away) | _is_other_ground(out, is_flat & is_away)
    )
    # a speck beside an edge, or a block of JPEG, is no tile
    large = cv2.morphologyEx(is_dead.astype(np.float32), cv2.MORPH_OPEN, SPECK)
    whole: NDArray[np.float32] = cv2.dilate(large, kernel)
    return whole


def _is_other_ground(
    out: NDArray[np.float32], is_flat: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which flat places are of one value to their very ends, as no new light is."""
    from scipy import ndimage

    places, n = ndimage.label(is_flat)
    numbers = np.arange(n + 1)
    highest, lowest = (
        np.asarray(extreme(out, places, numbers))
        for extreme in (ndimage.maximum, ndimage.minimum)
    )
    is_one_value = highest - lowest <= FLAT
    is_one_value[:1] = False  # what is not flat
    return np.asarray(is_one_value[places])


def dead_area(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Share of the picture that has gone black, white or flat, in per cent.

    A saved picture holds no NaN: a network that overflows leaves black, or one value.

    Returns
    -------
    float
        From 0 to 100, the same for a share of the picture at any size: places of 13x13
        px and more that span at most 1 level of 255 in the output while the source
        spans at least 12, also when blurred by 3 px against noise; or that are black,
        white or of one value, all of it at least 16 levels from the source. The
        source is first brought to the output's brightness and contrast.

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
