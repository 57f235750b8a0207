"""Embedded ICC profiles to sRGB: 8 bits by LittleCMS, 16 bits by matrix and curves."""

import io
import struct
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from evalkit.errors import ImageError

Floats = NDArray[np.float64]
ROWS_AT_ONCE = 256
NEARLY_SRGB_LEVELS = 1
"""A profile that moves no colour by more than this is sRGB: the pixels stay."""

DAMAGED = (KeyError, ValueError, IndexError, ZeroDivisionError, struct.error)
"""What reading a damaged profile's tags and curves raises."""


class ProfileWarning(UserWarning):
    """An embedded profile that cannot be used; the pixels are taken for sRGB."""


def to_srgb(picture: Image.Image, profile_bytes: bytes, name: str) -> Image.Image:
    """Convert the colours of a picture of mode L, RGB, RGBA or CMYK.

    Parameters
    ----------
    picture
        8 bits a channel.
    profile_bytes
        The ICC profile that was embedded in the file.
    name
        Of the file, for the warning.

    Returns
    -------
    Image.Image
        Mode L, RGB or RGBA; CMYK becomes RGB. Perceptual intent, the default of
        viewers. A picture whose profile is sRGB, or cannot be used, keeps its pixels.

    """
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
        if picture.mode == "L":
            return _grey_to_srgb(picture, profile)
        mode = "RGBA" if picture.mode == "RGBA" else "RGB"
        transform = ImageCms.buildTransform(profile, _srgb(), picture.mode, mode)
        if picture.mode != "CMYK":
            samples = Image.fromarray(_sample_colours()).convert(mode)
            if _is_near(transform.apply(samples), samples, NEARLY_SRGB_LEVELS):
                return picture
        return transform.apply(picture)
    except (ImageCms.PyCMSError, OSError) as error:
        _warn(name, error)
        return picture


def _grey_to_srgb(
    picture: Image.Image, profile: ImageCms.ImageCmsProfile
) -> Image.Image:
    """Mode L by a table; a grey picture may carry a profile of three colours."""
    mode = "L" if profile.profile.xcolor_space.strip() == "GRAY" else "RGB"
    transform = ImageCms.buildTransform(profile, _srgb(), mode, "RGB")
    ramp = np.arange(256, dtype=np.uint8)[None]
    converted = transform.apply(Image.fromarray(ramp).convert(mode))
    table = np.asarray(converted)[..., 1]
    if _is_near(table, ramp, NEARLY_SRGB_LEVELS):
        return picture
    return picture.point(table[0].tolist())


