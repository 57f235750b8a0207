import numpy as np
import pytest

from evalkit.errors import ImageError
from evalkit.metrics import metrics
from evalkit.metrics.colour_shift import colour_shift, lab_shift

# B. Lindbloom, CIE colour calculator, sRGB D65: L*, a*, b*
RED = (53.24, 80.09, 67.20)
BLUE = (32.30, 79.19, -107.86)


def even(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((6, 5, 3), colour, np.uint8)


@pytest.mark.parametrize(
    ("colour", "lab"),
    [((255, 0, 0), RED), ((0, 0, 255), BLUE), ((255,) * 3, (100, 0, 0))],
)
def test_the_shift_from_black_is_the_published_lab_value(colour, lab):
    assert lab_shift(even(colour), even((0, 0, 0))) == pytest.approx(lab, abs=0.05)


def test_the_distance_is_that_of_1976():
    expected = np.linalg.norm(np.subtract(RED, BLUE))
    assert colour_shift(even((255, 0, 0)), even((0, 0, 255))) == pytest.approx(
        expected, abs=0.05
    )


def test_equal_pictures_do_not_shift(astronaut):
    assert lab_shift(astronaut, astronaut) == (0, 0, 0)


def test_a_colder_skin_has_a_negative_b(astronaut):
    face = astronaut[60:180, 170:280]
    colder = face.astype(int) + np.array([-12, 0, 12])
    shift = lab_shift(colder.clip(0, 255).astype(np.uint8), face)
    assert shift.b < -5
    assert abs(shift.lightness) < 2


def test_the_entries_are_the_parts_of_one_shift(astronaut):
    output = np.roll(astronaut, 40, axis=2)[::-1]
    shift = lab_shift(output, astronaut)
    for part, value in shift._asdict().items():
        assert metrics()[f"colour_shift_{part}"].compute(output, astronaut) == value


def test_detail_without_a_change_of_colour_is_no_shift():
    source = np.full((20, 20), 128, np.uint8)
    # the same number of pixels 2 levels up and down: means of L* stay within 0.01
    checks = np.indices((20, 20)).sum(axis=0) % 2
    output = (126 + 4 * checks).astype(np.uint8)
    assert colour_shift(output, source) < 0.01


def test_a_colour_planted_inside_a_mask_is_found_there_alone(astronaut):
    mask = np.zeros(astronaut.shape[:2], bool)
    mask[100:150, 200:260] = True
    output = astronaut.copy()
    output[mask] = [255, 0, 0]
    expected = np.subtract(RED, lab_shift(astronaut, np.zeros_like(astronaut), mask))
    assert lab_shift(output, astronaut, mask) == pytest.approx(expected, abs=0.05)
    assert lab_shift(output, astronaut, ~mask) == (0, 0, 0)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((512, 512), bool), "holds no pixel"),
        (np.ones((512, 512), np.uint8), "expected a mask of booleans"),
        (np.ones((512, 511), bool), "expected a mask of booleans of shape"),
    ],
)
def test_a_mask_that_cannot_be_meant_is_refused(astronaut, mask, message):
    with pytest.raises(ImageError, match=message):
        colour_shift(astronaut, astronaut, mask)
