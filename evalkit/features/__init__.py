"""Plain functions of one picture: sharpness, noise, blocks, lines, text, its faces."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ImageError
from evalkit.features._reading import (
    changed_text,
    character_error_rate,
    lines_of,
    time_stamp,
)
from evalkit.features._scene import (
    face_statistics,
    ground,
    straight_edges,
    text_boxes,
    text_density,
)
from evalkit.images import Picture, check_picture

__all__ = [
    "JPEG_BLOCK_PX",
    "LEVEL",
    "LUMA",
    "blockiness",
    "border_contrast",
    "border_energies",
    "changed_text",
    "character_error_rate",
    "face_statistics",
    "ground",
    "lines_of",
    "luma",
    "noise_level",
    "rgb",
    "sharpness",
    "straight_edges",
    "strips",
    "text_boxes",
    "text_density",
    "time_stamp",
    "usable_borders",
]

STRIP_PX = 1 << 20

BESIDE_PX = (2, 3, 4, 5, 6)
"""How far from a border, on both sides, its neighbours for comparison lie."""

LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of R, G and B in luma, ITU-R BT.601."""

LEVEL = 1 / 255
"""Added to every gradient's energy, squared: what rounding to 8 bits can make."""

JPEG_BLOCK_PX = 8

BLUR_PX = 11
"""Side of the second blur of `sharpness`."""


def rgb(picture: Picture) -> NDArray[np.float64]:
    """A picture as RGB in [0, 1], as every metric reads it.

    Returns
    -------
    ndarray
        Shape ``(height, width, 3)``, sRGB-encoded, in [0, 1]: divided by 255 or
        65535, so two depths can be compared. Grey stands in all three channels.
        A picture with alpha is laid over mid-grey (0.5), since the colour of a
        transparent pixel means nothing.

    Raises
    ------
    ImageError
        As `evalkit.images.check_picture`.

    """
    check_picture(picture)
    values = picture / np.float64(np.iinfo(picture.dtype).max)
    if values.ndim == 2:
        return np.repeat(values[..., None], 3, axis=2)
    if values.shape[2] == 4:
        alpha = values[..., 3:]
        return values[..., :3] * alpha + 0.5 * (1 - alpha)
    return values


def luma(picture: Picture) -> NDArray[np.float32]:
    """Luma (ITU-R BT.601) of a picture, ``(height, width)``, in [0, 1]; see `rgb`."""
    check_picture(picture)
    weighted = np.empty(picture.shape[:2], np.float32)
    for rows in strips(picture.shape):
        weighted[rows] = rgb(picture[rows]) @ LUMA
    return weighted


def sharpness(picture: Picture) -> float:
    """How much of the fine differences a second blur would take away.

    Parameters
    ----------
    picture
        See `rgb`; at least 11 px on each side.

    Returns
    -------
    float
        From 0, blurred or of one colour, to 1. Noise raises it.

    Raises
    ------
    ImageError
        A side under 11 px.

    References
    ----------
    Crété et al., The blur effect: perception and estimation with a new no-reference
    perceptual blur metric, SPIE 6492, 2007, doi:10.1117/12.702790 (one minus it).

    """
    from skimage.measure import blur_effect

    _check_sides(picture, BLUR_PX, "sharpness")
    return 1 - float(blur_effect(luma(picture)))


def noise_level(picture: Picture) -> float:
    """Standard deviation of white noise in luma (see `rgb`), in levels of 255.

    Of coarser grain, as noise that was blurred by 1 px, it reads a fifth or less.

    Raises
    ------
    ImageError
        A side of 1 px: there is no diagonal.

    References
    ----------
    Donoho & Johnstone, Ideal spatial adaptation by wavelet shrinkage, Biometrika
    81(3), 1994, doi:10.1093/biomet/81.3.425: the median of the finest diagonal
    wavelets (Haar's) over 0.6745.

    """
    _check_sides(picture, 2, "noise")
    plane = 255 * luma(picture)
    diagonal = plane[:-1, :-1] - plane[:-1, 1:] - plane[1:, :-1] + plane[1:, 1:]
    return float(np.median(np.abs(diagonal)) / 2 / 0.6745)