def to_srgb_16(
    pixels: NDArray[np.uint16], profile_bytes: bytes, name: str
) -> NDArray[np.uint16]:
    """Convert the colours of 16-bit pixels, which LittleCMS through Pillow cannot.

    Parameters
    ----------
    pixels
        Shape ``(height, width)`` or ``(height, width, 3 | 4)``, R, G, B, A.
    profile_bytes, name
        As in `to_srgb`.

    Returns
    -------
    NDArray[np.uint16]
        The same shape; alpha as it was; colours outside sRGB are clipped.

    Raises
    ------
    ImageError
        A sound profile that has tables, not matrix and curves, or is for other
        channels.

    References
    ----------
    ICC.1:2022 (profile version 4.4), 8.3 (input profiles), 10.6 (curveType),
    10.18 (parametricCurveType).

    """
    n_colours = 1 if pixels.ndim == 2 else 3
    try:
        tables, matrix = _curves_and_matrix(profile_bytes, n_colours, name)
    except ImageError:
        raise
    except DAMAGED as error:
        _warn(name, error)
        return pixels
    samples = _sample_colours()[..., :n_colours].astype(np.uint16) * 257
    if _is_near(_convert(samples, tables, matrix), samples, NEARLY_SRGB_LEVELS * 257):
        return pixels
    result = pixels.copy()
    colours = (pixels[..., None] if n_colours == 1 else pixels)[..., :n_colours]
    target = (result[..., None] if n_colours == 1 else result)[..., :n_colours]
    for start in range(0, len(pixels), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        target[rows] = _convert(colours[rows], tables, matrix)
    return result


def _curves_and_matrix(
    profile_bytes: bytes, n_colours: int, name: str
) -> tuple[list[Floats], Floats]:
    """Of each channel the linear value of 65536 levels; and to linear sRGB."""
    tags = _tags(profile_bytes)
    if n_colours == 1:  # of a profile of three colours, the curve of one is enough
        names = ["kTRC" if profile_bytes[16:20] == b"GRAY" else "gTRC"]
    else:
        names = ["rTRC", "gTRC", "bTRC"]
    if not all(curve in tags for curve in names):
        raise ImageError(
            f"{name}: its 16-bit pixels carry a colour profile without matrix and "
            "curves for these channels; convert the picture to sRGB first"
        )
    levels = np.linspace(0, 1, 65536)
    tables = [_curve(tags[curve])(levels) for curve in names]
    if n_colours == 1:
        return tables, np.eye(1)
    srgb = _colorants(_tags(_srgb().tobytes()))
    return tables, np.linalg.inv(srgb) @ _colorants(tags)


def _convert(
    pixels: NDArray[np.uint16], tables: Sequence[Floats], matrix: Floats
) -> NDArray[np.uint16]:
    """``(rows, width, colours)``: decode by tables, mix by matrix, encode as sRGB."""
    linear = np.stack([table[pixels[..., i]] for i, table in enumerate(tables)], -1)
    return np.rint(_encode(linear @ matrix.T) * 65535).astype(np.uint16)


def _warn(name: str, error: Exception) -> None:
    warnings.warn(
        f"{name}: its colour profile cannot be used ({error}); sRGB is assumed",
        ProfileWarning,
        stacklevel=3,
    )


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@cache
def _sample_colours() -> NDArray[np.uint8]:
    """Shape (9, 81, 3): nine steps of red, green and blue."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), -1).reshape(9, 81, 3)


def _is_near(one: Any, other: Any, levels: int) -> bool:
    difference = np.asarray(one).astype(np.int32) - np.asarray(other)
    return int(np.abs(difference).max()) <= levels


def _tags(profile: bytes) -> dict[str, bytes]:
    """The content of each tag by signature (ICC.1:2022, 7.3)."""
    (count,) = struct.unpack_from(">I", profile, 128)
    tags = {}
    for index in range(count):
        name, offset, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        tags[name.decode("latin-1")] = profile[offset : offset + size]
    return tags


def _colorants(tags: dict[str, bytes]) -> Floats:
    """Columns: XYZ of the red, green and blue primary."""
    columns = [np.frombuffer(tags[f"{c}XYZ"], ">i4", 3, 8) / 65536 for c in "rgb"]
    return np.stack(columns, 1)


def _curve(tag: bytes) -> Callable[[Floats], Floats]:
    """Encoded to linear, both in [0, 1]."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return lambda x: x
        entries = np.frombuffer(tag, ">u2", count, 12)
        if count == 1:
            gamma = float(entries[0]) / 256
            return lambda x: x**gamma
        positions = np.linspace(0, 1, count)
        return lambda x: np.interp(x, positions, entries / 65535)
    (kind,) = struct.unpack_from(">H", tag, 8)
    n_parameters = (1, 3, 4, 5, 7)[kind]
    told = (np.frombuffer(tag, ">i4", n_parameters, 12) / 65536).tolist()
    g, a, b, c, d, e, f = _all_parameters(kind, told)
    return lambda x: np.clip(
        np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f), 0, 1
    )


def _all_parameters(kind: int, told: list[float]) -> list[float]:
    """Curve types 0 to 4 as 4: ``(a x + b)^g + e`` from d on, ``c x + f`` below."""
    if kind == 0:
        return [told[0], 1, 0, 0, 0, 0, 0]
    g, a, b = told[:3]
    if kind == 1:
        return [g, a, b, 0, -b / a, 0, 0]
    if kind == 2:
        return [g, a, b, 0, -b / a, told[3], told[3]]
    return told if kind == 4 else [*told, 0, 0]


def _encode(linear: Floats) -> Floats:
    """Linear to sRGB-encoded, clipped to [0, 1] (IEC 61966-2-1)."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
