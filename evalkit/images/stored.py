"""What every decoder hands over, and what makes an upright sRGB picture of it."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ImageError

Picture: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""Shape ``(height, width)``, or ``(height, width, channels)`` with 3 channels R, G, B
or 4 channels R, G, B, A; sRGB-encoded; uint8 in [0, 255] or uint16 in [0, 65535]."""

MAX_SIDE_PX = 1_000_000
"""Longest side of a picture that is read: libpng's own limit (PNG_USER_WIDTH_MAX), so
that what was read can be written as PNG."""


class MetadataWarning(UserWarning):
    """What a file says beside its pixels cannot be understood and is left out."""


@dataclass
class Stored:
    """The samples of a file, before colours and orientation."""

    pixels: NDArray[Any]
    """Unsigned, ``(height, width)`` or ``(height, width, 2 | 3 | 4)``: grey, grey and
    alpha, R, G, B, and alpha; alpha is not premultiplied."""
    bits: int = 8
    """Of a sample: 2**bits - 1 is white; up to 8 become uint8, more become uint16."""
    profile: bytes | None = None
    """An ICC profile; None for sRGB."""
    orientation: int = 1
    """1 to 8, as in EXIF 2.32, table 6, tag 0112."""


def finished(stored: Stored, name: str) -> Picture:
    """Make a full-range, upright sRGB picture; warnings give the `name`."""
    pixels: Any = _full_range(stored.pixels, stored.bits)
    alpha = None
    if pixels.shape[2:] == (2,):
        pixels, alpha = pixels[..., 0], pixels[..., 1]
    if stored.profile:
        from evalkit.images.icc import to_srgb

        pixels = to_srgb(np.ascontiguousarray(pixels), stored.profile, name)
    if alpha is not None:
        pixels = np.dstack([pixels, pixels, pixels, alpha])
    return upright(cast("Picture", pixels), stored.orientation)


def _full_range(pixels: NDArray[Any], bits: int) -> Picture:
    dtype = np.uint8 if bits <= 8 else np.uint16
    if bits in (8, 16):
        return cast("Picture", pixels.astype(dtype, copy=False))
    white, peak = 2**bits - 1, np.iinfo(dtype).max
    levels = np.rint(np.arange(white + 1) * (peak / white)).astype(dtype)
    return cast("Picture", levels[np.minimum(pixels, white)])


def upright(pixels: Picture, orientation: int) -> Picture:
    """Apply an EXIF orientation (EXIF 2.32, table 6, tag 0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return cast("Picture", np.ascontiguousarray(pixels))


def orientation_of(tag: object, name: str) -> int:
    """EXIF's orientation as files write it: a number, a byte, a text, or nonsense."""
    value = tag
    if isinstance(value, bytes) and len(value) == 1 and value[0] < 9:
        value = value[0]
    try:
        number = float(value.decode() if isinstance(value, bytes) else value)  # type: ignore[arg-type]
    except (TypeError, ValueError, ArithmeticError):
        number = 0
    if number in range(1, 9):
        return int(number)
    if tag is not None:
        warnings.warn(
            f"{name}: orientation {tag!r} is none of 1 to 8; the picture is not turned",
            MetadataWarning,
            stacklevel=2,
        )
    return 1


def with_transparent(
    pixels: NDArray[Any], colour: Sequence[int], peak: int
) -> NDArray[Any]:
    """Add alpha: 0 where a pixel is the `colour`, of one number or three."""
    layers = pixels if pixels.ndim == 3 else pixels[..., None]
    is_clear = (layers == np.asarray(colour, pixels.dtype)).all(axis=2)
    return np.dstack([pixels, np.where(is_clear, 0, peak).astype(pixels.dtype)])


def not_premultiplied(pixels: NDArray[Any], bits: int) -> NDArray[Any]:
    """Divide the colours by the last channel, alpha; clipped."""
    peak = 2**bits - 1
    alpha = np.maximum(pixels[..., -1:].astype(np.float64), 1)
    colours = np.minimum(np.rint(pixels[..., :-1] * (peak / alpha)), peak)
    return np.dstack([colours.astype(pixels.dtype), pixels[..., -1:]])


def check_size(path: Path, width: float, height: float, limit_px: int) -> None:
    """Refuse what is too large, before memory is spent.

    Raises
    ------
    ImageError
        More pixels than the limit, a side over `MAX_SIDE_PX`, or no pixel.

    """
    size = f"{path} is {width:.0f}x{height:.0f} px"
    if not (width > 0 and height > 0):
        raise ImageError(f"{size}; expected at least 1x1")
    if width * height > limit_px:
        raise ImageError(
            f"{size}, {width * height / 1e6:.6g} megapixels; the limit is "
            f"{limit_px / 1e6:g} megapixels: raise it by max_megapixels or "
            "EVALKIT_MAX_MEGAPIXELS if you trust the file"
        )
    if max(width, height) > MAX_SIDE_PX:
        raise ImageError(
            f"{size}; a side may have {MAX_SIDE_PX} px, which is what a PNG can hold: "
            "cut it into parts"
        )


def check_page(path: Path, page: int, n_pages: int) -> None:
    """Refuse a page that is not there.

    Raises
    ------
    ImageError
        Not in 0 to n_pages - 1.

    """
    if not 0 <= page < n_pages:
        raise ImageError(f"{path} has pages 0 to {n_pages - 1}; got page {page}")


def read_through(path: Path) -> None:
    """Find a disk that fails by reading all, whatever the decoder said of damage.

    Raises
    ------
    OSError
        The machine cannot read the file.

    """
    with path.open("rb") as stream:
        while stream.read(2**20):
            pass
