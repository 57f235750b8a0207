"""Which part of a picture is shown enlarged: chosen by a rule, the same for all."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.figures._screen import on_screen, shrunk
from evalkit.images import Picture

CROP_RULE = "the largest face where faces were given, else the most detail"
CROP_WIDTH_PX, CROP_HEIGHT_PX = 120, 90
SOUGHT_PX = 4096
"""Longest side at which detail is sought: it takes 40 bytes a pixel."""

FACE_MARGIN = 0.15
SAME_SHAPE = 0.03
"""Relative difference of aspect up to which two pictures show the same view."""


class Crop(NamedTuple):
    """A part of a source, in px of the source, from its top left corner."""

    x: int
    y: int
    width: int
    height: int


def crop_box(
    source: Picture, faces: Sequence[tuple[float, float, float, float]] = ()
) -> Crop:
    """The part of a source that is shown enlarged, under every condition.

    With faces: the largest, with a margin of 15 % on each side, widened to 4:3 and
    to at least 120x90 px. Without: the window of 120x90 px with the most detail, that
    is the greatest sum of the magnitude of luma's gradient, after a Gaussian of sigma
    1 that keeps noise from winning; the topmost, then leftmost, of equals. The
    magnitude and not its square, since that finds one hard edge and not texture. A
    picture smaller than that is taken whole along that side; one with a side over
    4096 px is looked at in a smaller copy.

    Parameters
    ----------
    source
        See `evalkit.images.Picture`.
    faces
        Boxes ``(x0, y0, x1, y1)`` in px of the source, as `evalkit.faces` has them.

    Returns
    -------
    Crop
        Inside the picture.

    """
    height, width = source.shape[:2]
    if len(faces):
        return _around(max(faces, key=_area), width, height)
    window = Crop(0, 0, min(CROP_WIDTH_PX, width), min(CROP_HEIGHT_PX, height))
    factor = max(1, math.ceil(max(width, height) / SOUGHT_PX))
    if factor == 1:
        sums = _window_sums(_detail(source), window.width, window.height)
        y, x = np.unravel_index(int(sums.argmax()), sums.shape)
        return window._replace(x=int(x), y=int(y))
    small = shrunk(source, max(1, width // factor), max(1, height // factor))
    sums = _window_sums(
        _detail(small),
        min(small.shape[1], max(1, window.width // factor)),
        min(small.shape[0], max(1, window.height // factor)),
    )
    y, x = np.unravel_index(int(sums.argmax()), sums.shape)
    return window._replace(
        x=min(int(x) * factor, width - window.width),
        y=min(int(y) * factor, height - window.height),
    )


def cut(picture: Picture, crop: Crop, source_shape: tuple[int, ...]) -> Picture | None:
    """The same part of an output, at the output's own size.

    Parameters
    ----------
    picture
        The source, its reference, or an output of any size.
    crop
        In px of the source.
    source_shape
        ``(height, width, ...)`` of the source.

    Returns
    -------
    Picture or None
        None when the picture's shape differs from the source's by over 3 %: then it
        does not show the same view.

    """
    scale_x = picture.shape[1] / source_shape[1]
    scale_y = picture.shape[0] / source_shape[0]
    if not shows_same_view(picture, source_shape):
        return None
    left, top = round(crop.x * scale_x), round(crop.y * scale_y)
    right = max(round((crop.x + crop.width) * scale_x), left + 1)
    bottom = max(round((crop.y + crop.height) * scale_y), top + 1)
    return picture[top:bottom, left:right]


def shows_same_view(picture: Picture, source_shape: tuple[int, ...]) -> bool:
    """Whether a picture has the source's shape, up to 3 % or one px of rounding."""
    wide = int(picture.shape[1] * source_shape[0])
    high = int(picture.shape[0] * source_shape[1])
    allowed = max(SAME_SHAPE * high, *picture.shape[:2], *source_shape[:2])
    return bool(abs(wide - high) <= allowed)


def _area(box: tuple[float, float, float, float]) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _around(box: tuple[float, float, float, float], width: int, height: int) -> Crop:
    x0, y0, x1, y1 = box
    box_width, box_height = x1 - x0, y1 - y0
    wide = max(box_width * (1 + 2 * FACE_MARGIN), CROP_WIDTH_PX)
    high = max(box_height * (1 + 2 * FACE_MARGIN), CROP_HEIGHT_PX)
    wide, high = max(wide, high * 4 / 3), max(high, wide * 3 / 4)
    wide, high = min(round(wide), width), min(round(high), height)
    left = min(max(round((x0 + x1) / 2 - wide / 2), 0), width - wide)
    top = min(max(round((y0 + y1) / 2 - high / 2), 0), height - high)
    return Crop(left, top, int(wide), int(high))


def _detail(source: Picture) -> NDArray[np.float64]:
    """Magnitude of the gradient of luma, shape ``(height, width)``."""
    import cv2

    luma = cv2.cvtColor(on_screen(source), cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = cv2.GaussianBlur(luma, (0, 0), 1.0)
    to_right, to_below = np.zeros_like(luma), np.zeros_like(luma)
    to_right[:, :-1], to_below[:-1] = np.diff(luma, axis=1), np.diff(luma, axis=0)
    return np.asarray(np.hypot(to_right, to_below), np.float64)


def _window_sums(
    values: NDArray[np.float64], width: int, height: int
) -> NDArray[np.float64]:
    """The sum over each window that lies inside, by its top left corner."""
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1))
    total[1:, 1:] = values.cumsum(axis=0).cumsum(axis=1)
    sums: NDArray[np.float64] = (
        total[height:, width:]
        - total[:-height, width:]
        - total[height:, :-width]
        + total[:-height, :-width]
    )
    return sums
