"""Embedded ICC profiles to sRGB, by LittleCMS."""

import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from evalkit.errors import ImageError
from evalkit.images.stored import Picture

Deep: TypeAlias = NDArray[np.uint16]

D65 = (0.3127, 0.3290)
BT_709 = (D65, (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
PRIMARIES = {
    1: BT_709,
    2: BT_709,  # not said
    5: (D65, (0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),  # BT.601, 625 lines
    6: (D65, (0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),  # BT.601, 525 lines
    9: (D65, (0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    11: ((0.314, 0.351), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # DCI P3
    12: (D65, (0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
"""Numbers of ITU-T H.273, table 2, to white, red, green and blue, each x and y."""

SRGB_PRIMARIES = (1, 2)

GAMMAS: dict[int, float | None] = {
    **dict.fromkeys((1, 2, 6, 13, 14, 15), None),
    4: 2.2,
    5: 2.8,
    8: 1.0,
    17: 2.6,
}
"""Numbers of ITU-T H.273, table 3, to an exponent; None for sRGB's curve."""

HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}

NEARLY_SRGB_LEVELS = 1
"""A profile that moves no colour by more than this is sRGB: the pixels stay."""


class ProfileWarning(UserWarning):
    """An embedded profile that cannot be used; the pixels are taken for sRGB."""


def to_srgb(pixels: Picture, profile: bytes, name: str) -> Picture:
    """Convert the colours of a picture; dtype, shape and alpha stay.

    Perceptual intent, the default of viewers; colours outside sRGB are clipped. A
    picture whose profile is sRGB, or cannot be used, keeps its pixels; a warning tells
    the `name` of the file. Grey may carry a profile of three colours.
    """
    try:
        if pixels.dtype == np.uint16:
            return _to_srgb_16(cast("Deep", pixels), profile)
        return _to_srgb_8(cast("NDArray[np.uint8]", pixels), profile)
    except (ImageCms.PyCMSError, OSError, RuntimeError) as error:
        warnings.warn(
            f"{name}: its colour profile cannot be used ({error}); sRGB is assumed",
            ProfileWarning,
            stacklevel=3,
        )
        return pixels


def cmyk_to_rgb(picture: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """By the profile, else by Pillow's formula."""
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            transform = ImageCms.buildTransform(source, _srgb(), "CMYK", "RGB")
            return transform.apply(picture)
        except (ImageCms.PyCMSError, OSError) as error:
            warnings.warn(
                f"{name}: its colour profile cannot be used ({error}); CMYK is turned "
                "into RGB by a formula",
                ProfileWarning,
                stacklevel=3,
            )
    return picture.convert("RGB")


def _to_srgb_8(pixels: NDArray[np.uint8], profile_bytes: bytes) -> NDArray[np.uint8]:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profile_bytes))
    if pixels.ndim == 2:
        return _grey_to_srgb(pixels, profile)
    mode = "RGBA" if pixels.shape[2] == 4 else "RGB"
    transform = ImageCms.buildTransform(profile, _srgb(), mode, mode)
    samples = Image.fromarray(_sample_colours()).convert(mode)
    if _is_near(transform.apply(samples), samples, NEARLY_SRGB_LEVELS):
        return pixels
    return np.array(transform.apply(Image.fromarray(pixels)))


def _grey_to_srgb(
    pixels: NDArray[np.uint8], profile: ImageCms.ImageCmsProfile
) -> NDArray[np.uint8]:
    """By a table; a grey picture may carry a profile of three colours."""
    mode = "L" if profile.profile.xcolor_space.strip() == "GRAY" else "RGB"
    transform = ImageCms.buildTransform(profile, _srgb(), mode, "RGB")
    ramp = np.arange(256, dtype=np.uint8)[None]
    converted = transform.apply(Image.fromarray(ramp).convert(mode))
    table = np.asarray(converted)[0, :, 1]
    if _is_near(table, ramp[0], NEARLY_SRGB_LEVELS):
        return pixels
    return cast("NDArray[np.uint8]", table[pixels])


def _to_srgb_16(pixels: Deep, profile_bytes: bytes) -> Deep:
    """Pillow does not hand 16 bits to LittleCMS; imagecodecs does."""
    import imagecodecs

    is_grey = pixels.ndim == 2
    kind = "gray" if profile_bytes[16:20] == b"GRAY" else "rgb"
    samples = _sample_colours().astype(np.uint16) * 257
    colours = np.repeat(pixels[..., None], 3, axis=2) if is_grey else pixels[..., :3]

    def convert(rgb: Deep) -> Deep:
        return imagecodecs.cms_transform(
            np.ascontiguousarray(rgb[..., 0] if kind == "gray" else rgb),
            profile_bytes,
            imagecodecs.cms_profile("srgb"),
            colorspace=kind,
            outcolorspace="rgb",
            intent=imagecodecs.CMS.INTENT.PERCEPTUAL,
            flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE,  # its tables have 8 bits of input
        )

    if _is_near(convert(samples), samples, NEARLY_SRGB_LEVELS * 257):
        return pixels
    converted = convert(colours)
    if is_grey:
        return converted[..., 1]
    return np.dstack([converted, pixels[..., 3:]])


def cicp_profile(primaries: int, transfer: int, path: Path) -> bytes | None:
    """A profile of ITU-T H.273's numbers; None for sRGB, and for what is not said.

    The transfer functions of television (1, 6, 14, 15) are taken for sRGB's: a picture
    so marked was made to look right on a screen.

    Raises
    ------
    ImageError
        High dynamic range (PQ or HLG), or numbers that are not known.

    """
    if transfer in HIGH_DYNAMIC_RANGE:
        raise ImageError(
            f"{path} has high dynamic range ({HIGH_DYNAMIC_RANGE[transfer]}), which "
            "must be mapped to the range of sRGB by hand: export it as an SDR picture"
        )
    if primaries not in PRIMARIES or transfer not in GAMMAS:
        raise ImageError(
            f"{path}: colours of primaries {primaries} and transfer {transfer} (ITU-T "
            "H.273), which are not read; save it as sRGB"
        )
    if primaries in SRGB_PRIMARIES and GAMMAS[transfer] is None:
        return None
    import imagecodecs

    gamma = GAMMAS[transfer]
    white, *rgb = PRIMARIES[primaries]
    return imagecodecs.cms_profile(
        "rgb",
        whitepoint=[*white, 1.0],
        primaries=[value for xy in rgb for value in (*xy, 1.0)],
        **({"gamma": gamma} if gamma else {"transferfunction": _srgb_curve()}),
    )


def _srgb_curve() -> NDArray[np.float32]:
    """From encoded to linear (IEC 61966-2-1), 4096 steps."""
    encoded = np.linspace(0, 1, 4096)
    linear = ((encoded + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, linear).astype(np.float32)


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
