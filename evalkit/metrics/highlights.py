"""New highlights: burnt out or shiny in the output, not so in the source."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import luma
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, mean_within

BURNT, SAFE = 0.96, 0.90
NEAR_PX = 5
SPECK = np.ones((3, 3))
"""Burnt places smaller than this, in px, are the overshoot of edges; see `halo`."""


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """1 where a highlight is new, else 0."""
    # restored edges move by a pixel or two: only light far from any light is new
    near = cv2.dilate(luma(source), np.ones((NEAR_PX, NEAR_PX)))
    burnt = (luma(output) >= BURNT).astype(np.float32)
    burnt = cv2.morphologyEx(burnt, cv2.MORPH_OPEN, SPECK)
    new: NDArray[np.float32] = burnt * (near < SAFE)
    return new


def highlights(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Share of the picture with new highlights, in per cent.

    Returns
    -------
    float
        From 0 to 100: pixels whose luma is at least 0.96 in the output, there in
        places of 3x3 px and more, and under 0.90 in the source and in all of its 5x5
        px. A shine over a share of the picture has one value at any size.

    References
    ----------
    Our own; the complaints: "shiny forehead", "as if by a fill-in light".

    """
    return 100 * mean_within(where, output, source, mask)


ENTRIES = (
    Metric(
        name="highlights",
        unit="%",
        higher_is_better=False,
        citation="ours; luma: ITU-R BT.601",
        needs="source",
        takes_mask=True,
        compute=highlights,
        where=where,
        where_unit="(1: here)",
    ),
)
