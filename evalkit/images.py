"""Pictures: decode any file safely, save it, resize it, know it by its pixels."""

import hashlib
import os
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evalkit._decode import (
    Picture,
    count_frames,
    count_pdf_pages,
    is_pdf,
    read_pdf,
    read_raster,
)
from evalkit._kinds import picture_kind
from evalkit.errors import ImageError, SettingError
from evalkit.paths import atomic_path

__all__ = [
    "SUFFIXES",
    "Picture",
    "check_picture",
    "n_pages",
    "picture_files",
    "picture_kind",
    "pixel_sha256",
    "read_image",
    "resize",
    "write_image",
]

SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".pdf"}
    | {".apng", ".avif", ".dib", ".heic", ".heif", ".hif", ".j2k", ".jfif", ".jif"}
    | {".jp2", ".jpe", ".jxl"}
)
"""Of the files that `read_image` reads. It looks at the content, not at the name."""

MAX_MEGAPIXELS = 200.0
LOSSY_QUALITY = 95
PNG_COMPRESSION = 4
"""zlib's; 6 takes twice the time and saves a twentieth of a photograph."""


def read_image(
    path: Path | str, *, page: int = 0, max_megapixels: float | None = None
) -> Picture:
    """Decode one picture, upright, in sRGB.

    EXIF orientation and an embedded ICC profile are applied; palette and 1 bit become
    8 bits; CMYK becomes RGB; alpha stays. PDF pages are rendered at 200 dpi on white.

    Parameters
    ----------
    path
        PNG, JPEG, WebP, TIFF, BMP, GIF or PDF; of an animation the first frame.
    page
        From 0, of a TIFF or PDF.
    max_megapixels
        10^6 pixels; None for ``$EVALKIT_MAX_MEGAPIXELS``, else 200.

    Returns
    -------
    Picture
        uint16 where a PNG or TIFF has 16 bits a channel (CMYK excepted), else uint8.

    Raises
    ------
    ImageError
        No picture, or one that is cut off, of zero bytes, over the limit (known from
        the header, before memory is spent), or of floating-point or 32-bit samples,
        whose range is not defined and which may hold NaN; or no such page.
    SettingError
        The limit is not a positive number.

    Warns
    -----
    ProfileWarning
        An embedded profile is broken; the pixels are taken for sRGB.

    """
    path = Path(path)
    limit_px = _limit_px(max_megapixels)
    read = read_pdf if is_pdf(path) else read_raster
    return read(path, page, limit_px)


def n_pages(path: Path | str) -> int:
    """How many pages `read_image` can read: of a TIFF or PDF, else 1.

    Raises
    ------
    ImageError
        Not a picture.

    """
    path = Path(path)
    if is_pdf(path):
        return count_pdf_pages(path)
    return count_frames(path, _limit_px(None))


