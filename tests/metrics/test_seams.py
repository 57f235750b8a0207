import math

import numpy as np
import pytest
from skimage import data

from evalkit.errors import ImageError, SettingError
from evalkit.metrics.seams import TileBorders, noise, seams

PHOTOGRAPHS = ["astronaut", "camera", "coffee", "chelsea"]


def tiled(picture: np.ndarray, step: int, period: int = 96) -> np.ndarray:
    """The picture with every second tile brighter by `step` levels."""
    y, x = np.indices(picture.shape[:2])
    is_brighter = ((y // period + x // period) % 2).astype(bool)
    values = picture.astype(int)
    values[is_brighter] += step
    return values.clip(0, 255).astype(np.uint8)


def test_a_step_in_an_even_area_by_hand():
    even = np.full((40, 40), 100, np.uint8)
    even[:, 20:] += 3
    # across: 3 levels squared plus the floor of 1; beside: the floor alone
    expected = 10 * math.log10(3**2 + 1)
    assert seams(even, TileBorders(rows=(), columns=(20,))) == pytest.approx(expected)


def test_a_ramp_has_no_seam():
    ramp = np.tile(np.arange(0, 200, dtype=np.uint8), (50, 1))
    assert seams(ramp, TileBorders.every(25, 50, 200)) == pytest.approx(0, abs=1e-9)


def test_rows_and_columns_count_alike(astronaut):
    output = tiled(astronaut, 3)[:400]
    borders = TileBorders.every(96, *output.shape[:2])
    turned = TileBorders(rows=borders.columns, columns=borders.rows)
    assert seams(output.transpose(1, 0, 2), turned) == pytest.approx(
        seams(output, borders)
    )


@pytest.mark.parametrize("name", PHOTOGRAPHS)
@pytest.mark.parametrize("period", [64, 96, 128])
def test_a_photograph_without_tiles_is_within_its_noise(name, period):
    picture = getattr(data, name)()
    borders = TileBorders.every(period, *picture.shape[:2])
    assert seams(picture, borders) <= noise(picture, borders)
    assert 0.2 < noise(picture, borders) < 1.2  # what the documentation says


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_planted_seams_of_three_levels_stand_out(name):
    picture = getattr(data, name)()
    borders = TileBorders.every(96, *picture.shape[:2])
    output = tiled(picture, 3)
    assert seams(output, borders) > 2 * noise(output, borders)


def test_a_repeated_tile_stands_out(astronaut):
    output = astronaut.copy()
    output[:, 256:384] = astronaut[:, 128:256]  # RealESRGANer after a lost tile
    borders = TileBorders(rows=(), columns=(256, 384))
    assert seams(output, borders) > 2 * noise(output, borders)


def test_a_jpeg_grid_under_the_borders_is_noise_not_a_seam(astronaut):
    import cv2

    _, coded = cv2.imencode(".jpg", astronaut, [cv2.IMWRITE_JPEG_QUALITY, 20])
    blocky = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    borders = TileBorders.every(96, 512, 512)
    assert seams(blocky, borders) > 1
    assert noise(blocky, borders) > seams(blocky, borders)


def test_without_a_border_there_is_nothing_to_measure(astronaut):
    with pytest.raises(ImageError, match="no tile border lies inside"):
        seams(astronaut, TileBorders.every(512, 512, 512))


def test_borders_as_dense_as_the_gradients_beside_them_are_refused(astronaut):
    with pytest.raises(ImageError, match="too small"):
        noise(astronaut, TileBorders.every(8, 512, 512))


def test_a_period_of_nothing_is_refused():
    with pytest.raises(SettingError, match="at least 1 px, got 0"):
        TileBorders.every(0, 100, 100)
