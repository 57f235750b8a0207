"""What the router sees of a picture: faces looked at twice, text, ground, quality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalkit.images import Picture

if TYPE_CHECKING:
    from evalkit.faces import Detector, Face, Rgb

FEATURES = {
    "is_pdf": "1 for a page of a PDF, 0 for none; unknown of pixels alone",
    "is_camera": "1 for what its folder or kinds.csv calls surveillance",
    "folder_faces": "share of the pictures of its folder that have a face",
    "text_density": "share of the picture in boxes of text that hold no face",
    "n_faces": "faces that a second look confirms, or that are too small for one",
    "largest_face_px": "shorter side of the largest face, pixels of the picture",
    "face_share": "share of the picture in the boxes of faces",
    "n_candidates": "what may be a face, and no second look has confirmed",
    "face_offset": "the largest face's middle beside the picture's, in its width",
    "face_turn": "nose beside the middle of the eyes, in their distance",
    "straight_edges": "share of the edges' length in long straight ones",
    "sharpness": "from 0, blurred, to 1",
    "noise_level": "of luma, levels of 255",
    "blockiness": "contrast across JPEG's grid, dB",
    "aspect": "height over width",
    "plain_border": "share of the border that has its middle colour",
    "plain_top": "the same of the top and the upper half of the sides",
    "ground_lightness": "of that colour at the top, CIE L*, from 0 to 100",
    "ground_red": "its CIE a*",
    "ground_blue": "its CIE b*, negative",
    "is_video_size": "1 for the size of a frame of a video, 0 for none",
    "time_stamp": "1 where a clock's time or a camera's number is written at an edge",
}
"""What is looked at; NaN for what is unknown."""

FACTS = ("is_pdf", "is_camera", "folder_faces")
"""Those that a file, its folder and its neighbours say, and the pixels do not."""

FACES_PX = 800
"""Longest side at which faces are sought first: a face of `SMALLEST_FACE_PX` in a
picture of twice that size is still a candidate."""

QUALITY_PX, LEAST_QUALITY_PX = 512, 22
"""Sides of the window in the middle in which sharpness, noise and blocks are measured;
on JPEG's grid. They stay unknown in a smaller picture than the second."""

SMALLEST_FACE_PX = 28
"""Shorter side of the smallest face that decides, and that the hybrid restores, in
pixels of the picture: GPEN would invent most of a smaller one, which it enlarges 18
times and more. A painted man and a family of seven lie on either side."""

TEXT_FROM, CROWD_FROM = 0.12, 40
"""More text or more faces than this, and no face decides."""

ENOUGH = 4
"""Where so many large faces are confirmed, the others are believed."""

VIDEO_SIZES = frozenset(
    {(320, 240), (352, 240), (352, 288), (640, 360), (640, 480), (704, 480)}
    | {(704, 576), (720, 480), (720, 576), (768, 576), (800, 448), (960, 540)}
    | {(1280, 720), (1280, 960), (1920, 1080), (2560, 1440), (2592, 1944)}
)
"""Width and height of frames: CIF, VGA, D1, PAL, NTSC, 720p to 1440p, 5 megapixels.
(3840, 2160) is left out: cameras of hand take photographs of that size, too."""


def look(
    picture: Picture, detector: Detector, *, is_pdf: float = float("nan")
) -> dict[str, float]:
    """Measure all of `FEATURES` but the other `FACTS`, which stay unknown.

    Parameters
    ----------
    picture
        See `Picture`.
    detector
        From `evalkit.faces.detector`.
    is_pdf
        1 or 0 where the file is known.

    """
    from evalkit import faces, features  # late: whoever reads the rules only needs none

    pixels = faces.as_rgb8(picture)
    seen = faces.find_at(detector, pixels, faces.CANDIDATE, FACES_PX)
    sure = [face for face in seen if not face.confidence < faces.CONFIDENCE]
    boxes = features.text_boxes(pixels)
    density = features.text_density(boxes, sure, pixels.shape)
    decides = not (is_pdf > 0 or density > TEXT_FROM or len(sure) > CROWD_FROM)
    if decides:
        seen = _confirmed(pixels, detector, seen)
        sure = [face for face in seen if not face.confidence < faces.CONFIDENCE]
        density = features.text_density(boxes, sure, pixels.shape)
    height, width = pixels.shape[:2]
    values = {
        **dict.fromkeys(FEATURES, float("nan")),
        "is_pdf": is_pdf,
        "text_density": density,
        **features.face_statistics(sure, pixels.shape),
        "n_candidates": sum(
            face.side >= SMALLEST_FACE_PX for face in seen if face not in sure
        ),
        "straight_edges": features.straight_edges(pixels),
        "aspect": height / width,
        "is_video_size": float((width, height) in VIDEO_SIZES),
        **features.ground(pixels),
    }
    if sure:
        largest = max(sure, key=lambda face: face.side)
        values |= {"largest_face_px": largest.side, **_pose(largest, width)}
    if sure and decides:
        values["time_stamp"] = features.time_stamp(pixels, boxes)
    grid = features.JPEG_BLOCK_PX
    window = pixels[tuple(_middle(length, grid) for length in pixels.shape[:2])]
    if min(window.shape[:2]) >= LEAST_QUALITY_PX:
        for name in ("sharpness", "noise_level", "blockiness"):
            values[name] = getattr(features, name)(window)
    return values


def _confirmed(pixels: Rgb, detector: Detector, seen: Sequence[Face]) -> list[Face]:
    """The faces after a second look, at as many as it takes to decide.

    Of the sure ones the largest are looked at, and all where one of those is none;
    candidates only where fewer than two faces are sure by then.
    """
    from evalkit.faces import CONFIDENCE, look_again

    large = [face for face in seen if face.side >= SMALLEST_FACE_PX]
    small = [face for face in seen if face.side < SMALLEST_FACE_PX]
    sure = [face for face in large if not face.confidence < CONFIDENCE]
    candidates = [face for face in large if face.confidence < CONFIDENCE]
    sure.sort(key=lambda face: -face.side)
    again = look_again(detector, pixels, sure[:ENOUGH], FACES_PX)
    rest = sure[ENOUGH:]
    n_sure = sum(not face.confidence < CONFIDENCE for face in again)
    if n_sure < len(again):
        rest = look_again(detector, pixels, rest, FACES_PX)
    if n_sure < 2:
        candidates = look_again(detector, pixels, candidates, FACES_PX)
    return [*again, *rest, *candidates, *small]


def _pose(face: Face, width: int) -> dict[str, float]:
    """How far a face is from the middle of a picture, and from looking at it."""
    left, right, nose = (float(x) for x in face.landmarks[:3, 0])
    middle = (face.box[0] + face.box[2]) / 2
    apart = max(abs(right - left), 1e-6)
    return {
        "face_offset": abs(middle / width - 0.5),
        "face_turn": abs(nose - (left + right) / 2) / apart,
    }


def _middle(length: int, grid: int) -> slice:
    start = max(0, length - QUALITY_PX) // 2 // grid * grid
    return slice(start, start + QUALITY_PX)
