"""Fine texture lost (plastic, wax) or exaggerated (over-sharpened)."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import LEVEL
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region
from evalkit.metrics._tone import ALIKE, toned

FINE_SIGMA_PX, WINDOW_SIGMA_PX = 1.5, 6.0

NOISE_SHARE = 0.894
"""Of white noise's variance, what is left when a Gaussian of 1.5 px is taken off:
``1 - 2 / (2 pi s^2) + 1 / (4 pi s^2)``."""

UNSURE = 0.5
"""Detail weaker than this share of the noise's variance cannot be told from noise."""


LEAST_SHARE = 0.01
"""Of the region: where less has detail, its median says nothing of the rest."""


EDGE, NEAR_PX = 0.2, 11
"""Range of the source's luma within 11x11 px from which a place is beside an edge: what
happens there is no matter of texture (see `halo` and `sharpness`)."""


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """Local energy of the output's fine detail over the source's, in dB."""
    return _where(output, source)[0]


def _where(
    output: Picture, source: Picture
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The ratio of every place, and which places have texture, before or after."""
    pair = toned(output, source)
    kernel = np.ones((NEAR_PX, NEAR_PX))
    is_texture = cv2.morphologyEx(pair.source, cv2.MORPH_GRADIENT, kernel) < EDGE
    is_texture &= pair.agreement >= ALIKE  # elsewhere it is that of another thing
    noise = max(pair.output_noise, pair.expected_noise)
    floor = np.float32(LEVEL**2 + UNSURE * noise)
    after = _energy(pair.output, pair.output_noise, is_texture)
    before = _energy(pair.expected, pair.expected_noise, is_texture)
    ratio: NDArray[np.float32] = 10 * np.log10((after + floor) / (before + floor))
    return ratio, is_texture & (np.maximum(before, after) >= floor)


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
    ratio, is_texture = _where(output, source)
    of_texture = ratio[area & is_texture]
    is_enough = len(of_texture) > LEAST_SHARE * area.sum()
    return float(np.median(of_texture)) if is_enough else float("nan")


def _energy(
    plane: NDArray[np.float32], noise: float, is_texture: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The mean square of the detail around each place, of what is texture there."""
    detail = plane - cv2.GaussianBlur(plane, (0, 0), FINE_SIGMA_PX)
    weight = is_texture.astype(np.float32)
    total, n = (
        cv2.GaussianBlur(values, (0, 0), WINDOW_SIGMA_PX)
        for values in (weight * np.square(detail), weight)
    )
    energy = total / np.maximum(n, np.float32(1e-3))
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
