"""Fine texture lost (plastic, wax) or exaggerated (over-sharpened)."""

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import LEVEL
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region
from evalkit.metrics._tone import ALIKE, toned

FINE_SIGMA_PX, WINDOW_SIGMA_PX = 1.5, 6.0

EVENEST, APART_PX, LEAST_PLACES = 0.05, 6, 20
"""Noise is everywhere and texture is not: noise is the line, of energy on luma, under
which a twentieth of the places lie, 6 px apart; under 20 places tell of none."""

MOST_PLACES = 4000
"""Of them, over the whole picture: more make no better line."""

CUT_OFF = 0.05
"""Share of the pixels nearby, black or burnt in a channel, from which noise is less."""

LEAST_SHARE = 0.015
"""Of the region: where less has detail, its median says nothing of the rest."""

EDGE, NEAR_PX = 0.2, 11
"""Range of the source's luma within 11x11 px from which a place is beside an edge: what
happens there is no matter of texture (see `halo` and `sharpness`)."""

RANGE_OF_NOISE = 5.15
"""Of 121 draws from a normal distribution, in standard deviations, on average (Tippett
1925, doi:10.1093/biomet/17.3-4.364): white noise adds that much without any edge."""


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """Local energy of the output's fine detail over the source's, in dB."""
    return _where(output, source)[0]


def _where(
    output: Picture, source: Picture
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The ratio of every place, and which places have texture, before or after."""
    pair = toned(output, source)
    kernel = np.ones((NEAR_PX, NEAR_PX))
    spread = cv2.morphologyEx(pair.source, cv2.MORPH_GRADIENT, kernel)
    is_texture = spread < EDGE + RANGE_OF_NOISE * np.sqrt(pair.expected_noise)
    is_texture &= pair.agreement >= ALIKE  # elsewhere it is that of another thing
    is_texture &= _near(_is_cut_off(output) | _is_cut_off(source)) < CUT_OFF
    after, before = (
        _energy(plane, is_texture) for plane in (pair.output, pair.expected)
    )
    light = _near(pair.expected)
    noises = [_noise(energy, light, is_texture) for energy in (after, before)]
    floor = LEVEL**2 + np.maximum(*noises)
    after, before = (
        np.maximum(energy - noise, 0)
        for energy, noise in zip((after, before), noises, strict=True)
    )
    ratio: NDArray[np.float32] = 10 * np.log10((after + floor) / (before + floor))
    return ratio, is_texture & ((before + after) / 2 >= floor)


def texture_energy(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Fine detail against the source's, in dB: plastic below 0, over-sharpened above.

    Returns
    -------
    float
        The median of the places that have detail above the noise; NaN where hardly any
        has. Contrast nearby is taken out first, and so is the noise of both, white or
        of coarser grain: removing it is no smoothing, adding it no detail.

    Notes
    -----
    Detail is luma less its Gaussian blur of 1.5 px; energy its square, averaged by a
    Gaussian of 6 px, less the energy of noise. Noise is measured in the same band, as
    grain is not white, and as a line in luma, as that of light grows with it. One level
    of 255 squared and the noise's energy are added: what cannot be told from noise
    counts little. A place counts whose energies, before and after, are more than that
    on average.

    Even texture everywhere cannot be told from noise either, nor can film grain of the
    source's own: losing them is about 0, or null. A picture that is black or burnt all
    over is null.

    References
    ----------
    Our own; a band of the pyramid of Burt & Adelson, The Laplacian pyramid as a
    compact image code, IEEE Trans. Communications 31(4), 1983. The line is a regression
    quantile: Koenker & Bassett, Econometrica 46(1), 1978, doi:10.2307/1913643. That the
    variance of noise is a line in the light: Foi et al., Practical Poissonian-Gaussian
    noise modeling and fitting for single-image raw-data, IEEE Trans. Image Processing
    17(10), 2008, doi:10.1109/TIP.2008.2001399.

    """
    area = region(output, source, mask)
    ratio, is_texture = _where(output, source)
    of_texture = ratio[area & is_texture]
    is_enough = len(of_texture) > LEAST_SHARE * area.sum()
    return float(np.median(of_texture)) if is_enough else float("nan")


def _near(plane: NDArray[Any]) -> NDArray[np.float32]:
    """The mean around each place."""
    values = plane.astype(np.float32)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), WINDOW_SIGMA_PX))


def _is_cut_off(picture: Picture) -> NDArray[np.bool_]:
    """Which pixels have a colour at either end of the range."""
    colours = np.atleast_3d(picture)[..., :3]
    ends = colours.min(axis=2), colours.max(axis=2)
    return np.asarray((ends[0] == 0) | (ends[1] == np.iinfo(picture.dtype).max))


def _energy(
    plane: NDArray[np.float32], is_texture: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The mean square of the detail around each place, of what is texture there."""
    detail = plane - cv2.GaussianBlur(plane, (0, 0), FINE_SIGMA_PX)
    total, n = _near(is_texture * np.square(detail)), _near(is_texture)
    return np.asarray(total / np.maximum(n, np.float32(1e-3)), np.float32)


def _noise(
    energy: NDArray[np.float32],
    light: NDArray[np.float32],
    is_texture: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """The energy that noise of any grain has at each place's luma, from 0."""
    from sklearn.linear_model import QuantileRegressor

    apart = max(APART_PX, math.ceil(math.sqrt(energy.size / MOST_PLACES)))
    sparse = (slice(None, None, apart),) * 2
    inside = is_texture[sparse]
    if inside.sum() < LEAST_PLACES:
        return np.zeros_like(energy)
    energies = energy[sparse][inside] / LEVEL**2
    line = QuantileRegressor(quantile=EVENEST, alpha=0)
    line.fit(light[sparse][inside][:, None], energies)
    noise = line.intercept_ + line.coef_[0] * light
    if line.coef_[0] < 0:  # noise hardly falls with light: texture in the dark does
        noise = np.maximum(noise, np.quantile(energies, EVENEST))
    return np.asarray(LEVEL**2 * np.maximum(noise, 0), np.float32)


ENTRIES = (
    Metric(
        name="texture_energy",
        unit="dB",
        higher_is_better=None,
        citation="ours; a band of Burt & Adelson 1983, doi:10.1109/TCOM.1983.1095851",
        needs="source",
        nan_means="hardly any detail that could be told from noise",
        takes_mask=True,
        compute=texture_energy,
        where=where,
    ),
)
