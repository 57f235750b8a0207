"""Fine texture lost (plastic, wax) or exaggerated (over-sharpened)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import LEVEL, luma
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region

FINE_SIGMA_PX, WINDOW_SIGMA_PX = 1.5, 6.0


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """Local energy of the output's fine detail over the source's, in dB."""
    ratio: NDArray[np.float32] = 10 * np.log10(_energy(output) / _energy(source))
    return ratio


def texture_energy(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Fine detail against the source's, in dB: plastic below 0, over-sharpened above.

    Returns
    -------
    float
        The median of all places. Noise that was removed counts as smoothing: read it
        beside `noise_level` of the source.

    Notes
    -----
    Detail is luma less its Gaussian blur of 1.5 px; energy its square, averaged by a
    Gaussian of 6 px, and one level of 255 squared.

    References
    ----------
    Our own; a band of the pyramid of Burt & Adelson, The Laplacian pyramid as a
    compact image code, IEEE Trans. Communications 31(4), 1983.

    """
    area = region(output, source, mask)
    return float(np.median(where(output, source)[area]))


def _energy(picture: Picture) -> NDArray[np.float32]:
    plane = luma(picture)
    detail = plane - cv2.GaussianBlur(plane, (0, 0), FINE_SIGMA_PX)
    energy: NDArray[np.float32] = cv2.GaussianBlur(
        np.square(detail), (0, 0), WINDOW_SIGMA_PX
    )
    return energy + np.float32(LEVEL**2)


ENTRIES = (
    Metric(
        name="texture_energy",
        unit="dB",
        higher_is_better=None,
        citation="ours; a band of Burt & Adelson 1983, doi:10.1109/TCOM.1983.1095851",
        needs="source",
        takes_mask=True,
        compute=texture_energy,
        where=where,
    ),
)
