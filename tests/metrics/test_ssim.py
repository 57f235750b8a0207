import numpy as np
import pytest
from scipy.signal import convolve2d

from evalkit.errors import ImageError
from evalkit.metrics.ssim import ssim


def window() -> np.ndarray:
    """The 11x11 Gaussian of sigma 1.5 that the paper uses."""
    x = np.arange(-5, 6)
    line = np.exp(-(x**2) / (2 * 1.5**2))
    square = np.outer(line, line)
    return square / square.sum()


def ssim_of_the_paper(x: np.ndarray, y: np.ndarray) -> float:
    """Equation 13 of Wang et al. 2004 in [0, 255], where the window fits whole."""
    x, y = x.astype(float), y.astype(float)

    def mean(values):
        return convolve2d(values, window(), mode="valid")

    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = mean(x), mean(y)
    vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    top = (2 * mx * my + c1) * (2 * vxy + c2)
    return float((top / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def test_equal_pictures_are_one(astronaut):
    assert ssim(astronaut, astronaut) == pytest.approx(1, abs=1e-12)


def test_it_is_the_formula_of_the_paper_on_each_channel(astronaut):
    reference = astronaut[:96, 150:250]
    output = np.clip(reference * 0.7 + 20, 0, 255).astype(np.uint8)
    expected = np.mean(
        [ssim_of_the_paper(output[..., c], reference[..., c]) for c in range(3)]
    )
    assert ssim(output, reference) == pytest.approx(expected, abs=1e-6)


def test_a_negative_of_texture_is_below_zero():
    # against its own negative a picture correlates with -1
    noise = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    assert ssim(255 - noise, noise) < -0.5


def test_a_picture_smaller_than_the_window_is_refused():
    small = np.zeros((10, 40, 3), np.uint8)
    with pytest.raises(ImageError, match=r"at least 11x11 px.*got 40x10"):
        ssim(small, small)
