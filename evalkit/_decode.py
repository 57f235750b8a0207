"""Decoders behind `evalkit.images`: Pillow, OpenCV for 16-bit colour, PDFium."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from evalkit.errors import ImageError

Picture: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""Shape ``(height, width)``, or ``(height, width, channels)`` with 3 channels R, G, B
or 4 channels R, G, B, A; sRGB-encoded; uint8 in [0, 255] or uint16 in [0, 65535]."""

Deep: TypeAlias = NDArray[np.uint16]

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
PDF_DPI = 200

READ_AS = {
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("P", "RGB", "YCbCr"), "RGB"),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa"), "RGBA"),
    **dict.fromkeys(("I;16", "I;16B", "I;16L", "I;16N"), "I;16"),
    "CMYK": "CMYK",
}
"""Pillow's mode of a file to the mode it is taken in; no other mode is read."""

BROKEN_FILE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    struct.error,
    zlib.error,
)
"""What Pillow's decoders raise on files that are cut off or damaged."""

BITS, PHOTOMETRIC, PLANES, EXTRA_SAMPLES = 258, 262, 284, 338
"""Tags of TIFF 6.0."""

_ONE_AT_A_TIME = RLock()
"""Pillow's pixel limit is one global; PDFium is not made for threads."""


def read_raster(path: Path, page: int, limit_px: int) -> Picture:
    """Decode what is not a PDF; see `evalkit.images.read_image`."""
    deep: Deep | None = None
    with _opened(path, limit_px) as file:
        _check_page(path, page, _n_frames(file))
        if page:
            file.seek(page)
        mode = READ_AS.get(file.mode)
        if mode is None:
            raise ImageError(
                f"{path}: samples of kind {file.mode!r}; expected 1, 8 or 16 bits: "
                "floating point and 32 bits have no defined range and may hold NaN"
            )
        tags: dict[int, Any] = getattr(file, "tag_v2", {})
        bits = _bits(path, file, tags)
        orientation = _orientation(file)
        file.load()
        if mode in ("RGB", "RGBA") and bits == 16:
            deep = _deep_colour(path, page, file, tags)
        elif mode == "I;16":
            deep = _deep_grey(file, tags)
    profile: bytes | None = file.info.get("icc_profile")
    if deep is not None:
        if profile:
            from evalkit._icc import to_srgb_16

            deep = to_srgb_16(deep, profile, str(path))
        return _upright(deep, orientation)
    if mode != "CMYK" and "transparency" in file.info:
        mode = "RGBA"
    picture = file if file.mode == mode else file.convert(mode)
    if profile:
        from evalkit._icc import to_srgb

        picture = to_srgb(picture, profile, str(path))
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    return _upright(np.array(picture), orientation)


def count_frames(path: Path, limit_px: int) -> int:
    """Pages of a TIFF; 1 of any other file."""
    with _opened(path, limit_px) as file:
        return _n_frames(file)


def _n_frames(file: ImageFile) -> int:
    return int(getattr(file, "n_frames", 1)) if file.format == "TIFF" else 1


def is_pdf(path: Path) -> bool:
    """Whether the content, not the name, is a PDF's.

    Raises
    ------
    ImageError
        No file, or one of zero bytes, or one that cannot be read.

    """
    if not path.is_file():
        raise ImageError(f"{path}: there is no such file")
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error}") from error
    if not head:
        raise ImageError(f"{path} has zero bytes")
    return head.lstrip(b"\xef\xbb\xbf \t\r\n\0").startswith(b"%PDF-")


def read_pdf(path: Path, page: int, limit_px: int) -> Picture:
    """Render one page, RGB, on white."""
    with _pdf(path) as document:
        _check_page(path, page, len(document))
        sheet = document[page]
        scale = PDF_DPI / 72
        width, height = (side * scale for side in sheet.get_size())
        if width * height > limit_px:
            raise _over_limit(path, f"{width:.0f}x{height:.0f} px", limit_px)
        # sides are rounded up: 120.000002 px must not become 121
        bitmap = sheet.render(scale=scale * (1 - 1e-6))
        return np.ascontiguousarray(bitmap.to_numpy()[..., 2::-1])


def count_pdf_pages(path: Path) -> int:
    """Pages of a PDF."""
    with _pdf(path) as document:
        return len(document)


