"""The maps of pathologies: one scale for all conditions, nothing cut off."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from evalkit.figures import pathology_maps

LEGENDS = {"halo": ("Overshoot beside edges.", "%"), "texture": ("Detail.", "dB")}


def drawn(shape, maps):
    picture = np.full((*shape, 3), 90, np.uint8)
    outputs = dict.fromkeys(maps, picture)
    told = {
        condition: {name: (one, f"{one.mean():.1f}") for name, one in own.items()}
        for condition, own in maps.items()
    }
    figure = pathology_maps(picture, outputs, told, LEGENDS)
    FigureCanvasAgg(figure).draw()
    return figure


def of(halo, texture, shape):
    full = {"halo": np.full(shape, halo), "texture": np.full(shape, texture)}
    return {name: values.astype(np.float32) for name, values in full.items()}


def panels(figure):
    """The colour in the middle of every panel, from the left of the top row on."""
    axes = [axes for axes in figure.axes if axes.images]
    pictures = [axes.images[0].get_array() for axes in axes]
    return [p[p.shape[0] // 2, p.shape[1] // 2].tolist() for p in pictures]


def test_the_same_colour_means_the_same_in_every_row():
    shape = (60, 80)
    figure = drawn(shape, {"a": of(1, -4, shape), "b": of(4, 0, shape)})
    _, _, _, _, halo_a, texture_a, _, halo_b, texture_b = panels(figure)
    (red, _, blue), (more_red, _, less_blue) = halo_a, halo_b
    assert red - blue < more_red - less_blue  # brown: more of it
    assert texture_a[2] > texture_a[1] + 40  # purple: less than the source has
    assert len(set(texture_b)) == 1  # unchanged: the picture under it, pale
    assert texture_b[0] == pytest.approx(255 - (255 - 90) / 2, abs=1)
    texts = [text.get_text() for text in figure.texts]
    assert "map: 0 to 4 %" in texts
    assert "map: -4 to 4 dB" in texts


@pytest.mark.parametrize("shape", [(30, 200), (90, 120), (300, 100)])
def test_nothing_is_cut_off_or_laid_over_another(shape):
    figure = drawn(shape, {"a-condition@with=settings": of(1, -4, shape)})
    width, height = figure.bbox.size
    boxes = [text.get_window_extent() for text in figure.texts]
    for box in boxes:
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
    for axes in figure.axes:
        for box in boxes:
            assert not axes.bbox.shrunk(0.98, 0.98).overlaps(box)


def test_a_defect_that_nobody_has_has_no_column():
    shape = (60, 80)
    figure = drawn(shape, {"a": of(0, 2, shape), "b": of(0, 0, shape)})
    assert len(panels(figure)) == 2 * 3
    assert "halo" not in [text.get_text() for text in figure.texts]
