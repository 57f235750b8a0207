"""The digests are of pixels, computed once. They hold while the lock pins Pillow (with
its libjpeg-turbo), numpy and scipy: a change means other pictures, so other results.
"""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from evalkit.images import pixel_sha256, read_image
from evalkit.imagesets import prepare

PIXELS = {
    # source, reference
    "portrait-jpeg": ("811faa6f3f9dd113", "92e664b4333a9ab9"),
    "portrait-highlights": ("be140ada924980a2", "d9135e776018b6cb"),
    "portrait-backlit": ("7e0c2866b0ffddc9", "b350c70f5b658d8f"),
    "building-pagoda": ("19d6943424d15aeb", "0df4dc6215eab2d4"),
    "building-brick-wall": ("30ed43858eed2734", "6ef3c9f6c491b66c"),
    "text-page": ("be98be2b70fc622a", "a15a17e363047a09"),
    "mixed-cameraman": ("11186a907c88f93f", "aa6392f41e6b5c2d"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("quick")


@pytest.fixture
def table(folder):
    return prepare("quick", folder=folder)


def test_the_same_pixels_every_time(table):
    found = {
        row.source: (
            pixel_sha256(read_image(row.path))[:16],
            pixel_sha256(read_image(row.reference))[:16],
        )
        for row in table.itertuples()
    }
    assert found == PIXELS


def test_the_same_bytes_in_another_process_with_other_threads(table, tmp_path):
    code = (
        "import sys; from pathlib import Path; from evalkit.imagesets import prepare; "
        "table = prepare('quick', folder=Path(sys.argv[1])); "
        "print(*table['sha256'], *table['reference_sha256'])"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "7"}
    told = subprocess.check_output(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, text=True
    )
    assert told.split() == [*table["sha256"], *table["reference_sha256"]]


def test_the_kinds_of_the_issue_are_there(table):
    assert table["kind"].value_counts().to_dict() == {
        "portrait": 3,
        "building": 2,
        "text": 1,
        "mixed": 1,
    }
    notes = table.set_index("source")["note"]
    assert "highlights clipped" in notes["portrait-highlights"]
    assert "backlit" in notes["portrait-backlit"]
    assert "JPEG blocks" in notes["portrait-jpeg"]
    assert "not composed" in notes["mixed-cameraman"]


def test_a_face_used_twice_is_said_at_both_places(table):
    notes = table.set_index("source")["note"]
    assert "same face as portrait-highlights" in notes["portrait-jpeg"]
    assert "same face as portrait-jpeg" in notes["portrait-highlights"]


def test_no_picture_is_large(table):
    assert (table["width_px"] * table["height_px"]).max() <= 70_000
    for row in table.itertuples():
        assert max(read_image(row.reference).shape[:2]) <= 512


def test_highlights_are_clipped_and_blocks_are_on_the_grid_of_jpeg(table):
    paths = table.set_index("source")["path"]
    bright = read_image(paths["portrait-highlights"])
    reference = read_image(
        table.set_index("source")["reference"]["portrait-highlights"]
    )
    assert (bright == 255).all(2).mean() > 0.1 > (reference == 255).all(2).mean()
    blocky = read_image(paths["portrait-jpeg"])[..., 1].astype(int)
    steps = np.abs(np.diff(blocky, axis=1)).mean(0)
    assert steps[7::8].mean() > 1.5 * np.delete(steps, np.s_[7::8]).mean()


def test_the_backlit_face_is_dark_before_a_bright_ground(table):
    image = read_image(table.set_index("source")["path"]["portrait-backlit"])
    face, ground = image[70:130, 85:140], image[80:140, 165:215]
    assert face.mean() < 70
    assert ground.mean() > 220


@pytest.mark.parametrize(
    ("source", "n_faces"),
    [
        *(("portrait-jpeg", 1), ("portrait-highlights", 1), ("portrait-backlit", 1)),
        *(("mixed-cameraman", 1), ("building-pagoda", 0), ("building-brick-wall", 0)),
        ("text-page", 0),
    ],
)
def test_faces_can_still_be_found(table, mirror, need, source, n_faces):
    models = [path for m in mirror for path in m.rglob("face_detection_yunet*.onnx")]
    need(models, "a folder of EVALKIT_MIRROR must hold YuNet")
    image = read_image(table.set_index("source")["path"][source])
    image = np.dstack([image] * 3) if image.ndim == 2 else image
    size = (image.shape[1], image.shape[0])
    detector = cv2.FaceDetectorYN.create(str(models[0]), "", size, 0.8)
    _, faces = detector.detect(np.ascontiguousarray(image[..., ::-1]))
    assert (0 if faces is None else len(faces)) == n_faces
