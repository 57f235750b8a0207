"""Embedded ICC profiles to sRGB, by LittleCMS."""

import io
import warnings
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

NEARLY_SRGB_LEVELS = 1
"""A profile that moves no colour by more than this is sRGB: the pixels stay."""


class ProfileWarning(UserWarning):
    """An embedded profile that cannot be used; the pixels are taken for sRGB."""


def to_srgb(picture: Image.Image, profile_bytes: bytes, name: str) -> Image.Image:
    """Convert the colours of a picture of mode L, RGB, RGBA or CMYK, 8 bits a channel.

    CMYK becomes RGB, the other modes stay. Perceptual intent, the default of viewers. A
    picture whose profile is sRGB, or cannot be used, keeps its pixels; a warning tells
    the `name` of the file.
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
    """Convert the colours of 16-bit pixels, which Pillow does not hand to LittleCMS.

    Shape ``(height, width)`` or ``(height, width, 3 | 4)``, R, G, B, A, before and
    after; alpha stays; colours outside sRGB are clipped. Else as `to_srgb`.
    """
    import imagecodecs

    is_grey = pixels.ndim == 2
    kind = "gray" if profile_bytes[16:20] == b"GRAY" else "rgb"
    samples = _sample_colours().astype(np.uint16) * 257
    colours = np.repeat(pixels[..., None], 3, axis=2) if is_grey else pixels[..., :3]

    def convert(rgb: NDArray[np.uint16]) -> NDArray[np.uint16]:
        return imagecodecs.cms_transform(
            np.ascontiguousarray(rgb[..., 0] if kind == "gray" else rgb),
            profile_bytes,
            imagecodecs.cms_profile("srgb"),
            colorspace=kind,
            outcolorspace="rgb",
            intent=imagecodecs.CMS.INTENT.PERCEPTUAL,
            flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,  # its tables have 8 bits of input
        )

    try:
        if _is_near(convert(samples), samples, NEARLY_SRGB_LEVELS * 257):
            return pixels
        converted = convert(colours)
    except imagecodecs.CmsError as error:
        _warn(name, error)
        return pixels
    if is_grey:
        return converted[..., 1]
    return np.dstack([converted, pixels[..., 3:]])


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
