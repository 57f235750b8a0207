"""Pictures and saved figures on a screen; matplotlib is not imported for these."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.images import Picture, resize

BAND_PX = 1 << 22
"""So many pixels of a large picture are made ready for the screen at a time."""


def on_screen(picture: Picture) -> NDArray[np.uint8]:
    """A picture as a screen shows it.

    Parameters
    ----------
    picture
        See `evalkit.images.Picture`.

    Returns
    -------
    ndarray
        Shape ``(height, width, 3)``, R, G, B, sRGB-encoded, uint8. 16 bits are
        rounded to 8, grey stands in all three channels, alpha is laid over mid-grey.

    """
    if picture.dtype == np.uint16:
        picture = ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if picture.ndim == 2:
        return np.repeat(picture[..., None], 3, axis=2).astype(np.uint8)
    if picture.shape[2] == 4:
        alpha = picture[..., 3:].astype(np.float32) / 255
        over = picture[..., :3] * alpha + 127.5 * (1 - alpha)
        return np.rint(over).astype(np.uint8)
    return picture.astype(np.uint8, copy=False)


def shrunk(picture: Picture, width: int, height: int) -> NDArray[np.uint8]:
    """A picture as a screen shows it, by area averaging, in little memory.

    See `on_screen`. A picture of 200 megapixels is never converted whole, but in bands,
    whose edges are rounded to its rows.

    Parameters
    ----------
    picture
        See `evalkit.images.Picture`.
    width, height
        Not larger than the picture's, px.

    """
    rows, columns = picture.shape[:2]
    step = max(1, height * BAND_PX // (rows * columns))
    bands = []
    for top in range(0, height, step):
        bottom = min(top + step, height)
        band: Any = picture[top * rows // height : bottom * rows // height]
        bands.append(on_screen(resize(on_screen(band), width, bottom - top)))
    return np.concatenate(bands)


def show(files: Iterable[Path]) -> None:
    """Show saved figures in a notebook, one below the other; elsewhere name them."""
    try:
        from IPython.display import Image, display
    except ModuleNotFoundError:
        print(*files, sep="\n")
        return
    display(*[Image(filename=str(file)) for file in files])  # type: ignore[no-untyped-call]
