import math

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio

from evalkit.metrics.psnr import psnr


def test_equal_pictures_have_no_error(astronaut):
    assert psnr(astronaut, astronaut) == math.inf


def test_one_level_in_one_channel_of_one_pixel_by_hand():
    reference = np.zeros((10, 10, 3), np.uint8)
    output = reference.copy()
    output[4, 5, 1] = 1
    # mean squared error: 1 / (10 * 10 * 3) levels; peak 255
    assert psnr(output, reference) == pytest.approx(10 * math.log10(255**2 * 300))


def test_it_agrees_with_scikit_image(astronaut):
    output = np.roll(astronaut, 1, axis=1)
    expected = peak_signal_noise_ratio(astronaut, output, data_range=255)
    assert psnr(output, astronaut) == pytest.approx(expected, abs=1e-9)


def test_sixteen_bits_hold_the_same_picture(astronaut):
    output = np.roll(astronaut, 1, axis=1)
    deep = astronaut.astype(np.uint16) * 257  # 255 becomes 65535
    assert psnr(output, deep) == pytest.approx(psnr(output, astronaut), abs=1e-9)


def test_the_colour_of_a_transparent_pixel_does_not_count():
    clear = np.zeros((4, 4, 4), np.uint8)
    other = clear.copy()
    other[..., :3] = 200
    assert psnr(clear, other) == math.inf


def test_transparency_is_laid_over_mid_grey():
    clear = np.zeros((4, 4, 4), np.uint8)
    white = np.full((4, 4, 3), 255, np.uint8)
    assert psnr(clear, white) == pytest.approx(10 * math.log10(1 / 0.25))
