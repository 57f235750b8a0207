"""Pictures that leave the house: nothing beside their pixels but what shows them right.

Kept are orientation and colour profile. A JPEG or PNG keeps its compressed data, so
that its pixels and the time to read it stay; any other becomes a PNG of its pixels.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from PIL import ExifTags, Image

from evalkit.errors import ImageError
from evalkit.images import picture_kind, read_image, write_image
from evalkit.images.png import SIGNATURE, chunk, chunks
from evalkit.paths import atomic_path

KEPT_CHUNKS = (
    *(b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"iCCP", b"cICP", b"sRGB"),
    *(b"gAMA", b"cHRM", b"sBIT", b"pHYs"),
)
"""Of a PNG: what makes its pixels, their colours and shape."""

SOI, EOI, SOS, COM = 0xD8, 0xD9, 0xDA, 0xFE
APP = range(0xE0, 0xF0)
STANDALONE = {0x00, 0x01, *range(0xD0, 0xD8)}
"""Second bytes of what has no length: stuffing, TEM and restarts (T.81, B.1.1.3)."""

KEPT_SEGMENTS = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""Of a JPEG's APPn: density, profile, and which colours its numbers are."""


def bare_copy(path: Path, target: Path) -> Path:
    """Copy a picture without its metadata.

    Parameters
    ----------
    path
        What `evalkit.images.read_image` reads; of several pages the first.
    target
        Without a suffix.

    Returns
    -------
    Path
        `target` with ``.jpg`` or ``.png``. `read_image` gives the same pixels of it.

    Raises
    ------
    ImageError
        The file is damaged.

    """
    kind = picture_kind(path)
    if kind not in ("jpeg", "png"):
        copy = target.with_name(f"{target.name}.png")
        write_image(copy, read_image(path))
        return copy
    content = path.read_bytes()
    with Image.open(path) as image:
        turned = image.getexif().get(ExifTags.Base.Orientation, 1)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    oriented = exif.tobytes().removeprefix(b"Exif\0\0") if turned != 1 else b""
    try:
        parts = (_jpeg if kind == "jpeg" else _png)(content, oriented)
        bare = b"".join(parts)
    except (IndexError, ValueError, struct.error) as error:
        raise ImageError(f"{path}: expected a whole picture, found a part") from error
    copy = target.with_name(target.name + (".jpg" if kind == "jpeg" else ".png"))
    with atomic_path(copy) as temporary:
        temporary.write_bytes(bare)
    return copy


def _png(content: bytes, exif: bytes) -> Iterator[bytes | bytearray | memoryview]:
    yield SIGNATURE
    name = b""
    for name, _, whole in chunks(content):
        if name in KEPT_CHUNKS:
            yield whole
        if name == b"IHDR" and exif:
            yield from chunk(b"eXIf", exif)
    if name != b"IEND":
        raise ValueError(name)


def _jpeg(content: bytes, exif: bytes) -> Iterator[bytes]:
    """Segments up to the first end of image: what follows may be another picture."""
    yield bytes((0xFF, SOI))
    if exif:
        body = b"Exif\0\0" + exif
        yield bytes((0xFF, 0xE1)) + struct.pack(">H", len(body) + 2) + body
    at = 2
    while True:
        while content[at + 1] == 0xFF:  # fill bytes
            at += 1
        mark = content[at + 1]
        if mark == EOI:
            yield bytes((0xFF, EOI))
            return
        end = at + 2 + struct.unpack_from(">H", content, at + 2)[0]
        body = content[at + 4 : end]
        is_told = mark in APP or mark == COM
        start = KEPT_SEGMENTS.get(mark)
        if not is_told or (start and body.startswith(start)):
            yield content[at:end]
        if mark == SOS:
            scan = end
            while content[end] != 0xFF or content[end + 1] in STANDALONE:
                end = content.index(b"\xff", end + 1)
            yield content[scan:end]
        at = end
