"""Embedded ICC profiles to sRGB, by LittleCMS in imagecodecs."""

import warnings
from functools import cache
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images.channels import colours
from evalkit.images.stored import Picture

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
    is_grey, level = pixels.ndim == 2, np.iinfo(pixels.dtype).max // 255
    kind = "gray" if is_grey and profile[16:20] == b"GRAY" else "rgb"
    channels = slice(1, 2) if is_grey else slice(3)
    samples = _samples(is_grey=is_grey).astype(np.int32) * level
    try:
        exact = cast("Picture", samples.astype(pixels.dtype))
        change = _by_profile(exact, profile, kind) - samples
        if np.abs(change[..., channels]).max() <= NEARLY_SRGB_LEVELS * level:
            return pixels
        rgb = pixels[..., None] if kind == "gray" else colours(pixels)
        converted = _by_profile(rgb, profile, kind)
    except (OSError, RuntimeError) as error:
        _warn(name, error, "sRGB is assumed")
        return pixels
    if is_grey:
        return converted[..., 1]
    return cast("Picture", np.dstack([converted, pixels[..., 3:]]))


def cmyk_to_rgb(picture: Image.Image, profile: bytes | None, name: str) -> Image.Image:
    """Convert by the profile, else by Pillow's formula."""
    if profile:
        try:
            return Image.fromarray(_by_profile(np.asarray(picture), profile, "cmyk"))
        except (OSError, RuntimeError) as error:
            _warn(name, error, "CMYK is turned into RGB by a formula")
    return picture.convert("RGB")


def _by_profile(pixels: Picture, profile: bytes, kind: str) -> Picture:
    """Three channels of sRGB from those of `kind`; of grey the first one is taken."""
    import imagecodecs

    is_deep = pixels.dtype == np.uint16
    converted: Picture = imagecodecs.cms_transform(
        np.ascontiguousarray(pixels[..., 0] if kind == "gray" else pixels),
        profile,
        imagecodecs.cms_profile("srgb"),
        colorspace=kind,
        outcolorspace="rgb",
        intent=imagecodecs.CMS.INTENT.PERCEPTUAL,
        # LittleCMS optimises by tables of 8 bits of input
        flags=imagecodecs.CMS.FLAGS.NOOPTIMIZE if is_deep else None,
    )
    return converted


def _warn(name: str, error: Exception, instead: str) -> None:
    warnings.warn(
        f"{name}: its colour profile cannot be used ({error}); {instead}",
        ProfileWarning,
        stacklevel=4,
    )


@cache
def _samples(*, is_grey: bool) -> NDArray[np.uint8]:
    """All levels of grey, (1, 256, 3), or nine steps of each colour, (9, 81, 3)."""
    if is_grey:
        return np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), -1).reshape(9, 81, 3)


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
