"""Fine texture lost (plastic, wax) or exaggerated (over-sharpened)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import LEVEL
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region
from evalkit.metrics._tone import toned

FINE_SIGMA_PX, WINDOW_SIGMA_PX = 1.5, 6.0

NOISE_SHARE = 0.894
"""Of white noise's variance, what is left when a Gaussian of 1.5 px is taken off:
``1 - 2 / (2 pi s^2) + 1 / (4 pi s^2)``."""

UNSURE = 0.5
"""Detail weaker than this share of the noise's variance cannot be told from noise."""


LEAST_SHARE = 0.01
"""Of the region: where less has detail, its median says nothing of the rest."""


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """Local energy of the output's fine detail over the source's, in dB."""
    return _where(output, source)[0]


def _where(
    output: Picture, source: Picture
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The ratio of every place, and which places have detail, before or after."""
    pair = toned(output, source)
    noise = max(pair.output_noise, pair.source_noise)
    floor = np.float32(LEVEL**2 + UNSURE * noise)
    after = _energy(pair.output, pair.output_noise)
    before = _energy(pair.gain * pair.source, pair.source_noise)
    ratio: NDArray[np.float32] = 10 * np.log10((after + floor) / (before + floor))
    return ratio, np.maximum(before, after) >= floor


def texture_energy(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Fine detail against the source's, in dB: plastic below 0, over-sharpened above.

    Returns
    -------
    float
        The median of the places that have detail in either; NaN where hardly any has.
        Contrast nearby is taken out first, and so is the
        noise of both: removing it is no smoothing, adding it no detail.

    Notes
    -----
    Detail is luma less its Gaussian blur of 1.5 px; energy its square, averaged by a
    Gaussian of 6 px, less the energy of noise. One level of 255 squared, and half of
    the noise's variance, are added: what cannot be told from noise counts little.

    References
    ----------
    Our own; a band of the pyramid of Burt & Adelson, The Laplacian pyramid as a
    compact image code, IEEE Trans. Communications 31(4), 1983.

    """
    area = region(output, source, mask)
    ratio, is_detailed = _where(output, source)
    detailed = ratio[area & is_detailed]
    is_enough = len(detailed) > LEAST_SHARE * area.sum()
    return float(np.median(detailed)) if is_enough else float("nan")


def _energy(plane: NDArray[np.float32], noise: float) -> NDArray[np.float32]:
    detail = plane - cv2.GaussianBlur(plane, (0, 0), FINE_SIGMA_PX)
    energy = cv2.GaussianBlur(np.square(detail), (0, 0), WINDOW_SIGMA_PX)
    above: NDArray[np.float32] = np.maximum(energy - NOISE_SHARE * noise, 0)
    return above


ENTRIES = (
    Metric(
        name="texture_energy",
        unit="dB",
        higher_is_better=None,
        citation="ours; a band of Burt & Adelson 1983, doi:10.1109/TCOM.1983.1095851",
        needs="source",
        nan_means="hardly any detail above the noise, before or after",
        takes_mask=True,
        compute=texture_energy,
        where=where,
    ),
)
