"""What Real-ESRGAN's programs for ncnn cannot do, done around them, on pictures."""

from typing import cast

import numpy as np

from evalkit.errors import OutputRejectedError
from evalkit.images import Picture
from evalkit.images.channels import as_before, has_alpha
from evalkit.images.scaling import scaled
from evalkit.restorers.ncnn.child import Rgb8
from evalkit.restorers.ncnn.process import SCALE


def at_least(colours: Rgb8, side: int) -> Rgb8:
    """Mirror below and to the right until both sides are `side` px."""
    missing = [max(0, side - length) for length in colours.shape[:2]]
    return np.pad(colours, ((0, missing[0]), (0, missing[1]), (0, 0)), "reflect")


def as_source(output: Rgb8, image: Picture, scale: float) -> Picture:
    """Give an output of `SCALE` the channels and depth of its source, and `scale`."""
    restored = as_before(image, output)
    if image.dtype == np.uint16:
        restored = restored.astype(np.uint16) * np.uint16(257)
    if has_alpha(image):
        alpha = scaled(image[..., 3], output.shape[1], output.shape[0], "linear")
        restored = cast("Picture", np.dstack([restored, alpha]))
    height, width = (int(side * scale) for side in image.shape[:2])
    return scaled(restored, width, height, "lanczos")


def unwrapped(output: Rgb8, source: Rgb8) -> tuple[Rgb8, list[str]]:
    """Set to 0 what a software device has turned from below 0 into 255.

    The programs' shader ``realesrgan_postproc.comp`` converts a negative float to an
    unsigned integer, which GLSL leaves undefined (4.50, section 5.4.1). Graphics cards
    give 0; Mesa's llvmpipe wraps around, and dark lettering fills with bright specks.
    The source, which is dark there, tells them from true whites.
    """
    enlarged = scaled(source, output.shape[1], output.shape[0], "linear")
    is_wrapped = (output == 255) & (enlarged < 128)
    if not is_wrapped.any():
        return output, []
    note = (
        f"{is_wrapped.sum()} values that the software device had wrapped from below 0 "
        "to 255 were set to 0"
    )
    return np.where(is_wrapped, np.uint8(0), output), [note]


def check_tiles(output: Rgb8, source: Rgb8, tile: int) -> None:
    """Refuse a tile of one colour where the source has several.

    A device that fails looks so: its NaN become black, and what it does not write stays
    black.

    Raises
    ------
    OutputRejectedError
        With the place of the tile.

    """
    for y in range(0, source.shape[0], tile):
        for x in range(0, source.shape[1], tile):
            before = source[y : y + tile, x : x + tile]
            after = output[
                y * SCALE : (y + tile) * SCALE, x * SCALE : (x + tile) * SCALE
            ]
            differs = np.ptp(before.astype(np.int16), axis=(0, 1)).max() > 16
            if differs and (after == after[0, 0]).all():
                raise OutputRejectedError(
                    f"the tile at x {x}, y {y} came back as {after[0, 0].tolist()} "
                    "everywhere: the device failed; try device=cpu"
                )
