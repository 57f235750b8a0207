import cv2
import numpy as np
import pytest

from evalkit.faces import detect
from evalkit.metrics import _content
from evalkit.metrics.landmark_drift import landmark_drift


@pytest.fixture(autouse=True)
def _nothing_is_remembered():
    _content._faces.cache_clear()
    yield
    _content._faces.cache_clear()


def test_assumed_landmarks_do_not_drift(astronaut, monkeypatch):
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    assert np.isnan(landmark_drift(astronaut, astronaut))


def test_a_face_that_stays_has_not_drifted(mirror, astronaut):
    assert landmark_drift(astronaut, astronaut) == 0


@pytest.mark.parametrize("shift_px", [4, 8])
def test_a_shift_is_found_in_shares_of_the_eyes_distance(mirror, astronaut, shift_px):
    moved = np.roll(astronaut, shift_px, axis=1)
    left, right = max(detect(astronaut), key=lambda face: face.width).landmarks[:2]
    expected = 100 * shift_px / np.linalg.norm(right - left)
    assert landmark_drift(moved, astronaut) == pytest.approx(expected, rel=0.25)


def test_without_a_face_in_either_there_is_no_value(mirror, astronaut):
    sky = np.full_like(astronaut, 200)
    assert np.isnan(landmark_drift(sky, sky))
    assert np.isnan(landmark_drift(sky, astronaut))
    assert np.isnan(landmark_drift(astronaut, sky))


def test_landmarks_that_the_mirrored_picture_puts_elsewhere_measure_no_drift(
    mirror, astronaut
):
    top, left, bottom, right = 70, 190, 160, 270
    hidden = astronaut.copy()  # a face blurred until its eyes are a guess
    face = hidden[top:bottom, left:right]
    assert not np.isnan(landmark_drift(hidden, hidden))
    hidden[top:bottom, left:right] = cv2.GaussianBlur(face, (0, 0), 9)
    assert np.isnan(landmark_drift(hidden, hidden))
