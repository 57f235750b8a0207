"""What of a change is brightness, contrast or noise, which other metrics leave out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import LEVEL, luma
from evalkit.images import Picture

NEAR_SIGMA_PX = 24.0
"""Brightness and contrast are those of a place this large: a restorer may light a face
and leave the wall behind it. Outlines and grain are far smaller."""

ALIKE_SIGMA_PX = 8.0
"""Places this large show the same thing, or another: see `Toned.agreement`."""

ALIKE = 0.8
"""Correlation nearby under which a place shows another thing: no contrast is told."""

COARSE_SIGMA_PX = 2.0
"""Finer detail does not count for the contrast: losing it is no loss of contrast."""

LEAST_SPREAD = 4 * LEVEL
"""Where the source spans less, no contrast can be told: it is taken for unchanged."""

LEAST_GAIN, MOST_GAIN = 0.25, 4.0

EVEN = 1e-10
"""Variance of a plane in [0, 1] under which no gain is told: less than 16 bits step."""

NOISE_SIGMA_PX, EVENEST, CLIPPED = 6.0, 0.1, 0.06
"""Noise is everywhere and texture is not: that of the evenest tenth of the places that
are neither burnt nor black, where it is cut off."""


class Toned(NamedTuple):
    """A source under its output's tone.

    Attributes
    ----------
    output, source
        Their luma, ``(height, width)``, float32, in [0, 1].
    expected
        The source's luma under the output's brightness and contrast, likewise.
    agreement
        The correlation of output and source nearby, in [-1, 1].
    output_noise, expected_noise
        Variances of white noise.

    """

    output: NDArray[np.float32]
    source: NDArray[np.float32]
    expected: NDArray[np.float32]
    agreement: NDArray[np.float32]
    output_noise: float
    expected_noise: float


def toned(output: Picture, source: Picture) -> Toned:
    """Bring the source to the output's tone.

    First by one curve for the whole picture, a polynomial of the third degree in luma;
    then, around every place, by the line that leads to the output. Both are found
    without fine detail: noise in a source makes every line through it too flat.

    References
    ----------
    The local linear model is that of He, Sun & Tang, Guided image filtering, IEEE
    Trans. Pattern Analysis and Machine Intelligence 35(6), 2013,
    doi:10.1109/TPAMI.2012.213.

    """
    out, src = luma(output), luma(source)
    dim, bright = (cv2.GaussianBlur(p, (0, 0), COARSE_SIGMA_PX) for p in (src, out))
    gains, shift = _line(bright - dim, _powers(dim))  # 0 where unchanged
    lit = (src + shift + _powers(src) @ gains).astype(np.float32).clip(0, 1)
    coarse = cv2.GaussianBlur(lit, (0, 0), COARSE_SIGMA_PX), bright
    variance, covariance, _ = _moments(coarse, ALIKE_SIGMA_PX)
    agreement = covariance / np.sqrt(variance[0] * variance[1])
    variance, covariance, mean = _moments(coarse, NEAR_SIGMA_PX)
    is_alike = covariance >= ALIKE * np.sqrt(variance[0] * variance[1])
    gain = np.clip(covariance / variance[0], LEAST_GAIN, MOST_GAIN)
    gain = np.where(is_alike, gain, np.float32(1))
    more = mean[1] - mean[0] + (gain - 1) * (lit - mean[0])
    expected = (lit + more).clip(0, 1)
    noise = (noise_variance(plane) for plane in (out, expected))
    return Toned(out, src, expected, agreement, *noise)


def noise_variance(plane: NDArray[np.float32]) -> float:
    """The variance of white noise in a luma, 0 for under 2 px a side.

    That of the finest diagonal wavelets (see `evalkit.features.noise_level`) around
    each place, of which a tenth have less.
    """
    if min(plane.shape) < 2:
        return 0.0
    diagonal = plane[:-1, :-1] - plane[:-1, 1:] - plane[1:, :-1] + plane[1:, 1:]
    energy, light = (
        cv2.GaussianBlur(values, (0, 0), NOISE_SIGMA_PX)
        for values in (np.square(diagonal) / 4, plane[:-1, :-1])
    )
    inside = (light > CLIPPED) & (light < 1 - CLIPPED)
    return float(np.quantile(energy[inside] if inside.any() else energy, EVENEST))


def fitted(output: NDArray[Any], *source: NDArray[Any]) -> NDArray[np.float64]:
    """A sum of the source's planes that is most of the output, trimmed twice.

    One gain for each plane and one shift; what does not fit, a fifth each time, is left
    out, so that what is foreign to the source does not bend the line.
    """
    planes = np.stack(source, axis=-1).astype(np.float64)
    gains, shift = _line(output, planes)
    return shift + planes @ gains


def _line(
    output: NDArray[Any], source: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The gains and the shift of `fitted`, whose planes lie along the last axis."""
    planes = source.reshape(-1, source.shape[-1])
    values = output.ravel().astype(np.float64)
    inliers = np.ones(len(values), bool)
    for _ in range(3):
        centre, middle = planes[inliers].mean(axis=0), values[inliers].mean()
        away = planes[inliers] - centre
        spread = away.T @ away / len(away) + EVEN * np.eye(len(centre))
        gains = np.linalg.solve(spread, away.T @ (values[inliers] - middle) / len(away))
        shift = middle - centre @ gains
        error = np.abs(values - shift - planes @ gains)
        inliers = error <= np.quantile(error, 0.8)
    return gains, float(shift)


def _powers(plane: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = plane.astype(np.float64)
    return np.stack([wide, wide**2, wide**3], axis=-1)


def _moments(
    planes: Sequence[NDArray[np.float32]], sigma_px: float
) -> tuple[list[Any], Any, list[Any]]:
    """Variances of two planes, their covariance and means around each place.

    `LEAST_SPREAD` squared is in all but the means.
    """

    def near(plane: Any) -> Any:
        return cv2.GaussianBlur(plane, (0, 0), sigma_px)

    least = np.float32(LEAST_SPREAD**2)
    means = [near(plane) for plane in planes]
    variances = [
        np.maximum(near(plane * plane) - mean**2, 0) + least
        for plane, mean in zip(planes, means, strict=True)
    ]
    return variances, near(planes[0] * planes[1]) - means[0] * means[1] + least, means
