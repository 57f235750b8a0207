"""Faces: find them, align them, parse them, paste them back.

One detector stands in for another where its weights cannot be had, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.faces._detectors import (
    DETECTORS,
    NETWORKS,
    Detector,
    Face,
    Rgb,
    drop_repeats,
)
from evalkit.faces._geometry import (
    MASK_SIDE,
    TEMPLATE,
    Composite,
    Mask,
    Matrix,
    align,
    parsed_mask,
    paste,
    protect_skin,
    similarity,
    skin_of,
    soft_rectangle,
    to_frame,
)
from evalkit.faces._models import find_detector, load_detector, load_parser
from evalkit.faces._second_look import CANDIDATE, find_second, look_again
from evalkit.faces._second_look import SURE as CONFIDENCE
from evalkit.images import Picture, check_picture
from evalkit.images.channels import as_rgb8
from evalkit.weights import fetch, find

__all__ = [
    "CANDIDATE",
    "CLASSES",
    "CONFIDENCE",
    "DETECTORS",
    "MASK_SIDE",
    "NETWORKS",
    "TEMPLATE",
    "Composite",
    "Detector",
    "Face",
    "Mask",
    "Matrix",
    "Rgb",
    "align",
    "as_rgb8",
    "detect",
    "detector",
    "find_at",
    "find_detector",
    "find_faces",
    "find_second",
    "load_detector",
    "load_parser",
    "look_again",
    "parse",
    "parsed_mask",
    "paste",
    "protect_skin",
    "similarity",
    "skin_mask",
    "skin_of",
    "soft_rectangle",
    "to_frame",
]

CLASSES = (
    "background",
    "skin",
    "nose",
    "glasses",
    "left eye",
    "right eye",
    "left brow",
    "right brow",
    "left ear",
    "right ear",
    "mouth",
    "upper lip",
    "lower lip",
    "hair",
    "hat",
    "earring",
    "necklace",
    "neck",
    "clothes",
)
"""What `parse` tells apart, by number: the classes of CelebAMask-HQ."""

FINE_SIDE, COARSE_SIDE = 1500, 512
"""Pictures are shrunk to both sides, pixels: RetinaFace's largest anchor is 512 px, and
near it the detectors split a face or miss it, so large faces are sought in a small
picture; small faces are lost there, so they are sought in the large one."""

SMALL_UP_TO, LARGE_FROM = 400, 200
"""Pixels, at the fine side, of faces that the fine and the coarse pass answer for."""

SKIN_NOTE = "skin told by an ellipse and by chroma: ParseNet's weights are not here"

SMALLEST_SIDE = 16
"""A picture with a shorter side, in pixels, has no face that a detector knows."""


def detect(
    image: Picture,
    *,
    confidence: float = CONFIDENCE,
    detector: str = "auto",
    device: str = "cpu",
) -> list[Face]:
    """Find the faces in a picture.

    Parameters
    ----------
    image
        See `Picture`; alpha is not looked at.
    confidence
        The least that a face must have, in [0, 1].
    detector
        See `find_detector`.
    device
        A torch device string, for the RetinaFace networks.

    Returns
    -------
    list[Face]
        In pixels of `image`, the surest first; empty where there is none.

    Raises
    ------
    ImageError
        `image` is not a `Picture`.
    UnknownNameError, WeightsError
        As in `find_detector`.

    """
    check_picture(image)
    name, weights, _ = find_detector(detector)
    loaded = load_detector(name, weights, device)
    return find_faces(loaded, as_rgb8(image), confidence)


def detector(name: str = "auto", device: str = "cpu") -> Detector:
    """The detector of that name, see `find_detector`; loaded once a file and device."""
    name, weights, _ = find_detector(name)
    return load_detector(name, weights, device)


def find_faces(
    detector: Detector, image: Rgb, confidence: float = CONFIDENCE
) -> list[Face]:
    """Find faces as `detect` does, with a loaded detector.

    Faces up to 400 px are sought at 1500 px of the longer side, those from 200 px at
    512 px; where both find a face, the surer is kept.
    """
    longest = max(image.shape[:2])
    if detector.name == "cascade" or longest <= COARSE_SIDE:
        return find_at(detector, image, confidence, FINE_SIDE)
    unit = max(1.0, longest / FINE_SIDE)
    fine = find_at(detector, image, confidence, FINE_SIDE)
    coarse = find_at(detector, image, confidence, COARSE_SIDE)
    faces = [face for face in fine if face.height <= SMALL_UP_TO * unit]
    faces += [face for face in coarse if face.height >= LARGE_FROM * unit]
    return drop_repeats(sorted(faces, key=lambda face: -face.confidence))


def find_at(
    detector: Detector,
    image: Rgb,
    confidence: float,
    side: float,
    interpolation: int = cv2.INTER_AREA,
) -> list[Face]:
    """Find faces in a picture that is shrunk to `side` pixels where it is longer."""
    height, width = image.shape[:2]
    if min(height, width) < SMALLEST_SIDE:
        return []
    factor = side / max(height, width)
    if factor >= 1:
        return detector(image, confidence)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(image, size, interpolation=interpolation)
    faces = detector(small, confidence)
    return [face.scaled(width / size[0], height / size[1]) for face in faces]


def parse(image: Picture) -> NDArray[np.uint8]:
    """Which part of a face each pixel shows.

    Parameters
    ----------
    image
        One face that fills the frame, as `align` cuts it out; see `Picture`.

    Returns
    -------
    NDArray[np.uint8]
        ``(H, W)``, of `image`; the numbers are those of `CLASSES`.

    Raises
    ------
    ImageError
        `image` is not a `Picture`.
    WeightsError
        ParseNet's weights cannot be had; the text says what to do.

    """
    check_picture(image)
    classes = load_parser(fetch("parsenet"))(as_rgb8(image))
    size = image.shape[1::-1]
    return np.asarray(cv2.resize(classes, size, interpolation=cv2.INTER_NEAREST))


def skin_mask(image: Picture, faces: Sequence[Face]) -> tuple[Mask, list[str]]:
    """Where a picture shows the skin of faces.

    Parameters
    ----------
    image
        See `Picture`.
    faces
        As `detect` returns them.

    Returns
    -------
    tuple
        ``(H, W)``, in [0, 1]; and a note where ParseNet's weights are not here and
        skin was found by its place and colour.

    """
    check_picture(image)
    weights = find("parsenet")
    parser = load_parser(weights) if weights else None
    picture = as_rgb8(image)
    total = np.zeros(image.shape[:2], np.float32)
    for face in faces:
        crop, matrix = align(picture, face.landmarks, MASK_SIDE)
        skin = skin_of(crop, parser(crop) if parser else None)
        inverse = cv2.invertAffineTransform(matrix)
        total = np.maximum(total, cv2.warpAffine(skin, inverse, image.shape[1::-1]))
    return total, [] if weights else [SKIN_NOTE]
