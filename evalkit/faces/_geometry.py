"""Faces to and from GPEN's frame: alignment, masks, pasting, the skin's colour.

Arrays are R, G, B pictures of one kind all through: uint8, uint16 or float32; a mask
is float32 in [0, 1].
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.uint16], NDArray[np.float32])
"""Shape ``(height, width, 3)``, channels R, G, B, sRGB-encoded."""

Mask = NDArray[np.float32]
"""Shape ``(height, width)``, in [0, 1]."""

Matrix = NDArray[np.float64]
"""Shape ``(2, 3)``: multiplied by (x, y, 1) of a picture, x and y of a crop."""

MASK_SIDE = 512
BORDER = 26
"""Pixels of a 512 px crop that are never pasted."""

TEMPLATE = np.array(
    [
        [202.0407, 242.8840],
        [309.4302, 242.2900],
        [256.0768, 303.9592],
        [211.9598, 366.8282],
        [300.8911, 366.3363],
    ]
)
"""GPEN's landmarks in a crop of 512 px, in the order of `Face.landmarks`."""

NOT_PASTED = (0, 14, 18)
"""ParseNet's background, hat and cloth."""

SKIN = (1, 2, 8, 9, 17)
"""ParseNet's skin, nose, ears and neck."""

SKIN_CB, SKIN_CR = (77, 127), (133, 173)
FACE_ELLIPSE = (256, 300), (125, 150)
"""Centre and half axes of the face in a crop of 512 px, around `TEMPLATE`."""

SKIN_SHARE = 0.2
"""Share of the ellipse: if less has the colour of skin, colour tells nothing."""

COLOUR_SCALE = 32
"""Side of a crop over the standard deviation below which a change is detail."""


def similarity(points: NDArray[np.float64], targets: NDArray[np.float64]) -> Matrix:
    """The rotation, scale and shift that brings points closest to targets.

    By least squares, never a reflection. Both are ``(number, 2)``, the points not all
    in one place.

    References
    ----------
    Umeyama, Least-squares estimation of transformation parameters between two point
    patterns, IEEE TPAMI 13(4), 1991, doi:10.1109/34.88573.

    """
    centre, target_centre = points.mean(axis=0), targets.mean(axis=0)
    spread, target_spread = points - centre, targets - target_centre
    u, weights, v = np.linalg.svd(target_spread.T @ spread)
    signs = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(v))])
    rotation = u @ np.diag(signs) @ v
    linear = rotation * (weights @ signs / np.square(spread).sum())
    return np.column_stack((linear, target_centre - linear @ centre))


def to_frame(landmarks: NDArray[np.float64], size: int) -> Matrix:
    """The matrix that brings a face's landmarks to where GPEN expects them."""
    return similarity(landmarks, TEMPLATE * (size / MASK_SIDE))


def align(
    image: Pixels, landmarks: NDArray[np.float64], size: int
) -> tuple[Pixels, Matrix]:
    """Cut a face out so that it lies where GPEN expects it.

    Returns
    -------
    tuple
        The crop, ``(size, size, 3)``, interpolated linearly, black outside the
        picture; and the matrix, picture to crop.

    """
    matrix = to_frame(landmarks, size)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), matrix


def soft_rectangle() -> Mask:
    """The mask of a face that was not parsed, ``(512, 512)``."""
    mask = np.zeros((MASK_SIDE, MASK_SIDE), np.float32)
    corner = MASK_SIDE - BORDER
    cv2.rectangle(mask, (BORDER, BORDER), (corner, corner), 1, -1, cv2.LINE_AA)
    return _softened(mask)


def parsed_mask(classes: NDArray[np.uint8]) -> Mask:
    """The mask of a parsed face: all but background, hat and cloth.

    ParseNet's classes and the mask are ``(512, 512)``; it is soft, zero at the border.
    """
    mask = np.isin(classes, NOT_PASTED, invert=True).astype(np.float32)
    mask[:BORDER] = mask[-BORDER:] = 0
    mask[:, :BORDER] = mask[:, -BORDER:] = 0
    return _softened(mask)


def _softened(mask: Mask) -> Mask:
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, (101, 101), 4)
    return mask