def blockiness(picture: Picture) -> float:
    """Contrast across the grid of JPEG's 8 px blocks against that within, in dB.

    Parameters
    ----------
    picture
        See `rgb`; at least 22 px on each side, its first block at the top left.

    Returns
    -------
    float
        About 0 without blocks, above 0 with them.

    Raises
    ------
    ImageError
        No border of blocks lies inside the picture, so far from its edges.

    References
    ----------
    After Wang, Bovik & Evans, Blind measurement of blocking artifacts in images, ICIP
    2000, doi:10.1109/ICIP.2000.899622.

    """
    height, width = picture.shape[:2]
    step = JPEG_BLOCK_PX
    rows, columns = range(step, height, step), range(step, width, step)
    return border_contrast(*border_energies(picture), rows, columns)


def border_energies(
    picture: Picture,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean log energy of the luma's difference across every row, every column.

    Returns
    -------
    tuple
        Shapes ``(height - 1,)`` and ``(width - 1,)``, decimal logarithms; element
        ``k - 1`` is border ``k``.

    """
    check_picture(picture)
    height, width = picture.shape[:2]
    across_rows, across_columns = np.zeros(height - 1), np.zeros(width - 1)
    for rows in strips(picture.shape):
        start = max(rows.start - 1, 0)  # the row above, for the difference across
        luma = rgb(picture[start : rows.stop]) @ LUMA
        across_rows[start : rows.stop - 1] = _log_energy(luma, 0).mean(axis=1)
        luma = luma[rows.start - start :]
        across_columns += _log_energy(luma, 1).sum(axis=0)
    return across_rows, across_columns / height


def _log_energy(luma: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    energy: NDArray[np.float64] = np.square(np.diff(luma, axis=axis)) + LEVEL**2
    return np.log10(energy)


def border_contrast(
    across_rows: NDArray[np.float64],
    across_columns: NDArray[np.float64],
    rows: Iterable[int],
    columns: Iterable[int],
) -> float:
    """Energy of the gradient across borders against that beside them, in dB.

    Parameters
    ----------
    across_rows, across_columns
        From `border_energies`.
    rows, columns
        A border ``k`` lies between row (or column) ``k - 1`` and ``k``. Each weighs
        as many pixels as it is long; those within 6 px of an edge are left out.

    Raises
    ------
    ImageError
        No border lies inside the picture.

    """
    total, weight = 0.0, 0
    for energy, length, lines in (
        (across_rows, len(across_columns) + 1, rows),
        (across_columns, len(across_rows) + 1, columns),
    ):
        for k in usable_borders(lines, len(energy) + 1):
            beside = [energy[k - 1 + s * d] for d in BESIDE_PX for s in (-1, 1)]
            total += length * float(energy[k - 1] - np.mean(beside))
            weight += length
    if not weight:
        margin = max(BESIDE_PX) + 1
        raise ImageError(
            f"no tile border lies inside the picture: of {len(across_columns) + 1}x"
            f"{len(across_rows) + 1} px, none is {margin} px away from every edge"
        )
    return 10 * total / weight


def _check_sides(picture: Picture, least_px: int, what: str) -> None:
    check_picture(picture)
    height, width = picture.shape[:2]
    if min(height, width) < least_px:
        raise ImageError(
            f"{what} needs at least {least_px}x{least_px} px; this has {width}x{height}"
        )


def usable_borders(lines: Iterable[int], size: int) -> list[int]:
    """The borders with enough pixels on both sides, in a picture of this size."""
    margin = max(BESIDE_PX) + 1
    return [k for k in lines if margin <= k <= size - margin]


def strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a picture of this shape, some at a time, so that memory stays small."""
    step = max(1, STRIP_PX // max(1, shape[1]))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))
