"""Each defect, planted in a good picture, moves its metric the right way, only then."""

import cv2
import numpy as np
import pytest
from skimage import data

from evalkit.metrics import metrics

SOURCE = data.astronaut()[:256, 100:356]


def jpeg(picture, quality):
    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


BLOCKY = jpeg(SOURCE, 8)


def none(picture):
    return picture.copy()


def black_corner(picture):
    output = picture.copy()
    output[64:192, 64:192] = 0
    return output


def flat_tile(picture):
    output = picture.copy()
    output[64:128, 64:128] = 140
    return output


def shine(picture):
    light = np.zeros(picture.shape[:2], np.float32)
    cv2.circle(light, (120, 60), 14, 1, -1)
    light = cv2.GaussianBlur(light, (0, 0), 3)[..., None]
    return np.rint(picture * (1 - light) + 255 * light).astype(np.uint8)


def plastic(picture):
    return cv2.bilateralFilter(picture, 0, 120, 4)


def sharpened(picture):
    blurred = cv2.GaussianBlur(picture, (0, 0), 2).astype(float)
    return np.clip(picture + 1.5 * (picture - blurred), 0, 255).astype(np.uint8)


def painted_over(picture):
    output = picture.copy()
    output[64:192, 64:192] = picture[0:128, 128:256]
    return output


def value(name, output, source=SOURCE):
    return metrics()[name].compute(output, source)


@pytest.mark.parametrize("name", [n for n, m in metrics().items() if m.where])
def test_an_untouched_picture_has_no_defect(name):
    assert value(name, none(SOURCE)) == pytest.approx(0, abs=1e-9)
    assert np.abs(metrics()[name].where(SOURCE, SOURCE)).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "defect", "least"),
    [
        ("dead_area", black_corner, 15),
        ("dead_area", flat_tile, 3),
        ("highlights", shine, 0.3),
        ("halo", sharpened, 1.0),
        ("invention", painted_over, 1.0),
    ],
)
def test_a_planted_defect_raises_its_metric(name, defect, least):
    assert value(name, defect(SOURCE)) > least


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("dead_area", plastic),
        ("dead_area", sharpened),
        ("dead_area", shine),
        ("highlights", plastic),
        ("highlights", painted_over),
        ("halo", plastic),
        ("halo", none),
        ("invention", plastic),
        ("invention", none),
    ],
)
def test_another_defect_leaves_it_nearly_alone(name, other):
    planted = {
        "dead_area": black_corner,
        "highlights": shine,
        "halo": sharpened,
        "invention": painted_over,
    }[name]
    assert value(name, other(SOURCE)) < 0.25 * value(name, planted(SOURCE))


def test_more_of_a_defect_is_more():
    outputs = [
        cv2.addWeighted(SOURCE, 1 - t, sharpened(SOURCE), t, 0) for t in (0, 0.5, 1)
    ]
    halos = [value("halo", output) for output in outputs]
    assert halos == sorted(halos)
    assert halos[2] > halos[1] > halos[0]


def test_texture_goes_down_when_smoothed_and_up_when_sharpened():
    assert value("texture_energy", plastic(SOURCE)) < -1
    assert value("texture_energy", sharpened(SOURCE)) > 1


def test_blocks_are_softened_by_a_deblocking_and_amplified_by_sharpening():
    softened = cv2.bilateralFilter(BLOCKY, 0, 40, 3)
    assert value("blockiness_change", softened, BLOCKY) < -0.3
    assert value("blockiness_change", BLOCKY, SOURCE) > 1
    assert value("blockiness_change", SOURCE, BLOCKY) < -1


@pytest.mark.parametrize(
    ("name", "defect", "place"),
    [
        ("dead_area", black_corner, np.s_[64:192, 64:192]),
        ("highlights", shine, np.s_[40:80, 100:140]),
        ("invention", painted_over, np.s_[64:192, 64:192]),
    ],
)
def test_a_map_shows_where(name, defect, place):
    found = metrics()[name].where(defect(SOURCE), SOURCE)
    assert found.shape == SOURCE.shape[:2]
    outside = found.copy()
    outside[place] = 0
    assert found[place].sum() > 4 * outside.sum()


def test_noise_that_was_removed_is_no_dead_area():
    even = np.full((128, 128, 3), 120, np.uint8)
    noise = np.random.default_rng(0).normal(0, 8, even.shape)
    assert value("dead_area", even, np.rint(even + noise).astype(np.uint8)) == 0


def test_a_shift_of_the_whole_colour_is_no_invention():
    warmer = np.clip(SOURCE * np.array([1.05, 1.0, 0.92]), 0, 255).astype(np.uint8)
    assert value("invention", warmer) < 0.5 * value("invention", painted_over(SOURCE))
    assert value("colour_shift", warmer) > 2
