"""Outlined edges: brighter or darker beside an edge than anything the source has."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import luma
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region

NEAR_PX = 7
EDGE = 0.15
"""Range of luma within 7x7 px from which a place counts as beside an edge."""


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """How far the output leaves the source's range nearby, in per cent of luma."""
    lowest, highest = _range(source)
    out = luma(output)
    beyond = np.maximum(out - highest, 0) + np.maximum(lowest - out, 0)
    near: NDArray[np.float32] = 100 * beyond * (highest - lowest >= EDGE)
    return near


def halo(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Mean overshoot beside the source's edges, in per cent of the range of luma.

    Returns
    -------
    float
        From 0: how far the output's luma lies outside what the source has within 7x7
        px, averaged over the places where that spans at least 0.15; 0 without edges.

    References
    ----------
    Our own; overshoot is what sharpening with clamping forbids, e.g. Russ, The Image
    Processing Handbook, 7th ed., 2016, chapter 5.

    """
    lowest, highest = _range(source)
    area = region(output, source, mask) & (highest - lowest >= EDGE)
    return float(where(output, source)[area].mean()) if area.any() else 0.0


def _range(source: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    plane, kernel = luma(source), np.ones((NEAR_PX, NEAR_PX))
    return cv2.erode(plane, kernel), cv2.dilate(plane, kernel)


ENTRIES = (
    Metric(
        name="halo",
        unit="%",
        higher_is_better=False,
        citation="ours; overshoot as in Russ 2016, chapter 5",
        needs="source",
        takes_mask=True,
        compute=halo,
        where=where,
    ),
)
