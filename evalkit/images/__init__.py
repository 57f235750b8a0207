"""Pictures: decode any file safely, save it, resize it, know it by its pixels."""

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.errors import ImageError, SettingError
from evalkit.images.channels import has_alpha
from evalkit.images.decode import count_pages, read_picture
from evalkit.images.encode import encoded, fitted
from evalkit.images.kinds import picture_kind
from evalkit.images.metadata import (
    Metadata,
    append_to_tiff,
    read_metadata,
    srgb_profile,
    tiff_tags,
)
from evalkit.images.scaling import resize
from evalkit.images.stored import Picture
from evalkit.paths import atomic_path

__all__ = [
    "SUFFIXES",
    "Metadata",
    "Picture",
    "check_picture",
    "fitted",
    "n_pages",
    "picture_files",
    "picture_kind",
    "pixel_sha256",
    "read_image",
    "read_metadata",
    "resize",
    "write_image",
]

SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".webp", ".tif"}
    | {".tiff", ".bmp", ".dib", ".gif", ".pdf", ".heic", ".heif", ".hif", ".avif"}
    | {".jxl", ".jp2", ".j2k", ".jpx"}
)
"""Suffixes of what `read_image` reads. It looks at the content, not at the name."""

MAX_MEGAPIXELS = 200.0


def read_image(
    path: Path | str, *, page: int = 0, max_megapixels: float | None = None
) -> Picture:
    """Decode one picture, upright, in sRGB.

    Orientation (EXIF, TIFF, or that of HEIC, AVIF and JPEG XL) is applied once;
    an ICC profile, or the colours of ITU-T H.273 (PNG's cICP, HEIC, AVIF, JPEG XL),
    become sRGB; palette and 1 bit become 8 bits; CMYK and L*a*b* become RGB; alpha
    stays, divided out where it was multiplied in. PDF pages are rendered at 200 dpi on
    white, by a process of its own.

    Parameters
    ----------
    path
        PNG, JPEG, WebP, TIFF, BMP, GIF, HEIC, AVIF, JPEG XL, JPEG 2000 or PDF, by its
        content; of an animation the default image, else the first frame, on its canvas;
        of a HEIC with several pictures the primary one.
    page
        From 0, of a TIFF or PDF.
    max_megapixels
        10^6 pixels; None for ``$EVALKIT_MAX_MEGAPIXELS``, else 200.

    Returns
    -------
    Picture
        uint16 where a channel has 9 to 16 bits (CMYK excepted), scaled so that white is
        65535; else uint8, white 255.

    Raises
    ------
    ImageError
        No picture, or one that is cut off, of zero bytes, over the limit or with a side
        over 1,000,000 px (both known from the header, before memory is spent), or of
        floating-point, signed or 32-bit samples, whose black and white are not defined
        and which may hold NaN; one of high dynamic range (PQ, HLG); a PDF page that
        takes over ``$EVALKIT_MAX_PAGE_SECONDS``, else 60, to render (other kinds have
        no limit of time: their work is bounded by their pixels); or no such page.
    OSError
        The machine cannot read the file.
    SettingError
        The limit is not a positive number.

    Warns
    -----
    ProfileWarning
        An embedded profile is broken; the pixels are taken for sRGB.
    MetadataWarning
        The orientation is no orientation; the picture is not turned.

    """
    return read_picture(Path(path), page, _limit_px(max_megapixels))


def n_pages(path: Path | str) -> int:
    """How many pages `read_image` can read: of a TIFF or PDF, else 1.

    Raises
    ------
    ImageError
        Not a picture.

    """
    return count_pages(Path(path))


def write_image(
    path: Path | str, image: Picture, metadata: Metadata | None = None
) -> None:
    """Save a picture, whole or not at all; the suffix names the format.

    With `metadata` the file has them, and a profile of sRGB. Without, it has pixels
    alone.

    PNG and TIFF keep every bit and alpha; so does JPEG XL (lossless), of 8 bits. JPEG,
    WebP, AVIF and HEIC (quality 95, no chroma subsampling except in WebP) do not. A
    grey picture comes back from WebP with three channels: WebP has no grey.
    HEIC needs pillow-heif, an extra: ``pip install evalkit[heic]``; its wheel holds
    x265, which is under the GPL. The same picture makes the same bytes.

    Raises
    ------
    ImageError
        Not a `Picture`, a suffix that is not written, or a format that cannot hold the
        picture: its depth, its alpha (JPEG), or its sides.
    OSError
        The machine cannot write: the disk is full, say. Nothing is left behind.

    """
    path = Path(path)
    check_picture(image)
    is_tiff = path.suffix.lower() in (".tif", ".tiff")
    content = b"" if is_tiff else encoded(path, image, metadata)
    with atomic_path(path) as temporary:
        if is_tiff:
            _write_tiff(temporary, image, metadata)
        else:
            temporary.write_bytes(content)


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
    setting: Any = max_megapixels
    if setting is None:
        setting = os.environ.get("EVALKIT_MAX_MEGAPIXELS") or MAX_MEGAPIXELS
    try:
        limit = float(setting)
    except (TypeError, ValueError):
        limit = -1
    if not 0 < limit < 1e9:
        raise SettingError(
            "max_megapixels, or EVALKIT_MAX_MEGAPIXELS: expected a positive number, "
            f"got {setting!r}"
        )
    return round(limit * 1e6)


def _write_tiff(path: Path, image: Picture, metadata: Metadata | None) -> None:
    import tifffile

    described: dict[str, Any] = {}
    if metadata:
        described = {"extratags": tiff_tags(metadata)}
        described |= {"iccprofile": srgb_profile()} if image.ndim == 3 else {}
        if metadata.dpi:
            described |= {"resolution": (metadata.dpi,) * 2, "resolutionunit": 2}
    tifffile.imwrite(
        path,
        image,
        photometric="minisblack" if image.ndim == 2 else "rgb",
        compression="zlib",
        extrasamples=["unassalpha"] if has_alpha(image) else None,
        metadata=None,
        software=False,
        byteorder="<",
        **described,
    )
    if metadata:
        append_to_tiff(path, metadata)
