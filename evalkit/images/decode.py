"""Decoders behind `evalkit.images`: which library reads which kind of file."""

import errno
import logging
import struct
import sys
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from evalkit.errors import ImageError
from evalkit.images.kinds import HEAD_BYTES, READ, kind_of
from evalkit.images.stored import (
    Picture,
    Stored,
    check_page,
    check_size,
    finished,
    not_premultiplied,
    orientation_of,
    read_through,
    with_transparent,
)

FORMATS = {"jpeg": "JPEG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF"}
"""Kinds of `evalkit.images.kinds` that Pillow alone reads to its name of them."""

READ_AS = {
    **dict.fromkeys(("1", "L"), "L"),
    **dict.fromkeys(("P", "RGB", "YCbCr"), "RGB"),
    **dict.fromkeys(("LA", "La"), "LA"),
    **dict.fromkeys(("PA", "RGBA", "RGBa"), "RGBA"),
    **dict.fromkeys(("I;16", "I;16B", "I;16L", "I;16N"), "I;16"),
    "CMYK": "CMYK",
}
"""Pillow's mode of a file to the mode it is taken in; no other mode is read."""

PNG_HEADER_BYTES = 33
"""The signature and IHDR, which comes first (PNG, third edition, 5.6)."""

BROKEN_FILE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What decoders raise on files that are cut off or damaged."""

logging.getLogger("PIL").addHandler(logging.NullHandler())
"""What it logs of odd tags is no error of ours, and stderr is the caller's."""

_ONE_AT_A_TIME = RLock()
"""Pillow's pixel limit is one global."""


def read_picture(path: Path, page: int, limit_px: int) -> Picture:
    """Decode any file; see `evalkit.images.read_image`."""
    kind = kind_to_read(path)
    if kind == "pdf":
        from evalkit.images.pdf import read_pdf

        with _missing_is_said(path):
            return read_pdf(path, page, limit_px)
    with damage_is_said(path), path.open("rb") as stream:
        if kind == "tiff":
            stored = _tiff(path, stream, page, limit_px)
        else:
            check_page(path, page, 1)
            read = READERS.get(kind) or partial(_by_pillow, kind)
            stored = read(path, stream, limit_px)
        return finished(stored, str(path))


def count_pages(path: Path) -> int:
    """Pages of a PDF or TIFF; 1 of any other picture."""
    kind = kind_to_read(path)
    if kind == "pdf":
        from evalkit.images.pdf import count_pdf_pages

        with _missing_is_said(path):
            return count_pdf_pages(path)
    if kind != "tiff":
        return 1
    with damage_is_said(path), path.open("rb") as stream:
        try:
            with Image.open(stream, formats=["TIFF"]) as file:
                return int(getattr(file, "n_frames", 1))
        except UnidentifiedImageError:
            from evalkit.images.tiff import count_tiff_pages

            return count_tiff_pages(stream)


def kind_to_read(path: Path) -> str:
    """What the file is, by its content.

    Raises
    ------
    ImageError
        No file, or one of zero bytes, or of a kind that is not read.
    OSError
        The machine cannot read it.

    """
    if not path.is_file():
        raise ImageError(f"{path}: there is no such file")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise ImageError(f"{path} has zero bytes")
    kind = kind_of(head)
    if kind not in READ:
        what = f"{kind.upper()}, which is not read" if kind else "not a picture"
        raise ImageError(
            f"{path} is {what}{'' if kind else ' that can be read'}; expected one of "
            f"{', '.join(sorted(READ))}"
        )
    return kind


