"""Faces on a restored background: whose they are, how far they reach, what colour.

Matrices are ``(3, 3)`` here and map pixel centres; a frame is that of a crop of
`MASK_SIDE` pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.errors import SettingError
from evalkit.faces import MASK_SIDE, TEMPLATE, Mask, Matrix, as_rgb8
from evalkit.images import picture_files, read_image
from evalkit.images.scaling import scaled
from evalkit.restorers.gpen.face_restorer import Crop
from evalkit.restorers.outputs import join

COARSE = 128
"""Side at which faces are compared, pixels."""

INNER = slice(28, 112), slice(28, 100)
"""Rows and columns of such a face that surely show the face."""

GRID = 32
"""Points of a crop, each way, at which distances are taken."""

MAY_BE = 0.6
"""Correlation from which two crops are aligned: GPEN's published faces have 0.81 to
0.96 with their own, since its landmarks differ, and up to 0.79 with others."""

ALIKE, LEAD = 0.9, 0.1
"""Correlation of aligned crops from which they show one face, and its least lead over
the next: the same have 0.994 to 1.000 with their own, up to 0.87 with others, and 0.90
where a blurred one is stretched over another."""

STRETCH = 1.1
"""The most that an alignment may be longer one way than the other: both crops are
turned and scaled only, and own pairs have 1.002."""

RAMP = 24
"""Over how many pixels of 512, from the border inwards, a face is faded in."""

SIGMA = COARSE / 8
"""Over what distance colours are evened out, in pixels of a coarse face."""


class FacePair(NamedTuple):
    """A face before and after, ``(S, S, 3)``, R, G, B, uint8, as others made it."""

    name: str
    before: Crop
    after: Crop


def read_published(folder: Path) -> list[FacePair]:
    """The pairs of aligned faces in a folder; other pictures are passed over.

    Pictures twice as wide as high hold a face before, then after, as GPEN's own script
    writes them. Of a square one, the face before has the stem that `join` gives it, in
    the folder ``sources`` beside this one.
    """
    beside = folder.parent / "sources"
    sources = {p.stem: p for p in picture_files(beside)} if beside.is_dir() else {}
    pairs = []
    for name, path in sorted(join(folder).items()):
        sheet = as_rgb8(read_image(path))
        if sheet.shape[0] == sheet.shape[1] and name in sources:
            sheet = np.hstack((as_rgb8(read_image(sources[name])), sheet))
        side = len(sheet)
        if sheet.shape[1] == 2 * side:
            pairs.append(FacePair(name, sheet[:, :side], sheet[:, side:]))
    return pairs


def assign(published: Sequence[FacePair], crops: Sequence[Crop]) -> dict[int, FacePair]:
    """Published faces by the index of the crop, uint8, `COARSE` wide, that shows them.

    Raises
    ------
    SettingError
        None of them is in the picture, or which one it is cannot be told.

    """
    scores = np.array([[_likeness(p, crop) for crop in crops] for p in published])
    scores = scores.reshape(len(published), len(crops))
    by_crop: dict[int, FacePair] = {}
    for index, pair in enumerate(published):
        score = scores[index].max(initial=-1)
        if score < ALIKE:
            continue
        best = int(scores[index].argmax())
        rivals = [*np.delete(scores[index], best), *np.delete(scores[:, best], index)]
        if score - max(rivals, default=-1) < LEAD:
            raise SettingError(
                f"{pair.name} is like face {best + 1} of this picture (correlation "
                f"{score:.3f}), and another pair agrees too ({max(rivals):.3f}): "
                f"expected a lead of {LEAD}; take one of the faces away"
            )
        by_crop[best] = pair
    if not by_crop:
        raise SettingError(
            f"none of {len(published)} published faces is one of the {len(crops)} in "
            f"this picture: expected a correlation of {ALIKE:.3f} once aligned, "
            f"the best is {scores.max(initial=-1):.3f}"
        )
    return by_crop


def _likeness(pair: FacePair, crop: Crop) -> float:
    """The correlation of a face and a crop, aligned if they may show the same."""
    part = _grey(pair.before)[INNER]
    matches = cv2.matchTemplate(_grey(crop), part, cv2.TM_CCOEFF_NORMED)
    score = float(matches.max())
    if score < MAY_BE:
        return score
    try:
        aligned, matrix = lay_over(pair, crop)
    except cv2.error:  # it does not converge on what is not the same
        return MAY_BE
    longest, shortest = np.linalg.svd(matrix[:2, :2])[1]
    return float(aligned) if longest <= STRETCH * shortest else MAY_BE


def lay_over(pair: FacePair, crop: Crop) -> tuple[float, Matrix]:
    """The correlation of a face and our crop of it, and the matrix from our frame.

    References
    ----------
    Evangelidis & Psarakis, Parametric image alignment using enhanced correlation
    coefficient maximization, IEEE TPAMI 30(10), 2008, doi:10.1109/TPAMI.2008.113.

    """
    planes, start = (_grey(pair.before), _grey(crop)), np.eye(2, 3, dtype=np.float32)
    ends = cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-6
    score, back = cv2.findTransformECC(*planes, start, cv2.MOTION_AFFINE, ends, None, 5)
    matrix = np.linalg.inv(np.vstack((back, (0, 0, 1))))
    factor = MASK_SIDE / COARSE
    return score, scaling(factor) @ matrix @ scaling(1 / factor)


def faded(mask: Mask, frame: Matrix, neighbours: Sequence[Matrix]) -> Mask:
    """A crop's mask without a hard border, and without what belongs to other faces.

    A pixel belongs to the face whose centre is nearest, each measured in its own frame.
    """
    wide = cv2.GaussianBlur(mask, (0, 0), RAMP / 2 * len(mask) / MASK_SIDE)
    ramp = np.clip(2 * wide - 1, 0, 1)
    if not neighbours:
        return np.asarray(ramp, np.float32)
    y, x = (np.mgrid[:GRID, :GRID] + 0.5) * (MASK_SIDE / GRID) - 0.5
    points = np.stack((x, y, np.ones_like(x))).reshape(3, -1)
    positions = np.stack(neighbours) @ np.linalg.inv(frame) @ points
    centre = TEMPLATE.mean(axis=0)[:, None]
    distance = np.linalg.norm(points[:2] - centre, axis=0)
    lead = np.linalg.norm(positions[:, :2] - centre, axis=1).min(axis=0) - distance
    lead = cv2.resize(lead.reshape(GRID, GRID), mask.shape[::-1])
    share = np.clip(lead / (2 * RAMP) + 0.5, 0, 1)
    return np.asarray(ramp * share, np.float32)


def match_colour(face: Crop, around: Crop, mask: Mask) -> Crop:
    """Give a face the colours of what it will lie on, along the border of its mask.

    The low frequencies of the difference in CIE Lab, D65, are taken where the mask
    rises from 0 to 1, carried on inwards, and added.
    """
    peak = np.float32(np.iinfo(face.dtype).max)
    lab, lab_around = (
        cv2.cvtColor(picture.astype(np.float32) / peak, cv2.COLOR_RGB2Lab)
        for picture in (face, around)
    )
    border = resized(mask * (1 - mask), COARSE)[..., None] + np.float32(1e-4)
    change = cv2.GaussianBlur(resized(lab_around - lab, COARSE) * border, (0, 0), SIGMA)
    weight = cv2.GaussianBlur(border, (0, 0), SIGMA)[..., None]
    lab += resized(change / weight, len(face))
    levels = np.clip(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB), 0, 1) * peak
    return np.asarray(np.rint(levels), face.dtype)


def scaling(factor: float) -> Matrix:
    """Enlarges by `factor`; the first pixel reaches from -0.5 to 0.5."""
    shift = (factor - 1) / 2
    return np.array([[factor, 0, shift], [0, factor, shift], [0, 0, 1]])


def sized(frame: Matrix, side: int) -> Matrix:
    """A frame as `faces.to_frame` has it for crops of `side`."""
    return np.diag((side / MASK_SIDE, side / MASK_SIDE, 1)) @ frame


def warped(picture: NDArray[Any], matrix: Matrix, side: int) -> Crop:
    """The crop of `side` that a matrix leads to, black outside the picture."""
    crop: Crop = cv2.warpAffine(picture, matrix[:2], (side, side))
    return crop


def resized(square: NDArray[Any], side: int) -> NDArray[Any]:
    """A square of another size; areas are averaged where it shrinks."""
    return scaled(square, side, side, "area" if side < len(square) else "linear")


def _grey(face: Crop) -> Crop:
    grey: Crop = cv2.cvtColor(resized(face, COARSE), cv2.COLOR_RGB2GRAY)
    return grey
