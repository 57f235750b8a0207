"""The channels of a picture: which it has, its colours alone, and all given back."""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.images.stored import Picture

Rgb: TypeAlias = NDArray[Any]
"""Shape ``(height, width, 3)``, R, G, B, sRGB-encoded, of a picture's dtype."""


def has_alpha(image: Picture) -> bool:
    """Whether its fourth channel is alpha."""
    return image.shape[2:] == (4,)


def alpha_of(image: Picture) -> NDArray[Any] | None:
    """The alpha channel, ``(height, width)``; None without one."""
    return image[..., 3] if has_alpha(image) else None


def colours(image: Picture) -> Rgb:
    """Three colours of a grey or coloured picture, without alpha."""
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def as_rgb8(image: Picture) -> NDArray[np.uint8]:
    """The colours in 8 bits, rounded: as detectors see them."""
    if image.dtype == np.uint16:
        image = np.rint(image / 257).astype(np.uint8)
    return colours(image)


def as_before(image: Picture, rgb: Rgb, alpha: NDArray[Any] | None = None) -> Picture:
    """A restored picture with the channels that `image` has, and the new `alpha`."""
    import cv2

    if image.ndim == 2:
        grey: Picture = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        return grey
    return rgb if alpha is None else np.dstack((rgb, alpha))