class Composite:
    """Restored faces in a picture's frame; where they overlap, the larger mask wins.

    Only the shape and dtype of the `background` count here.
    """

    def __init__(self, background: NDArray[Any]) -> None:
        self._weight = np.zeros(background.shape[:2], np.float32)
        self._faces = np.zeros_like(background)

    def add(self, face: Pixels, mask: Mask, matrix: Matrix) -> None:
        """Warp a face back, linearly.

        Face and mask are ``(S, S, 3)``, of the background's dtype, and ``(S, S)``; the
        matrix is background to face, as from `align`.
        """
        inverse = cv2.invertAffineTransform(matrix)
        rows, columns = _covered(inverse, len(face), self._weight.shape)
        size = (columns.stop - columns.start, rows.stop - rows.start)
        if min(size) < 1:
            return
        inverse[:, 2] -= columns.start, rows.start
        weight = cv2.warpAffine(mask, inverse, size, flags=cv2.INTER_LINEAR)
        warped = cv2.warpAffine(face, inverse, size, flags=cv2.INTER_LINEAR)
        wins = weight > self._weight[rows, columns]
        self._weight[rows, columns][wins] = weight[wins]
        self._faces[rows, columns][wins] = warped[wins]

    def over(self, background: Pixels) -> Pixels:
        """The faces over a picture, ``(H, W, 3)``, rounded to its dtype."""
        output = background.copy()
        for row in np.flatnonzero(self._weight.any(axis=1)):
            weight = self._weight[row, :, None]
            mixed = output[row] * (1 - weight) + self._faces[row] * weight
            output[row] = np.rint(mixed)
        return output


def paste(
    background: Pixels,
    faces: Sequence[Pixels],
    masks: Sequence[Mask],
    matrices: Sequence[Matrix],
) -> Pixels:
    """Put restored faces over a picture: `Composite` in one call."""
    composite = Composite(background)
    for face, mask, matrix in zip(faces, masks, matrices, strict=True):
        composite.add(face, mask, matrix)
    return composite.over(background)


def _covered(inverse: Matrix, side: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The rows and columns of a picture that a warped square can reach."""
    corners = np.array([[0, side, 0, side], [0, 0, side, side], [1, 1, 1, 1]])
    reached = inverse @ corners
    (left, top), (right, bottom) = reached.min(axis=1) - 1, reached.max(axis=1) + 2
    rows = slice(max(0, int(top)), min(shape[0], int(bottom)))
    return rows, slice(max(0, int(left)), min(shape[1], int(right)))


def skin_of(crop: NDArray[np.uint8], classes: NDArray[np.uint8] | None) -> Mask:
    """Where a crop in GPEN's frame shows skin.

    Parameters
    ----------
    crop
        ``(S, S, 3)``, R, G, B, uint8.
    classes
        ParseNet's, ``(S, S)``. Without them skin is what has its chroma inside the
        ellipse of the face; the whole ellipse where hardly anything has, as in a
        black-and-white picture.

    References
    ----------
    Chai and Ngan, Face segmentation using skin-color map in videophone applications,
    IEEE TCSVT 9(4), 1999, doi:10.1109/76.767122.

    """
    side = len(crop)
    if classes is not None:
        mask = np.isin(classes, SKIN)
    else:
        _, cr, cb = cv2.split(cv2.cvtColor(crop, cv2.COLOR_RGB2YCrCb))
        centre, axes = (np.array(pair) * side / MASK_SIDE for pair in FACE_ELLIPSE)
        y, x = np.mgrid[:side, :side]
        inside = np.hypot((x - centre[0]) / axes[0], (y - centre[1]) / axes[1]) <= 1
        coloured = inside & _within(cb, SKIN_CB) & _within(cr, SKIN_CR)
        mask = coloured if coloured.sum() > SKIN_SHARE * inside.sum() else inside
    sigma = max(1, side / 128)
    soft: Mask = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)
    return soft


def _within(channel: NDArray[np.uint8], limits: tuple[int, int]) -> NDArray[np.bool_]:
    return (channel >= limits[0]) & (channel <= limits[1])


def protect_skin(
    source: NDArray[np.float32], restored: NDArray[np.float32], skin: Mask
) -> NDArray[np.float32]:
    """The restored detail on the source's colour, inside the skin.

    In CIE Lab, D65, the low frequencies of the restored skin are exchanged for those
    of the source; frequencies are taken inside the mask only, so that hair and
    background do not bleed in.

    The crop before and after, and the result, are ``(S, S, 3)``, float32 in [0, 1];
    `skin` is ``(S, S)``. Where there is none, the result is `restored`.
    """
    side = min(len(source), MASK_SIDE)
    small_source, small_restored, small_skin = (
        cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
        for picture in (source, restored, skin)
    )
    change = _as_lab(small_source) - _as_lab(small_restored)
    sigma = side / COLOUR_SCALE
    weight = cv2.GaussianBlur(small_skin, (0, 0), sigma)[..., None]
    low = cv2.GaussianBlur(change * small_skin[..., None], (0, 0), sigma)
    low = cv2.resize(low / np.maximum(weight, 1e-3), source.shape[1::-1])
    lab = _as_lab(restored) + low * skin[..., None]
    coloured = np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1)
    result: NDArray[np.float32] = np.where(skin[..., None] > 0, coloured, restored)
    return result


def _as_lab(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    lab: NDArray[np.float32] = cv2.cvtColor(picture, cv2.COLOR_RGB2Lab)
    return lab
