"""Features of planted lines, of type, of boxes with known areas."""

import cv2
import numpy as np
import pytest

from evalkit import features
from evalkit.faces import Face
from evalkit.features import _scene


def face(x0, y0, x1, y1):
    middle = np.full((5, 2), ((x0 + x1) / 2, (y0 + y1) / 2))
    return Face((x0, y0, x1, y1), 1.0, middle, "planted")


def page(size=(300, 400)):
    image = np.full((*size, 3), 255, np.uint8)
    for line in range(4):
        where, black = (30, 60 + 60 * line), (0, 0, 0)
        cv2.putText(image, "Evaluate 2026", where, 0, 1.4, black, 3, cv2.LINE_AA)
    return image


def test_a_grid_of_lines_is_straight_and_clouds_are_not():
    grid = np.full((400, 400), 255, np.uint8)
    grid[::40] = grid[:, ::40] = 0
    noise = np.random.default_rng(0).uniform(0, 1, (400, 400))
    clouds = cv2.normalize(
        cv2.GaussianBlur(noise, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX
    )
    assert features.straight_edges(grid) > 0.95
    assert features.straight_edges(clouds.astype(np.uint8)) < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (40, 50, 4)])
def test_a_picture_without_edges_has_no_straight_ones(shape):
    assert features.straight_edges(np.full(shape, 90, np.uint16)) == 0


@pytest.fixture
def ocr(need):
    need(_scene.find_spec("rapidocr_onnxruntime"), "install evalkit[ocr]")


def test_lines_of_text_are_found_where_they_are(ocr):
    boxes = features.text_boxes(page())
    assert len(boxes) == 4
    middles = np.sort(boxes.mean(axis=1)[:, 1])
    np.testing.assert_allclose(middles, [48, 108, 168, 228], atol=10)


def test_boxes_are_in_pixels_of_a_picture_that_was_shrunk(ocr):
    small = features.text_boxes(page())
    large = features.text_boxes(np.kron(page(), np.ones((4, 4, 1), np.uint8)))
    order = [np.argsort(boxes.mean(axis=1)[:, 1]) for boxes in (small, large)]
    np.testing.assert_allclose(large[order[1]] / 4, small[order[0]], atol=12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (300, 400, 3)])
def test_a_picture_without_text_has_no_boxes(ocr, shape):
    assert features.text_boxes(np.full(shape, 90, np.uint8)).shape == (0, 4, 2)


def test_without_the_extra_text_is_unknown_not_absent(monkeypatch):
    monkeypatch.setattr(_scene, "find_spec", lambda _: None)
    assert features.text_boxes(page()) is None
    assert np.isnan(features.text_density(None, [], (10, 10)))


BOX = np.array([[[10, 20], [50, 20], [50, 40], [10, 40]]], float)


@pytest.mark.parametrize("factor", [1, 40])
def test_density_is_the_share_of_the_area_and_overlaps_count_once(factor):
    density = features.text_density(
        factor * np.repeat(BOX, 2, axis=0), [], (100 * factor, 100 * factor)
    )
    assert density == pytest.approx(0.08, abs=0.01)


def test_a_box_around_the_middle_of_a_face_is_no_text():
    shape = (100, 100)
    assert features.text_density(BOX, [face(20, 22, 40, 38)], shape) == 0
    assert features.text_density(BOX, [face(60, 60, 90, 90)], shape) > 0.07


def test_statistics_of_faces():
    faces = [face(0, 0, 10, 20), face(50, 50, 80, 70)]
    assert features.face_statistics(faces, (100, 200, 3)) == {
        "n_faces": 2,
        "largest_face_px": 30,
        "face_share": pytest.approx((200 + 600) / 20_000),
    }
    assert features.face_statistics([], (9, 9)) == dict.fromkeys(
        ("n_faces", "largest_face_px", "face_share"), 0
    )