@contextmanager
def damage_is_said(path: Path) -> Iterator[None]:
    """Turn what decoders raise into `ImageError`; what the machine does stays.

    Pillow's own pixel limit is off inside the block: ours stands before it.
    """
    with _ONE_AT_A_TIME, _missing_is_said(path), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # of odd metadata
        # a number: who writes letters in another thread reads it twice, as one
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, sys.maxsize
        try:
            yield
        except ImageError:
            raise
        except BROKEN_FILE as error:
            # Pillow and libtiff seek to nonsense (EINVAL), and say nothing of a disk
            code = getattr(error, "errno", None)
            if isinstance(error, OSError) and code not in (None, errno.EINVAL):
                raise
            read_through(path)
            raise ImageError(_what_is_wrong(path, error)) from error
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _missing_is_said(path: Path) -> Iterator[None]:
    """Turn what Python raises of a decoder's package that is not there into ours."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0].replace("_", "-")
        raise ImageError(
            f"{path} is read by {package}, which is not installed: "
            f"`pip install {package}`"
        ) from error


def _what_is_wrong(path: Path, error: Exception) -> str:
    if str(error).lower().startswith("unsupported"):
        return f"{path} is of a kind that is not read: {error}; save it as PNG"
    return f"{path} is cut off or damaged: {error or type(error).__name__}"


def _tiff(path: Path, stream: BinaryIO, page: int, limit_px: int) -> Stored:
    """Read by Pillow where 8 bits do, else by tifffile.

    It takes a stream, never a path: Pillow maps the file of a path, and then reads
    pixels of a turned page in the wrong order.
    """
    from evalkit.images.tiff import is_for_pillow, read_tiff

    try:
        with Image.open(stream, formats=["TIFF"]) as file:
            check_page(path, page, int(getattr(file, "n_frames", 1)))
            file.seek(page)
            if file.mode in READ_AS and is_for_pillow(dict(file.tag_v2)):  # type: ignore[attr-defined]
                return _from_pillow(path, file, limit_px)
    except (UnidentifiedImageError, SyntaxError):
        pass  # a kind that Pillow does not know; tifffile says what is wrong
    return read_tiff(path, stream, page, limit_px)


def _png(path: Path, stream: BinaryIO, limit_px: int) -> Stored:
    from evalkit.images.png import essential

    head = stream.read(PNG_HEADER_BYTES)
    sides = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    check_size(path, *sides, limit_px)
    png = essential(head + stream.read())
    with Image.open(png.file, formats=["PNG"]) as file:
        if png.bits == 16:  # of colours Pillow keeps 8
            import imagecodecs

            stored = Stored(imagecodecs.png_decode(png.file.getvalue()), 16)
            if png.is_oriented:
                stored.orientation = _orientation(path, file)
        else:
            stored = _from_pillow(path, file, limit_px)
    if png.clear:
        # 1, 2 and 4 bits were stretched to 8; of tRNS the lowest bits count
        white, peak = 2**png.bits - 1, 2**stored.bits - 1
        colour = [(level & white) * (peak // white) for level in png.clear]
        stored.pixels = with_transparent(stored.pixels, colour, peak)
    stored.profile = png.profile
    if png.cicp:
        from evalkit.images.icc import cicp_profile

        stored.profile = cicp_profile(*png.cicp, path)
    return stored


def _jp2(path: Path, stream: BinaryIO, limit_px: int) -> Stored:
    from evalkit.images.newer import jp2_header, read_deep_jp2

    content = stream.read()
    width, height, bits, profile = jp2_header(content)
    check_size(path, width, height, limit_px)
    if bits > 8:
        return read_deep_jp2(path, content)
    stream.seek(0)
    with Image.open(stream, formats=["JPEG2000"]) as file:
        stored = _from_pillow(path, file, limit_px)
    stored.profile = profile
    return stored


def _by_pillow(kind: str, path: Path, stream: BinaryIO, limit_px: int) -> Stored:
    with Image.open(stream, formats=[FORMATS[kind]]) as file:
        return _from_pillow(path, file, limit_px)


def _from_pillow(path: Path, file: ImageFile, limit_px: int) -> Stored:
    """Read 8 bits a channel."""
    mode = READ_AS.get(file.mode)
    if mode is None or mode == "I;16":
        raise ImageError(
            f"{path}: samples of kind {file.mode!r}, which are not read; save it as PNG"
        )
    check_size(path, *file.size, limit_px)
    file.load()
    orientation = _orientation(path, file)
    profile = file.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) else None
    if mode == "CMYK":
        from evalkit.images.icc import cmyk_to_rgb

        rgb = np.array(cmyk_to_rgb(file, profile, str(path)))
        return Stored(rgb, orientation=orientation)
    if file.mode == "P" and "transparency" in file.info:
        mode = "RGBA"
    pixels = _array(file, mode)
    box = getattr(file, "dispose_extent", None)
    if file.format == "GIF" and box and box != (0, 0, *file.size):
        pixels = _on_canvas(pixels, box)
    return Stored(pixels, 8, profile, orientation)


def _array(file: ImageFile, mode: str) -> NDArray[np.uint8]:
    if file.mode in ("La", "RGBa"):  # premultiplied
        return not_premultiplied(np.array(file), 8)
    return np.array(file if file.mode == mode else file.convert(mode))


def _on_canvas(pixels: NDArray[Any], box: tuple[int, int, int, int]) -> NDArray[Any]:
    """A GIF's frame that leaves a part of the canvas free: that part is transparent."""
    left, top, right, bottom = box
    if pixels.shape[2:] != (4,):
        grey = pixels if pixels.ndim == 3 else np.dstack([pixels] * 3)
        pixels = np.dstack([grey, np.full(grey.shape[:2], 255, np.uint8)])
    canvas = np.zeros_like(pixels)
    canvas[top:bottom, left:right] = pixels[top:bottom, left:right]
    return canvas


def _orientation(path: Path, file: ImageFile) -> int:
    """EXIF orientation, 1 to 8; 1 for TIFF, which Pillow turns by itself."""
    if file.format in ("TIFF", "GIF", "BMP"):
        return 1
    try:
        value = file.getexif().get(ExifTags.Base.Orientation)
    except BROKEN_FILE as error:
        value = f"of broken EXIF ({error})"
    return orientation_of(value, str(path))


def _newer(name: str) -> Any:
    """A reader of `evalkit.images.newer`, imported where it is used."""

    def read(path: Path, stream: BinaryIO, limit_px: int) -> Stored:
        from evalkit.images import newer

        decoded: Stored = getattr(newer, name)(path, stream.read(), limit_px)
        return decoded

    return read


READERS: dict[str, Any] = {
    "png": _png,
    "jp2": _jp2,
    "heic": _newer("read_heic"),
    "avif": _newer("read_avif"),
    "jxl": _newer("read_jxl"),
}
