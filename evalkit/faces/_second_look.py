"""A second look at faces: one look of one detector is fooled, and misses faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from evalkit.faces._detectors import Detector, Face, Rgb
from evalkit.faces._models import load_detector
from evalkit.images.scaling import Interpolation, scaled
from evalkit.weights import WeightsInUse, find

CANDIDATE = 0.5
"""Confidence from which something may be a face."""

LOOK_PX = 80
"""Longer side at which a face is looked at again. On 1,000 photographs of things and
animals, all people's faces in front view kept 0.98 and more at it, and most dogs, cats
and shields that had 0.9 before fell below."""

MARGIN = 1.0
"""How much is seen around a face on each side, in longer sides of its box."""

AGREES = {"yunet": 0.85}
"""The confidence that a second look needs, by detector, else `SURE`: of YuNet, whose
sure faces have less than RetinaFace's."""

SURE = 0.9

SECOND, SECOND_AGREES = "yunet", 0.7
"""The second detector, and what it must say in one of its two looks: people's faces
have 0.8 and more, turned ones 0.7; cats and toys mostly less."""

NEAR, OF_SIZE = 0.4, 2.0
"""How far from the middle of the first look's face, in its longer side, and by which
factor larger or smaller, that of the second may be."""


def find_second(name: str) -> WeightsInUse | None:
    """The weights of a detector beside the one of that name, if they are here."""
    return None if name in (SECOND, "cascade") else find(SECOND)


def look_again(
    detector: Detector,
    image: Rgb,
    faces: Sequence[Face],
    seen_at: int,
    least_px: float = 0,
) -> list[Face]:
    """Look again at the faces of a first look, and say how sure the looks are together.

    A face is cut out, brought to `LOOK_PX`, and sought as it is and mirrored, by the
    same detector and by the second one, where that is here, which looks at a large one
    at twice that size, too. A candidate, with less than
    `SURE`, is looked at at twice the size that it was seen at, if that is larger.

    Parameters
    ----------
    detector
        Of the first look.
    image
        The picture.
    faces
        All that have `CANDIDATE` or more.
    seen_at
        The longer side to which a longer picture was shrunk for the first look, pixels.
    least_px
        A face with a shorter side is left as it is, in pixels of the picture.

    Returns
    -------
    list[Face]
        The same faces in the same order. The confidence of one that all looks find is
        that of the first look, or of a candidate the least of the second; that of one
        that a look does not find is below `SURE`.

    """
    weights = find_second(detector.name)
    second = load_detector(SECOND, weights) if weights else None
    needed = AGREES.get(detector.name, SURE)
    shrunk = min(1.0, seen_at / max(image.shape[:2]))
    looks = []
    for face in faces:
        if face.side < least_px:
            looks.append(face)
            continue
        is_candidate = face.confidence < SURE  # the cascade's is NaN
        seen_px = shrunk * max(face.width, face.height)
        twice = 2 * seen_px if is_candidate and seen_px < LOOK_PX else 0.0
        crops = _crops(image, face, max(LOOK_PX, twice))
        least = min(_confidence(detector, crop) for crop in crops)
        if second and least >= needed:
            seen = max(_confidence(second, crop) for crop in crops)
            if max(face.width, face.height) >= 2 * LOOK_PX:  # a blurred disc may pass
                larger = _crops(image, face, 2 * LOOK_PX)
                seen = min(seen, max(_confidence(second, crop) for crop in larger))
            least = least if seen >= SECOND_AGREES else seen
        if is_candidate and least >= needed:
            looks.append(replace(face, confidence=max(least, SURE)))
        elif is_candidate or least >= needed:
            looks.append(face)
        else:
            looks.append(replace(face, confidence=least))
    return looks


class Crop(NamedTuple):
    """A face in its surroundings; its middle, x and y, and its length in pixels."""

    pixels: Rgb
    middle: tuple[float, float]
    length: float


def _crops(image: Rgb, face: Face, length: float) -> list[Crop]:
    """The face at that length, as it is and mirrored."""
    factor = length / max(face.width, face.height)
    reach = (0.5 + MARGIN) * length / factor
    x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
    left, top = max(0, int(x - reach)), max(0, int(y - reach))
    pixels = image[top : int(y + reach) + 1, left : int(x + reach) + 1]
    height, width = (max(1, round(side * factor)) for side in pixels.shape[:2])
    how: Interpolation = "area" if factor < 1 else "cubic"
    pixels = scaled(pixels, width, height, how)
    middle = ((x - left) * factor, (y - top) * factor)
    mirrored = np.ascontiguousarray(pixels[:, ::-1])
    return [
        Crop(pixels, middle, length),
        Crop(mirrored, (width - middle[0], middle[1]), length),
    ]


def _confidence(detector: Detector, crop: Crop) -> float:
    """Of the surest face in the middle of a crop, 0 without one; 1 of the cascade."""
    surest = 0.0
    for face in detector(crop.pixels, CANDIDATE):
        x, y = (face.box[0] + face.box[2]) / 2, (face.box[1] + face.box[3]) / 2
        away = np.hypot(x - crop.middle[0], y - crop.middle[1])
        ratio = max(face.width, face.height) / crop.length
        if away <= NEAR * crop.length and 1 / OF_SIZE <= ratio <= OF_SIZE:
            surest = max(surest, float(np.nan_to_num(face.confidence, nan=1.0)))
    return surest
