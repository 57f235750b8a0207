"""What of a change is brightness, contrast or noise, so that metrics can leave it out."""

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import LEVEL, luma
from evalkit.images import Picture

NEAR_SIGMA_PX = 24.0
"""Brightness and contrast are those of a place this large: a restorer may light a face
and leave the wall behind it. Outlines and grain are far smaller."""

LEAST_SPREAD = 4 * LEVEL
"""Where the source spans less, no contrast can be told: it is taken for unchanged."""

LEAST_GAIN, MOST_GAIN = 0.25, 4.0

EVEN = 1e-12
"""A plane in [0, 1] is even up to this variance: under a step of 16 bits."""

NOISE_SIGMA_PX, EVENEST = 6.0, 0.1
"""Noise is everywhere and texture is not: that of the evenest tenth of the places."""


class Toned(NamedTuple):
    """A source under its output's tone; all of shape ``(height, width)``, float32.

    Attributes
    ----------
    output, source
        Their luma, in [0, 1].
    expected
        The source's luma, brought to the output's brightness and contrast, place by
        place, and clipped to [0, 1].
    gain
        The contrast of each place: 1 for unchanged, in [0.25, 4].
    agreement
        The correlation of output and source nearby, in [-1, 1].
    output_noise, source_noise
        Variances of white noise, the second under the output's median contrast.

    """

    output: NDArray[np.float32]
    source: NDArray[np.float32]
    expected: NDArray[np.float32]
    gain: NDArray[np.float32]
    agreement: NDArray[np.float32]
    output_noise: float
    source_noise: float


def toned(output: Picture, source: Picture) -> Toned:
    """Fit, around every place, the line that leads from the source's luma to the output's.

    References
    ----------
    The local linear model is that of He, Sun & Tang, Guided image filtering, IEEE
    Trans. Pattern Analysis and Machine Intelligence 35(6), 2013,
    doi:10.1109/TPAMI.2012.213.

    """
    out, src = luma(output), luma(source)
    out_mean, src_mean = _near(out), _near(src)
    out_variance = _near(out * out) - out_mean**2
    src_variance = _near(src * src) - src_mean**2
    covariance = _near(out * src) - out_mean * src_mean
    least = np.float32(LEAST_SPREAD**2)
    gain = (covariance + least) / (src_variance + least)
    gain = np.clip(gain, LEAST_GAIN, MOST_GAIN)
    lighter = out_mean - src_mean + (gain - 1) * (src - src_mean)  # 0 where unchanged
    expected = np.clip(src + lighter, 0, 1)
    spread = np.sqrt(np.maximum((out_variance + least) * (src_variance + least), 0))
    source_noise = float(np.median(gain)) ** 2 * noise_variance(src)
    return Toned(
        *(out, src, expected, gain, (covariance + least) / spread),
        noise_variance(out),
        source_noise,
    )


def noise_variance(plane: NDArray[np.float32]) -> float:
    """The variance of white noise in a luma, 0 for under 2 px a side.

    That of the finest diagonal wavelets (see `evalkit.features.noise_level`) around
    each place, of which a tenth have less; burnt and black places do not count.
    """
    if min(plane.shape) < 2:
        return 0.0
    diagonal = plane[:-1, :-1] - plane[:-1, 1:] - plane[1:, :-1] + plane[1:, 1:]
    energy = cv2.GaussianBlur(np.square(diagonal) / 4, (0, 0), NOISE_SIGMA_PX)
    inside = (plane[:-1, :-1] > LEAST_SPREAD) & (plane[:-1, :-1] < 1 - LEAST_SPREAD)
    return float(np.quantile(energy[inside] if inside.any() else energy, EVENEST))


def fitted(
    output: NDArray[Any], source: NDArray[Any]
) -> NDArray[Any]:
    """The source under the line that leads to most of the output (trimmed twice)."""
    inliers = np.ones(source.shape, bool)
    for _ in range(3):
        centre = source[inliers].mean()
        away = source[inliers] - centre
        spread = float(np.square(away).mean())
        # where the source has one colour, no gain can be told from a shift
        gain = float((away * output[inliers]).mean()) / spread if spread > EVEN else 0.0
        fitted: NDArray[Any] = output[inliers].mean() + gain * (source - centre)
        error = np.abs(output - fitted)
        inliers = error <= np.quantile(error, 0.8)
    return fitted


def _near(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = cv2.GaussianBlur(plane, (0, 0), NEAR_SIGMA_PX)
    return mean
