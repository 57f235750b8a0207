"""A second look at faces, with stand-ins for detectors and on real pictures."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from evalkit import faces
from evalkit.faces import _second_look
from evalkit.weights import find

BOX = (178, 56, 272, 178)


def face(confidence, box=BOX):
    points = np.array([(203, 101), (248, 102), (226, 130), (202, 140), (247, 141)])
    return faces.Face(box, confidence, points.astype(float), "planted")


class Saying(faces.Detector):
    """Finds a face in the middle of each crop, with the confidences it is given."""

    def __init__(self, name, *confidences):
        super().__init__(name, None)
        self.confidences, self.seen = list(confidences), []

    def __call__(self, image, confidence):
        self.seen.append(image)
        middle, half = len(image) / 2, len(image) / 6
        box = (middle - half, middle - half, middle + half, middle + half)
        return [face(self.confidences.pop(0), box)]


@pytest.fixture
def second(monkeypatch):
    """``second(*confidences)`` is YuNet's stand-in; without it there is none."""
    monkeypatch.setattr(_second_look, "find", lambda _: None)

    def use(*confidences):
        detector = Saying("yunet", *confidences)
        monkeypatch.setattr(_second_look, "find", lambda _: "weights")
        monkeypatch.setattr(_second_look, "load_detector", lambda *_: detector)
        return detector

    return use


@pytest.mark.parametrize(
    ("first", "plain", "mirrored", "expected"),
    [
        (0.95, 0.99, 0.98, 0.95),  # a face
        (0.95, 0.99, 0.4, 0.4),  # none in the mirror
        (0.7, 0.96, 0.95, 0.95),  # a candidate that is one
        (0.7, 0.96, 0.8, 0.7),  # and one that is none
    ],
)
def test_a_face_survives_a_mirrored_look(
    astronaut, second, first, plain, mirrored, expected
):
    detector = Saying("retinaface-mobile0.25", plain, mirrored)
    (again,) = faces.look_again(detector, astronaut, [face(first)], 800)
    assert again.confidence == expected
    np.testing.assert_array_equal(detector.seen[1], detector.seen[0][:, ::-1])


@pytest.mark.parametrize(("seen", "expected"), [(0.8, 0.95), (0.5, 0.5)])
def test_and_a_second_detector_where_there_is_one(astronaut, second, seen, expected):
    second(seen, 0.1)
    detector = Saying("retinaface-mobile0.25", 0.99, 0.99)
    (again,) = faces.look_again(detector, astronaut, [face(0.95)], 800)
    assert again.confidence == expected


@pytest.mark.parametrize(("length_px", "expected"), [(20, 80), (60, 120), (300, 80)])
def test_a_small_candidate_is_looked_at_at_twice_its_size(second, length_px, expected):
    image = np.zeros((1000, 1000, 3), np.uint8)
    detector = Saying("retinaface-mobile0.25", 0.99, 0.99)
    box = (400, 400, 400 + length_px, 400 + length_px)
    faces.look_again(detector, image, [face(0.6, box)], 1000)
    assert detector.seen[0].shape[0] == pytest.approx(3 * expected, abs=6)


def test_what_is_too_small_to_decide_is_left_as_it_is(astronaut, second):
    tiny = face(0.95, (10, 10, 30, 34))
    detector = Saying("retinaface-mobile0.25")
    assert faces.look_again(detector, astronaut, [tiny], 800, least_px=28) == [tiny]


@pytest.fixture
def detector(mirror, need):
    need(find("retinaface-mobile0.25"), "EVALKIT_MIRROR holds no retinaface-mobile0.25")
    return faces.detector("retinaface-mobile0.25")


def look(detector, image, confidence=0.95, box=BOX):
    planted = replace(face(confidence), box=box)
    return faces.look_again(detector, image, [planted], 800)[0].confidence


def test_a_real_face_is_found_again_bright_dark_grey_and_upside_down_it_is_not(
    detector, astronaut
):
    dark = (astronaut * 0.4).astype(np.uint8)
    grey = cv2.cvtColor(cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for image in (astronaut, dark, grey):
        assert look(detector, image) == 0.95
        assert look(detector, image, 0.6) > 0.9
    x0, y0, x1, y1 = BOX
    turned = (512 - x1, 512 - y1, 512 - x0, 512 - y0)
    assert look(detector, astronaut[::-1, ::-1].copy(), box=turned) < 0.9


def round_product():
    """A speaker on white: a disc with two buttons, a light and a grille."""
    image = np.full((510, 640, 3), 255, np.uint8)
    cv2.ellipse(image, (320, 255), (150, 190), 0, 0, 360, (60, 60, 66), -1)
    for x in (265, 375):
        cv2.circle(image, (x, 205), 20, (20, 20, 22), -1)
    cv2.ellipse(image, (320, 335), (60, 18), 0, 0, 360, (25, 25, 28), -1)
    cv2.circle(image, (320, 270), 12, (110, 110, 118), -1)
    return cv2.GaussianBlur(image, (0, 0), 2)


def plate():
    image = np.full((300, 640, 3), 230, np.uint8)
    cv2.putText(image, "OO8 0O8", (60, 190), 0, 4, (20, 30, 90), 14)
    return image


def cat():
    from skimage.data import chelsea

    return np.asarray(chelsea())


@pytest.mark.parametrize("draw", [round_product, plate, cat])
def test_what_is_no_face_is_none_even_if_one_look_were_sure(detector, draw):
    image = draw()
    height, width = image.shape[:2]
    half = 0.4 * min(height, width)
    box = (width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half)
    assert look(detector, image, 0.95, box) < 0.9
    assert look(detector, image, 0.8, box) < 0.9
