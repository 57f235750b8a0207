"""Encoders behind `evalkit.images.write_image`: what each format holds, and how."""

import io
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images import jxl, png
from evalkit.images.channels import has_alpha
from evalkit.images.metadata import Metadata, srgb_profile
from evalkit.images.stored import MAX_SIDE_PX, Picture

LOSSY_QUALITY = 95
PNG_COMPRESSION = 1
"""libdeflate's and zlib's; 2 takes nearly twice the time and saves 2 to 4 percent."""

AVIF_SPEED = 8
"""libavif's, 0 to 10; its own choice, 6, takes three times the time for one percent."""

JXL_EFFORT = 3
"""libjxl's, 1 to 10; 7 takes eight times the time and saves three percent."""

LOSSLESS = ".png or .tif"


@dataclass(frozen=True)
class Format:
    """What a file of one suffix can hold."""

    name: str
    encode: Callable[[Picture, Metadata | None], bytes]
    max_side_px: int
    has_16_bits: bool = False
    has_alpha: bool = True


def encoded(path: Path, image: Picture, metadata: Metadata | None = None) -> bytes:
    """The bytes of a file whose format the suffix of `path` names; TIFF excepted.

    Raises
    ------
    ImageError
        A suffix that is not written, or a format that cannot hold the picture.

    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise ImageError(
            f"{path}: expected .tif, {', '.join(sorted(FORMATS))}; got {suffix!r}"
        )
    form = FORMATS[suffix]
    if image.dtype != np.uint8 and not form.has_16_bits:
        raise ImageError(f"{path}: {form.name} has 8 bits, not 16; write {LOSSLESS}")
    if has_alpha(image) and not form.has_alpha:
        raise ImageError(f"{path}: {form.name} has no alpha; write {LOSSLESS}")
    height, width = image.shape[:2]
    if max(height, width) > form.max_side_px:
        fits = [f for f in FORMATS.values() if max(height, width) <= f.max_side_px]
        names = sorted({f.name for f in fits if f.has_16_bits})
        raise ImageError(
            f"{path}: {form.name} holds sides up to {form.max_side_px} px, the picture "
            f"has {width}x{height}; write {' or '.join(['TIFF', *names])}"
        )
    try:
        return form.encode(image, metadata)
    except ImageError:
        raise
    except (OSError, ValueError, RuntimeError) as error:  # in memory: no disk is full
        raise ImageError(
            f"{path}: {form.name} cannot hold this picture of {width}x{height} px: "
            f"{error}; write .png or .tif"
        ) from error


def fitted(suffix: str, image: Picture) -> tuple[Picture, list[str]]:
    """The picture as the format of a suffix can hold it, and what that cost it.

    16 bits become 8; what is transparent becomes white.
    """
    form, lost = FORMATS.get(suffix.lower()), []
    if form and image.dtype != np.uint8 and not form.has_16_bits:
        image = (image.astype(np.float32) / 257 + 0.5).astype(np.uint8)
        lost.append(f"16 bits became 8, since {form.name} has no more")
    if form and has_alpha(image) and not form.has_alpha:
        peak = np.iinfo(image.dtype).max
        alpha = image[..., 3:].astype(np.float32) / peak
        mixed = image[..., :3] * alpha + peak * (1 - alpha)
        image = cast("Picture", np.rint(mixed).astype(image.dtype))
        lost.append(f"what is transparent became white, since {form.name} has no alpha")
    return image, lost


def _png(image: Picture, metadata: Metadata | None) -> bytes:
    """Store each row as its difference from the one above (PNG 9.2, Up), packed."""
    # 16 bits have their high byte first (PNG 7.1)
    stored = np.ascontiguousarray(image, image.dtype.newbyteorder(">"))
    rows = stored.view(np.uint8).reshape(len(image), -1)
    filtered = np.empty((rows.shape[0], 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = png.UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    beside = png.described(metadata) if metadata else []
    return png.assembled(image.shape, 8 * image.itemsize, _packed(filtered), beside)


def _packed(rows: NDArray[np.uint8]) -> bytes:
    """Pack by libdeflate; without imagecodecs by zlib, in up to twice the time."""
    try:
        import imagecodecs
    except ModuleNotFoundError:
        return zlib.compress(rows.data, PNG_COMPRESSION)
    # it takes any buffer, which its annotations do not say
    buffer = cast("bytes", rows.data)
    try:
        return cast("bytes", imagecodecs.deflate_encode(buffer, level=PNG_COMPRESSION))
    except imagecodecs.DelayedImportError:
        import_module(
            "imagecodecs._deflate"
        )  # whose own error says why: no memory, say
        raise


def _jpeg(image: Picture, metadata: Metadata | None) -> bytes:
    return _by_pillow(image, metadata, format="JPEG", subsampling=0)


def _webp(image: Picture, metadata: Metadata | None) -> bytes:
    return _by_pillow(image, metadata, format="WEBP")


def _by_pillow(image: Picture, metadata: Metadata | None, **how: object) -> bytes:
    stream = io.BytesIO()
    if metadata:
        # of an orientation Pillow makes AVIF's own, and spoils what is not ASCII
        exif = metadata.exif_bytes(is_oriented=how["format"] != "AVIF")
        how["exif"] = b"Exif\0\0" + exif
        # a grey picture has no three colours to profile
        how |= {"icc_profile": srgb_profile()} if image.ndim == 3 else {}
        how |= {"xmp": metadata.xmp} if metadata.xmp else {}
        how |= {"dpi": (metadata.dpi, metadata.dpi)} if metadata.dpi else {}
    Image.fromarray(image).save(stream, quality=LOSSY_QUALITY, **how)  # type: ignore[arg-type]
    return stream.getvalue()


def _avif(image: Picture, metadata: Metadata | None) -> bytes:
    """No chroma subsampling; marked as sRGB (ITU-T H.273: 1, 13; matrix of BT.601)."""
    if metadata:  # which imagecodecs has no place for
        how = {"subsampling": "4:4:4", "speed": AVIF_SPEED, "max_threads": 1}
        return _by_pillow(image, metadata, format="AVIF", **how)
    import imagecodecs

    avif = imagecodecs.AVIF
    return cast(
        "bytes",
        imagecodecs.avif_encode(
            image,
            level=LOSSY_QUALITY,
            speed=AVIF_SPEED,
            pixelformat=avif.PIXEL_FORMAT.YUV400
            if image.ndim == 2
            else avif.PIXEL_FORMAT.YUV444,
            primaries=avif.COLOR_PRIMARIES.BT709,
            transfer=avif.TRANSFER_CHARACTERISTICS.SRGB,
            matrix=avif.MATRIX_COEFFICIENTS.BT601,
            numthreads=1,
        ),
    )


def _jxl(image: Picture, metadata: Metadata | None) -> bytes:
    """Write 8 bits only: imagecodecs would mark 16 bits as linear light."""
    import imagecodecs

    stream = cast(
        "bytes", imagecodecs.jpegxl_encode(image, lossless=True, effort=JXL_EFFORT)
    )
    return jxl.contained(stream, metadata) if metadata else stream


def _heic(image: Picture, metadata: Metadata | None) -> bytes:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError(
            "a HEIC is written by pillow-heif, which is not installed: pip install "
            "'evalkit[heic]' (its wheel holds x265, which is under the GPL), or write "
            ".avif"
        ) from error
    stream = io.BytesIO()
    picture = Image.fromarray(image)
    if metadata:
        picture.info = {"exif": b"Exif\0\0" + metadata.exif_bytes()}
        picture.info |= {"icc_profile": srgb_profile()} if image.ndim == 3 else {}
        picture.info |= {"xmp": metadata.xmp} if metadata.xmp else {}
    pillow_heif.from_pillow(picture).save(stream, quality=LOSSY_QUALITY, chroma=444)
    return stream.getvalue()


_JPEG = Format("JPEG", _jpeg, 65_500, has_alpha=False)  # libjpeg's JPEG_MAX_DIMENSION
_HEIC = Format("HEIC", _heic, 16_384)  # libheif's MAX_IMAGE_WIDTH by default

FORMATS = {
    ".png": Format("PNG", _png, MAX_SIDE_PX, has_16_bits=True),
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), _JPEG),
    ".webp": Format("WebP", _webp, 16_383),  # 14 bits (RFC 9649, 2.5)
    ".avif": Format("AVIF", _avif, 32_768),  # AVIF_DEFAULT_IMAGE_DIMENSION_LIMIT
    ".jxl": Format("JPEG XL", _jxl, MAX_SIDE_PX),
    **dict.fromkeys((".heic", ".heif"), _HEIC),
}