@contextmanager
def _pdf(path: Path) -> Iterator[Any]:
    import pypdfium2

    with _ONE_AT_A_TIME:
        try:
            document = pypdfium2.PdfDocument(path)
            try:
                yield document
            finally:
                document.close()
        except pypdfium2.PdfiumError as error:
            raise ImageError(f"{path}: a PDF that cannot be read: {error}") from error


@contextmanager
def _opened(path: Path, limit_px: int) -> Iterator[ImageFile]:
    """A file opened by Pillow, whose own pixel limit is ours inside the block."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, limit_px
        try:
            with Image.open(path, formats=FORMATS) as file:
                yield file
        except ImageError:
            raise
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _over_limit(path, str(error), limit_px) from error
        except UnidentifiedImageError as error:
            raise ImageError(
                f"{path} is not a picture that can be read; expected "
                f"{', '.join(FORMATS)} or PDF, with 1, 8 or 16 bits a channel"
            ) from error
        except BROKEN_FILE as error:
            raise ImageError(f"{path} is cut off or damaged: {error}") from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _over_limit(path: Path, found: str, limit_px: int) -> ImageError:
    return ImageError(
        f"{path}: {found}; the limit is {limit_px / 1e6:g} megapixels: raise it by "
        "max_megapixels or EVALKIT_MAX_MEGAPIXELS if you trust the file"
    )


def _check_page(path: Path, page: int, n_pages: int) -> None:
    if not 0 <= page < n_pages:
        raise ImageError(f"{path} has pages 0 to {n_pages - 1}; got page {page}")


def _bits(path: Path, file: ImageFile, tags: dict[int, Any]) -> int:
    """Bits of a sample, where Pillow hides them in a mode of 8 bits."""
    if file.format == "PNG":
        with path.open("rb") as stream:
            return stream.read(25)[24]  # IHDR comes first, PNG 11.2.2
    return int(tags.get(BITS, (8,))[0])


def _orientation(file: ImageFile) -> int:
    """EXIF orientation, 1 to 8; 1 for TIFF, which the decoders turn by themselves."""
    if file.format == "TIFF":
        return 1
    return int(file.getexif().get(ExifTags.Base.Orientation, 1))


def _deep_colour(path: Path, page: int, file: ImageFile, tags: dict[int, Any]) -> Deep:
    """16-bit colour, of which Pillow keeps 8 bits only."""
    import cv2

    if tags.get(PLANES, 1) != 1:
        raise ImageError(
            f"{path}: 16-bit colours in separate planes; save it with the channels "
            "of a pixel side by side"
        )
    try:
        _, pages = cv2.imreadmulti(
            str(path), start=page, count=1, flags=cv2.IMREAD_UNCHANGED
        )
    except cv2.error as error:
        raise ImageError(f"{path} cannot be decoded: {error}") from error
    if not pages or pages[0].dtype != np.uint16 or pages[0].ndim != 3:
        raise ImageError(f"{path}: 16-bit colour of a kind that cannot be decoded")
    has_alpha = file.mode == "RGBA" or "transparency" in file.info
    order = [2, 1, 0, 3] if has_alpha and pages[0].shape[2] == 4 else [2, 1, 0]
    pixels: Deep = pages[0][..., order]
    if len(order) == 4 and tags.get(EXTRA_SAMPLES, (2,))[0] == 1:  # premultiplied
        alpha = np.maximum(pixels[..., 3:].astype(np.float64), 1)
        colours = np.rint(pixels[..., :3] * (65535 / alpha))
        pixels[..., :3] = np.minimum(colours, 65535)
    return pixels


def _deep_grey(file: ImageFile, tags: dict[int, Any]) -> Deep:
    pixels = np.array(file).astype(np.uint16)
    if tags.get(PHOTOMETRIC) == 0:  # white is zero
        pixels = 65535 - pixels
    clear = file.info.get("transparency")
    if clear is None:
        return pixels
    alpha = np.where(pixels == clear, 0, 65535).astype(np.uint16)
    return np.dstack([pixels, pixels, pixels, alpha])


def _upright(pixels: Picture, orientation: int) -> Picture:
    """Apply an EXIF orientation (EXIF 2.32, table 6, tag 0112)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return cast("Picture", np.ascontiguousarray(pixels))
