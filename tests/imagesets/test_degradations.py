import numpy as np
import pytest

from evalkit.images.scaling import shrink
from evalkit.imagesets._degradations import (
    add_noise,
    backlight,
    backlight_dark_parts,
    blur,
    filled_polygon,
    jpeg,
    overexpose,
    to_image,
    to_light,
)


def test_light_and_back_is_the_same_picture(astronaut):
    np.testing.assert_array_equal(to_image(to_light(astronaut)), astronaut)


def test_light_is_linear_as_the_standard_says():
    # IEC 61966-2-1: sRGB 188 is 50.3 % of full light, to four digits
    assert to_light(np.uint8([[0, 188, 255]])) == pytest.approx(
        np.array([[0, 0.5029, 1]]), abs=1e-4
    )


def test_one_stop_doubles_the_light():
    grey = np.full((9, 9, 3), 0.1)
    assert overexpose(grey, 1, 2) == pytest.approx(0.2 * 1.05)


def test_backlight_darkens_the_subject_and_brightens_the_ground():
    light = np.full((40, 40, 3), 0.2)
    subject = np.zeros((40, 40))
    subject[:, :20] = 1
    result = backlight(light, subject, glow_px=2)
    assert result[20, 2] == pytest.approx(0.2 * 0.125 * 1.055)
    assert result[20, 37] == pytest.approx(0.2 * 7 * 1.055)


def test_only_what_is_dark_gets_darker():
    light = np.full((60, 60, 3), 0.9)
    light[:, :30] = 0.2
    result = backlight_dark_parts(light, glow_px=5)
    assert result[30, 2].max() < 0.2 / 2**3 + 0.02
    assert result[30, 57].min() > 0.9


def test_noise_has_the_variance_asked_for():
    noisy = add_noise(np.full((200, 200), 0.5), shot=0.0008, read=0.01, seed=3)
    assert noisy.mean() == pytest.approx(0.5, abs=1e-3)
    assert noisy.var() == pytest.approx(0.5 * 0.0008 + 0.01**2, rel=0.02)


def test_the_same_seed_makes_the_same_noise():
    light = np.full((8, 8), 0.5)
    one, same, other = (add_noise(light, 1e-3, 1e-3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_blur_keeps_the_sum_and_the_channels_apart():
    point = np.zeros((31, 31, 3))
    point[15, 15, 1] = 1
    spread = blur(point, 2)
    assert spread.sum() == pytest.approx(1)
    assert spread[15, 15, 1] == pytest.approx(1 / (2 * np.pi * 4), rel=0.01)
    assert spread[..., [0, 2]].max() == 0


def test_shrinking_by_two_averages_four_pixels(astronaut):
    blocks = astronaut.reshape(256, 2, 256, 2, 3).mean((1, 3))
    assert np.abs(shrink(astronaut, 256, 256) - blocks).max() <= 0.5


def test_a_lower_quality_is_farther_away(astronaut):
    errors = [
        np.square(jpeg(astronaut, q) - astronaut.astype(float)).mean()
        for q in (90, 50, 9)
    ]
    assert errors == sorted(errors)
    assert jpeg(astronaut[..., 0], 50).shape == (512, 512)


def test_a_polygon_is_filled():
    mask = filled_polygon(
        ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)), 40, 20
    )
    assert mask.shape == (20, 40)
    assert mask[10, 20] == pytest.approx(1)
    assert mask[1, 2] == pytest.approx(0)
    assert mask.mean() == pytest.approx(0.25, abs=0.01)