def write_image(path: Path | str, image: Picture) -> None:
    """Save a picture, whole or not at all; the suffix names the format.

    PNG and TIFF keep every bit and alpha. JPEG (quality 95, no chroma subsampling) and
    WebP (quality 95) do not. The same picture makes the same bytes.

    Raises
    ------
    ImageError
        Not a `Picture`, a suffix that is not written, or a format that cannot hold the
        picture: JPEG and WebP have 8 bits, JPEG has no alpha.

    """
    path = Path(path)
    check_picture(image)
    suffix = path.suffix.lower()
    if suffix not in (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp"):
        raise ImageError(f"{path}: expected .png, .tif, .jpg or .webp, got {suffix!r}")
    is_jpeg = suffix in (".jpg", ".jpeg")
    if is_jpeg and image.shape[2:] == (4,):
        raise ImageError(f"{path}: JPEG has no alpha; write .png, .tif or .webp")
    if (is_jpeg or suffix == ".webp") and image.dtype != np.uint8:
        raise ImageError(f"{path}: {suffix} has 8 bits, not 16; write .png or .tif")
    with atomic_path(path) as temporary:
        if suffix == ".png":
            temporary.write_bytes(_png(image))
        elif suffix in (".tif", ".tiff"):
            _write_tiff(temporary, image)
        elif is_jpeg:
            Image.fromarray(image).save(temporary, quality=LOSSY_QUALITY, subsampling=0)
        else:
            Image.fromarray(image).save(temporary, quality=LOSSY_QUALITY)


def resize(image: Picture, width_px: int, height_px: int) -> Picture:
    """Shrink by area averaging; enlarge, or change one side only, by Lanczos (a = 4).

    Computed on the sRGB values. Colours count by their alpha, so that hidden ones do
    not bleed into visible ones.

    Parameters
    ----------
    image
        See `Picture`; the result has its dtype and channels.
    width_px, height_px
        At least 1.

    """
    import cv2

    height, width = image.shape[:2]
    if (height_px, width_px) == (height, width):
        return image.copy()
    is_smaller = width_px <= width and height_px <= height
    how = cv2.INTER_AREA if is_smaller else cv2.INTER_LANCZOS4
    has_alpha = image.shape[2:] == (4,)
    peak = np.iinfo(image.dtype).max
    values: NDArray[Any] = image.astype(np.float32) if has_alpha else image
    if has_alpha:
        values[..., :3] *= values[..., 3:] / peak
    values = cv2.resize(values, (width_px, height_px), interpolation=how)
    if has_alpha:
        values[..., :3] /= np.maximum(values[..., 3:] / peak, 1e-6)
        values = np.clip(np.rint(values), 0, peak)
    return cast("Picture", values.astype(image.dtype))


def pixel_sha256(image: Picture) -> str:
    """SHA-256, in hexadecimal, of a picture's dtype, shape and values."""
    digest = hashlib.sha256(f"{image.dtype.name} {image.shape} ".encode())
    little = image.astype(image.dtype.newbyteorder("<"), copy=False)
    digest.update(np.ascontiguousarray(little).data)
    return digest.hexdigest()


def picture_files(folder: Path | str) -> list[Path]:
    """The files of a folder, not of its subfolders, that may be read; sorted by name.

    Those with a picture's suffix, and those of another or none that hold one.

    Raises
    ------
    ImageError
        There is no such folder.

    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder")
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file()
        and not path.name.startswith(".")
        and (path.suffix.lower() in SUFFIXES or picture_kind(path))
    )


def check_picture(image: Any) -> None:
    """Accept a `Picture`, or say why it is none.

    Raises
    ------
    ImageError
        Wrong type, dtype or shape, or no pixel.

    """
    expected = "expected (H, W), (H, W, 3) or (H, W, 4), uint8 or uint16"
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{expected}; got {type(image).__name__}")
    has_shape = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (3, 4))
    if not has_shape or image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f"{expected}; got shape {image.shape}, {image.dtype}")
    if not image.size:
        raise ImageError(f"{expected}, at least 1x1 px; got shape {image.shape}")


def _limit_px(max_megapixels: float | None) -> int:
    told: Any = max_megapixels
    if told is None:
        told = os.environ.get("EVALKIT_MAX_MEGAPIXELS") or MAX_MEGAPIXELS
    try:
        limit = float(told)
    except (TypeError, ValueError):
        limit = -1
    if not 0 < limit < 1e9:
        raise SettingError(
            "max_megapixels, or EVALKIT_MAX_MEGAPIXELS: expected a positive number, "
            f"got {told!r}"
        )
    return round(limit * 1e6)


def _png(image: Picture) -> bytes:
    """OpenCV's encoder: it knows 16-bit colour, and its settings are all given here."""
    import cv2

    is_colour = image.ndim == 3
    order = [2, 1, 0, 3][: image.shape[2]] if is_colour else []
    settings = {
        cv2.IMWRITE_PNG_COMPRESSION: PNG_COMPRESSION,
        cv2.IMWRITE_PNG_STRATEGY: cv2.IMWRITE_PNG_STRATEGY_DEFAULT,
        cv2.IMWRITE_PNG_FILTER: cv2.IMWRITE_PNG_ALL_FILTERS,
    }
    pixels = np.ascontiguousarray(image[..., order] if is_colour else image)
    _, encoded = cv2.imencode(
        ".png", pixels, [x for kv in settings.items() for x in kv]
    )
    return encoded.tobytes()


def _write_tiff(path: Path, image: Picture) -> None:
    import tifffile

    has_alpha = image.shape[2:] == (4,)
    tifffile.imwrite(
        path,
        image,
        photometric="minisblack" if image.ndim == 2 else "rgb",
        compression="zlib",
        extrasamples=["unassalpha"] if has_alpha else None,
        metadata=None,
        software=False,
    )
