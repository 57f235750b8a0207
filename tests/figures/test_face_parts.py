import cv2
import numpy as np
import pytest

from evalkit import figures
from evalkit.errors import SettingError
from evalkit.faces import CLASSES


def drawn():
    """A map drawn by hand: hair, an oval of skin, eyes, nose, a lip."""
    parts = np.zeros((512, 512), np.uint8)
    for name, centre, axes, begin in (
        ("hair", (256, 250), (190, 230), 180),
        ("skin", (256, 280), (150, 200), 0),
        ("left eye", (193, 240), (30, 12), 0),
        ("right eye", (319, 240), (30, 12), 0),
        ("nose", (256, 310), (25, 45), 0),
        ("upper lip", (256, 390), (55, 12), 180),
    ):
        cv2.ellipse(parts, centre, axes, 0, begin, 360, CLASSES.index(name), -1)
    return parts


@pytest.fixture
def face(astronaut):
    return cv2.resize(astronaut[0:256, 100:356], (512, 512))


def test_each_part_is_named_with_its_share(face):
    parts = drawn()
    nose = CLASSES.index("nose")
    legend = [text.get_text() for text in figures.face_parts(face, parts).texts]
    assert f"\u2007{nose}  nose, {(parts == nose).mean():.1%}" in legend
    assert len(legend) == len(np.unique(parts))


def test_a_number_stands_inside_its_part(face):
    parts = drawn()
    labels = figures.face_parts(face, parts).axes[1].texts
    assert {int(label.get_text()) for label in labels} == {*np.unique(parts)}
    for label in labels:
        x, y = (round(512 / 480 * value) for value in label.xy)
        assert parts[y, x] == int(label.get_text())


@pytest.mark.parametrize("wrong", [np.zeros((8, 8)), np.full((512, 512), 19)])
def test_a_map_that_is_not_of_this_face_is_refused(face, wrong):
    with pytest.raises(SettingError, match="expected classes 0 to 18 of shape"):
        figures.face_parts(face, wrong.astype(np.uint8))
