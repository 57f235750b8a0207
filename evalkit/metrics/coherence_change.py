"""Strands and outlines that lost their one direction (jagged), or gained it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import LEVEL, luma
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region

SIGMA_PX = 2.0


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """Coherence of the output less the source's, in [-1, 1]."""
    change: NDArray[np.float32] = _tensor(output)[0] - _tensor(source)[0]
    return change


def coherence_change(
    output: Picture, source: Picture, mask: Mask | None = None
) -> float:
    """Edges and strands that turned jagged (below 0) or straight: change of coherence.

    Returns
    -------
    float
        In [-1, 1], each pixel weighing as much as the source's gradient there: below 0
        edges are jagged or crossed by others, above 0 straightened. Noise that was
        added counts as crossed, noise that was removed as straightened.

    References
    ----------
    Coherence of the structure tensor (Gaussian of 2 px): Weickert, Coherence-enhancing
    diffusion filtering, IJCV 31, 1999, doi:10.1023/A:1008009714131, normalised as
    ``(l1 - l2) / (l1 + l2)``, with l1 and l2 its eigenvalues.

    """
    area = region(output, source, mask)
    before, energy = _tensor(source)
    change = _tensor(output)[0] - before
    return float(np.average(change[area], weights=energy[area]))


def _tensor(picture: Picture) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coherence, and the energy of the gradient, of every place."""
    plane = luma(picture)
    across = cv2.Sobel(plane, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(plane, cv2.CV_32F, 0, 1, scale=1 / 8)
    xx, yy, xy = (
        cv2.GaussianBlur(product, (0, 0), SIGMA_PX)
        for product in (across * across, down * down, across * down)
    )
    energy = xx + yy + np.float32(LEVEL**2)
    return np.hypot(xx - yy, 2 * xy) / energy, energy


ENTRIES = (
    Metric(
        name="coherence_change",
        unit="",
        higher_is_better=None,
        citation="after Weickert 1999, doi:10.1023/A:1008009714131",
        needs="source",
        takes_mask=True,
        compute=coherence_change,
        where=where,
    ),
)
