"""Where a picture shows faces, skin, lips and hair: one search for every output."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.faces import (
    CLASSES,
    MASK_SIDE,
    TEMPLATE,
    Face,
    align,
    as_rgb8,
    parse,
    skin_mask,
)
from evalkit.images import Picture
from evalkit.weights import find

Region = NDArray[np.bool_]
"""Shape ``(height, width)``."""

PARTS = {"lips": ("mouth", "upper lip", "lower lip"), "hair": ("hair",)}
LIPS_AXES = (52, 24)
"""Half axes of an ellipse around the mouth's corners in a crop of 512 px."""

NOTES = {
    "skin": "by an ellipse and by chroma, without ParseNet",
    "lips": "an ellipse around the corners of the mouth, without ParseNet",
}


def face_regions(
    picture: Picture, faces: Sequence[Face]
) -> tuple[dict[str, Region], Mapping[str, str]]:
    """The regions that a picture with faces has, and how they were found.

    Returns
    -------
    tuple
        The regions by name, without empty ones: ``faces`` (their boxes), ``skin``,
        ``lips``, and where ParseNet is here ``hair``; and notes by region.

    """
    boxes = np.zeros(picture.shape[:2], bool)
    for face in faces:
        x0, y0, x1, y1 = (max(0, round(edge)) for edge in face.box)
        boxes[y0:y1, x0:x1] = True
    regions = {"faces": boxes}
    if faces:
        regions["skin"] = skin_mask(picture, faces)[0] >= 0.5
    is_parsed = find("parsenet") is not None
    for name in PARTS if is_parsed else ("lips",):
        regions[name] = _part(picture, faces, name, is_parsed=is_parsed)
    regions = {name: mask for name, mask in regions.items() if mask.any()}
    return regions, {} if is_parsed else NOTES


def _part(
    picture: Picture, faces: Sequence[Face], name: str, *, is_parsed: bool
) -> Region:
    size = (picture.shape[1], picture.shape[0])
    total = np.zeros(picture.shape[:2], bool)
    for face in faces:
        crop, matrix = align(as_rgb8(picture), face.landmarks, MASK_SIDE)
        if is_parsed:
            numbers = [CLASSES.index(part) for part in PARTS[name]]
            part = np.isin(parse(crop), numbers).astype(np.uint8)
        else:
            part = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
            x, y = np.rint(TEMPLATE[3:].mean(axis=0)).astype(int).tolist()
            cv2.ellipse(part, (x, y), LIPS_AXES, 0, 0, 360, 1, -1)
        inverse = cv2.invertAffineTransform(matrix)
        total |= cv2.warpAffine(part, inverse, size).astype(bool)
    return total
