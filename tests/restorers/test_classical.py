import json

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import CancelledError, SettingError, UnknownNameError
from evalkit.restorers import load_restorer

BOTH = pytest.mark.parametrize("name", ["lanczos", "bicubic"])


def ramp(dtype):
    """A plane that rises evenly from left to right."""
    high = np.iinfo(dtype).max
    return np.linspace(0, high, 32).astype(dtype)[None].repeat(24, axis=0)


@BOTH
@pytest.mark.parametrize("scale", [1, 1.5, 2, 4])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_size_channels_and_dtype_are_as_promised(name, scale, channels, dtype):
    image = ramp(dtype)
    if channels > 1:
        image = np.dstack([image] * channels)
    output = load_restorer(name, scale=scale).restore(image).image
    assert output.dtype == dtype
    assert output.shape == (int(24 * scale), int(32 * scale), *image.shape[2:])


@BOTH
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_ramp_stays_a_ramp(name, dtype):
    output = load_restorer(name).restore(ramp(dtype)).image.astype(float)
    # pixel centres of the output in coordinates of the source
    place = (np.arange(128) + 0.5) / 4 - 0.5
    inside = slice(16, -16)
    expected = place * np.iinfo(dtype).max / 31
    off = np.abs(output - expected)[:, inside].max() / np.iinfo(dtype).max
    assert off < 0.008  # the kernels sum to one only nearly; and 8 bits are rounded


def test_lanczos_is_near_pillows_which_has_a_smaller_kernel(astronaut):
    image = astronaut[100:160, 180:260]
    output = load_restorer("lanczos").restore(image).image
    pillow = Image.fromarray(image).resize((320, 240), Image.Resampling.LANCZOS)
    assert np.abs(output.astype(int) - np.asarray(pillow)).mean() < 1


def test_overshoot_at_an_edge_is_clipped_and_does_not_wrap():
    image = np.zeros((16, 16), np.uint16)
    image[:, 8:] = 65535
    for name in ("lanczos", "bicubic"):
        output = load_restorer(name).restore(image).image
        assert (output[:, :24] < 20000).all()
        assert (output[:, 40:] > 45000).all()


@BOTH
def test_hidden_colours_do_not_bleed_into_visible_ones(name):
    image = np.zeros((16, 16, 4), np.uint8)
    image[:, :8] = (255, 0, 0, 0)  # invisible red
    image[:, 8:] = (0, 255, 0, 255)
    output = load_restorer(name).restore(image).image
    visible = output[..., 3] > 0
    assert output[visible][:, 0].max() == 0


@BOTH
def test_one_pixel_is_enlarged(name):
    output = load_restorer(name).restore(np.array([[[1, 2, 3]]], np.uint8)).image
    assert (output == [1, 2, 3]).all()
    assert output.shape == (4, 4, 3)


@BOTH
def test_settings_are_checked_and_go_through_json(name):
    with pytest.raises(SettingError, match="scale must be 1 or more; found 0"):
        load_restorer(name, scale=0)
    with pytest.raises(UnknownNameError, match="known: scale"):
        load_restorer(name, size=2)
    with pytest.raises(SettingError, match="has no runner"):
        load_restorer(name, runner="upstream")
    parameters = json.loads(json.dumps(load_restorer(name, scale=3).parameters))
    assert load_restorer(**parameters).plan.resolved == {"scale": 3}


@BOTH
def test_it_can_be_cancelled_and_reports_its_end(name):
    told = []
    restorer = load_restorer(name)
    restorer.restore(ramp(np.uint8), progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 1)]
    with pytest.raises(CancelledError):
        restorer.restore(ramp(np.uint8), cancel=lambda: True)


def test_settings_as_one_dict_are_refused_with_how_they_are_given():
    with pytest.raises(SettingError, match=r"load_restorer\(\*\*settings\)"):
        load_restorer({"name": "lanczos"})
