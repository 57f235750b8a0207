"""Pictures of another size; all on the sRGB values. Sizes are at least 1 px."""

from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from evalkit.images.channels import has_alpha
from evalkit.images.stored import Picture

Interpolation: TypeAlias = Literal["area", "linear", "cubic", "lanczos"]


def scaled(
    picture: NDArray[Any], width_px: int, height_px: int, how: Interpolation
) -> NDArray[Any]:
    """Resize each channel by OpenCV; a picture of that size is returned itself."""
    import cv2

    if picture.shape[:2] == (height_px, width_px):
        return picture
    flags = {
        "area": cv2.INTER_AREA,
        "linear": cv2.INTER_LINEAR,
        "cubic": cv2.INTER_CUBIC,
        "lanczos": cv2.INTER_LANCZOS4,  # a = 4
    }
    output: NDArray[Any]
    output = cv2.resize(picture, (width_px, height_px), interpolation=flags[how])
    return output


def scaled_by_alpha(
    image: Picture, width_px: int, height_px: int, how: Interpolation
) -> Picture:
    """Resize colours by their alpha: hidden ones do not bleed into visible ones.

    What a kernel overshoots is clipped to the dtype's range.
    """
    if not has_alpha(image):
        output = scaled(image, width_px, height_px, how)
        return output.copy() if output is image else output
    peak = np.iinfo(image.dtype).max
    values: NDArray[Any] = image.astype(np.float32)
    values[..., :3] *= values[..., 3:] / peak
    values = scaled(values, width_px, height_px, how)
    values[..., :3] /= np.maximum(values[..., 3:] / peak, 1e-6)
    values = np.clip(np.rint(values), 0, peak)
    return cast("Picture", values.astype(image.dtype))


def resize(image: Picture, width_px: int, height_px: int) -> Picture:
    """Shrink by area averaging; enlarge, or change one side only, by Lanczos (a = 4).

    Colours count by their alpha; the result has the picture's dtype and channels.
    """
    height, width = image.shape[:2]
    if (height_px, width_px) == (height, width):
        return image.copy()
    is_smaller = width_px <= width and height_px <= height
    how: Interpolation = "area" if is_smaller else "lanczos"
    return scaled_by_alpha(image, width_px, height_px, how)


def at_size_of(output: Picture, reference: Picture) -> tuple[Picture, str]:
    """The output at the reference's size, by ``none``, ``area`` or ``lanczos``."""
    height, width = reference.shape[:2]
    if output.shape[:2] == (height, width):
        return output, "none"
    is_larger = output.shape[0] * output.shape[1] > height * width
    return resize(output, width, height), "area" if is_larger else "lanczos"


def as_resampled(reference: Picture, output: Picture) -> Picture:
    """The reference through the sizes that `at_size_of` takes the output through.

    What the resampling alone does, such as the blur of an area average, is then in
    both: a clean enlargement of the reference differs from it by nothing.
    """
    there = resize(reference, output.shape[1], output.shape[0])
    return at_size_of(there, reference)[0]


def shrink(
    image: NDArray[np.uint8], width_px: int, height_px: int
) -> NDArray[np.uint8]:
    """Smaller by area averages, in Pillow's integer arithmetic: the same everywhere."""
    from PIL import Image

    picture = Image.fromarray(image)
    factor = picture.width // width_px
    if (factor * width_px, factor * height_px) == picture.size:
        return np.array(picture.reduce(factor))  # rounds once; resize, once a side
    return np.array(picture.resize((width_px, height_px), Image.Resampling.BOX))
