"""Outlined edges: brighter or darker beside an edge than anything the source has."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region
from evalkit.metrics._tone import ALIKE, Toned, toned

NEAR_PX = 7
EDGE = 0.15
"""Range of luma within 7x7 px from which a place counts as beside an edge."""

LEAST_EDGE_PX = 200
"""Fewer places beside edges, an edge of 30 px, are too few to be averaged."""

NOISES = 2.0
"""Standard deviations of the noise that the output has over the source: that far it
leaves the source's range without any outline."""


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """How far the output leaves the source's range nearby, in per cent of luma."""
    return _where(toned(output, source))[0]


def halo(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Mean overshoot beside the source's edges, in per cent of the range of luma.

    Returns
    -------
    float
        From 0: how far the output's luma lies outside what the source has within 7x7
        px, averaged over the places where that spans at least 0.15. Brightness and
        contrast nearby, and noise that was added, are taken out first. NaN with fewer
        than 200 px beside edges.

    References
    ----------
    Our own; overshoot is what sharpening with clamping forbids, e.g. Russ, The Image
    Processing Handbook, 7th ed., 2016, chapter 5.

    """
    area = region(output, source, mask)
    overshoot, is_beside = _where(toned(output, source))
    area &= is_beside
    return (
        float(overshoot[area].mean()) if area.sum() >= LEAST_EDGE_PX else float("nan")
    )


def _where(pair: Toned) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The overshoot of every place, and which places lie beside an edge."""
    kernel = np.ones((NEAR_PX, NEAR_PX))
    lowest, highest = (
        cv2.erode(pair.expected, kernel),
        cv2.dilate(pair.expected, kernel),
    )
    added = NOISES * np.float32(max(0, pair.output_noise - pair.expected_noise)) ** 0.5
    beyond = np.maximum(pair.output - highest, lowest - pair.output) - added
    is_beside = cv2.morphologyEx(pair.source, cv2.MORPH_GRADIENT, kernel) >= EDGE
    # elsewhere is no outline of the source's edge: see `invention` and `dead_area`
    is_beside &= pair.agreement >= ALIKE
    overshoot: NDArray[np.float32] = 100 * np.maximum(beyond, 0) * is_beside
    return overshoot, is_beside


ENTRIES = (
    Metric(
        name="halo",
        unit="%",
        higher_is_better=False,
        citation="ours; overshoot as in Russ 2016, chapter 5",
        needs="source",
        nan_means="hardly an edge in the source",
        takes_mask=True,
        compute=halo,
        where=where,
    ),
)
