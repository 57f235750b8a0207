"""HEIC, AVIF, JPEG XL and JPEG 2000 of more than 8 bits: one picture, in memory."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np

from evalkit.errors import ImageError
from evalkit.images import boxes, jxl
from evalkit.images.icc import ProfileWarning, cicp_profile
from evalkit.images.stored import Stored, check_size, not_premultiplied

LINEAR = 8
"""Of ITU-T H.273. Encoders that say nothing of colours (imagecodecs) let libjxl mark
every 16-bit picture so; on whole numbers it is doubted."""

HEIC_MODES = {"L": 1, "LA": 2, "La": 2, "RGB": 3, "RGBA": 4, "RGBa": 4}
"""pi-heif's modes, before ``;10``, to samples of a pixel."""


def read_heic(path: Path, content: bytes, limit_px: int) -> Stored:
    """Read by libheif, which turns and mirrors; EXIF's orientation repeats that."""
    import pi_heif

    header = boxes.primary(content)
    profile = header.profile or _by_cicp(path, header.cicp)
    heif = pi_heif.open_heif(
        io.BytesIO(content), convert_hdr_to_8bit=False, hdr_to_16bit=False
    )
    image = heif[heif.primary_index]
    width, height = image.size
    check_size(path, width, height, limit_px)
    mode = image.mode.partition(";")[0]
    if mode not in HEIC_MODES:
        raise ImageError(f"{path}: a HEIC of mode {image.mode}, which is not read")
    bits = int(image.info["bit_depth"])
    dtype, n = (np.uint8 if bits == 8 else np.dtype("<u2")), HEIC_MODES[mode]
    rows = np.frombuffer(image.data, np.uint8).reshape(height, image.stride)
    # a copy: the bytes are libheif's, and go with `heif`
    line = rows[:, : width * n * np.dtype(dtype).itemsize].copy()
    pixels = line.view(dtype).reshape(height, width, n)
    if mode.endswith("a"):
        pixels = not_premultiplied(pixels, bits)
    return Stored(pixels[..., 0] if n == 1 else pixels, bits, profile)


def read_avif(path: Path, content: bytes, limit_px: int) -> Stored:
    """Read by libavif, which leaves turns and colours to us; EXIF's turn is void."""
    import imagecodecs

    header = boxes.primary(content)
    check_size(path, header.width, header.height, limit_px)
    profile = header.profile or _by_cicp(path, header.cicp)
    pixels = imagecodecs.avif_decode(content, index=0)
    return Stored(pixels, header.bits, profile, header.orientation)


def read_jxl(path: Path, content: bytes, limit_px: int) -> Stored:
    """Read by libjxl, which turns; of an animation the first frame."""
    import imagecodecs

    header = jxl.header(content)
    check_size(path, header.width, header.height, limit_px)
    if header.is_float or header.bits > 16:
        raise ImageError(
            f"{path}: samples of {header.bits} bits"
            f"{' floating point' if header.is_float else ''}; expected 1 to 16 bits, "
            "unsigned"
        )
    is_doubted = header.cicp == (1, LINEAR)
    profile = None if is_doubted else _by_cicp(path, header.cicp)
    pixels = imagecodecs.jpegxl_decode(content, index=0)
    if header.has_lost_profile or is_doubted:
        why = "is linear light" if is_doubted else "cannot be read"
        warnings.warn(
            f"{path}: its colour profile {why}; sRGB is assumed",
            ProfileWarning,
            stacklevel=4,
        )
    if header.is_premultiplied and pixels.shape[-1] in (2, 4):
        pixels = not_premultiplied(pixels, header.bits)
    return Stored(pixels, header.bits, profile)


def jp2_header(content: bytes) -> tuple[int, int, int, bytes | None]:
    """Width, height, bits of the first component, ICC profile.

    From the marker SIZ of the codestream (ISO/IEC 15444-1, A.5.1), since the box that
    says them again may lie; the profile from the box colr (I.5.3.3).
    """
    parts = dict(boxes.boxes(content))
    stream = parts.get(b"jp2c", content)
    if stream[:4] != b"\xff\x4f\xff\x51" or len(stream) < 43:
        raise ValueError("its codestream is missing")
    right, bottom, left, top = struct.unpack(">4I", stream[8:24])
    colr = dict(boxes.boxes(parts.get(b"jp2h", b""))).get(b"colr", b"")
    profile = colr[3:] if colr[:1] in (b"\2", b"\3") else None
    return right - left, bottom - top, (stream[42] & 0x7F) + 1, profile


def read_deep_jp2(path: Path, content: bytes) -> Stored:
    """Read by OpenJPEG: Pillow keeps 8 bits of colours."""
    import imagecodecs

    parts = dict(boxes.boxes(dict(boxes.boxes(content)).get(b"jp2h", b"")))
    colr = parts.get(b"colr", b"")
    space = int.from_bytes(colr[3:7], "big") if colr[:1] == b"\1" else 16
    if b"pclr" in parts or space not in (16, 17):  # sRGB, grey (15444-1, table I.10)
        raise ImageError(
            f"{path}: a JPEG 2000 of more than 8 bits with a palette or YCC colours, "
            "which is not read; save it as RGB"
        )
    _, _, bits, profile = jp2_header(content)
    return Stored(imagecodecs.jpeg2k_decode(content), bits, profile)


def _by_cicp(path: Path, cicp: tuple[int, int] | None) -> bytes | None:
    return cicp_profile(*cicp, path) if cicp else None
