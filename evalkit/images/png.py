"""PNG's chunks: those that make the picture, apart from all that may be wrong.

Read by `essential`, written by `assembled`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evalkit.images.metadata import Metadata

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MAX_PROFILE_BYTES = 2**24
"""The largest profiles in use, of CMYK printers, have a few megabytes."""

MAX_TEXT_BYTES = 2**20
"""Pillow's own MAX_TEXT_CHUNK: more than that it takes for an attack."""

MADE_OF = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
GREY, RGB = 0, 2
"""Colour types of IHDR whose tRNS is one colour."""

COLOUR_TYPES = {1: GREY, 3: RGB, 4: 6}
"""By the number of channels (PNG 11.2.1)."""

UP = 2
"""The filter that keeps of a row its difference from the one above (PNG 9.2)."""

MAX_CHUNK_BYTES = 2**30
"""Below what a chunk may have, 2**31 - 1 (PNG 5.3)."""

ORIENTED_BY = (b"XML:com.adobe.xmp", b"Raw profile type exif", b"Raw profile type APP1")
"""Keywords of texts in which Pillow finds an orientation."""


@dataclass
class Png:
    """The default image alone: no animation, no text that says nothing of it."""

    file: io.BytesIO
    bits: int
    """Of a sample (IHDR)."""
    clear: tuple[int, ...] = ()
    """The transparent grey or R, G, B (tRNS), of as many bits as a sample; or none."""
    is_oriented: bool = False
    """Whether EXIF, or a text that may say an orientation, is there."""
    profile: bytes | None = None
    cicp: tuple[int, int] | None = None
    """Primaries and transfer of ITU-T H.273; it goes before a profile (PNG 13.16)."""


def essential(content: bytes) -> Png:
    """Keep what makes the picture.

    A chunk that does not (PNG 5.4: a small first letter) and is damaged, or is larger
    than a decoder takes, is left out. What is cut off stays, for the decoder to say.
    """
    png = Png(io.BytesIO(), bits=content[24] if len(content) > 24 else 8)
    png.file.write(SIGNATURE)
    for name, body, whole in chunks(content):
        if name in MADE_OF or not name:
            png.file.write(whole)
        elif zlib.crc32(name + body) != int.from_bytes(whole[-4:], "big"):
            continue
        elif name == b"tRNS" and content[25] in (GREY, RGB):
            size = 2 if content[25] == GREY else 6
            if len(body) == size:
                png.clear = struct.unpack(f">{size // 2}H", body)
        elif name == b"iCCP":
            packed = bytes(body).partition(b"\0")[2][1:]
            png.profile = _inflated(packed, MAX_PROFILE_BYTES)
        elif name == b"cICP" and len(body) == 4:
            png.cicp = body[0], body[1]
        elif name == b"tRNS":  # of a palette
            png.file.write(whole)
        elif name == b"eXIf" or _is_orientation(name, body):
            png.file.write(whole)
            png.is_oriented = True
    png.file.seek(0)
    return png


def described(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """The chunks that tell an sRGB picture's metadata (PNG 11.3), for `assembled`."""
    named = [(b"sRGB", b"\0")]  # perceptual intent
    if metadata.dpi:
        per_metre = round(metadata.dpi / 0.0254)
        named.append((b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)))
    named.append((b"eXIf", metadata.exif_bytes()))
    if metadata.xmp:
        named.append((b"iTXt", ORIENTED_BY[0] + b"\0\0\0\0\0" + metadata.xmp))
    return named


def assembled(
    shape: tuple[int, ...],
    bits: int,
    packed: bytes | bytearray,
    beside: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """The PNG file of a picture of `shape`, from its filtered rows in zlib's form.

    `beside` are chunks that describe it, name and body.
    """
    height, width = shape[:2]
    kind = COLOUR_TYPES[shape[2] if shape[2:] else 1]
    starts = range(0, len(packed), MAX_CHUNK_BYTES)
    named = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)),
        *beside,
        *((b"IDAT", packed[at : at + MAX_CHUNK_BYTES]) for at in starts),
        (b"IEND", b""),
    ]
    parts: list[bytes | bytearray] = [SIGNATURE]
    for name, body in named:
        parts += chunk(name, body)
    return b"".join(parts)


def chunk(name: bytes, body: bytes | bytearray) -> list[bytes | bytearray]:
    """The parts of a chunk (PNG 5.3): its length, name, body and check."""
    check = zlib.crc32(body, zlib.crc32(name))
    return [struct.pack(">I", len(body)), name, body, struct.pack(">I", check)]


def chunks(content: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Name, body, and all bytes of each chunk; the name is empty where one is cut."""
    view, at = memoryview(content), len(SIGNATURE)
    while at < len(view):
        length = int.from_bytes(view[at : at + 4], "big")
        end = at + 12 + length
        is_cut = end > len(view)
        name = b"" if is_cut else bytes(view[at + 4 : at + 8])
        yield name, view[at + 8 : end - 4], view[at:end]
        if name == b"IEND":
            return
        at = end


def _is_orientation(name: bytes, body: memoryview) -> bool:
    if name not in (b"tEXt", b"zTXt", b"iTXt"):
        return False
    keyword, _, text = bytes(body[: MAX_TEXT_BYTES + 1]).partition(b"\0")
    if keyword not in ORIENTED_BY or len(body) > MAX_TEXT_BYTES:
        return False
    if name == b"iTXt":
        is_packed, text = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
    else:
        is_packed, text = name == b"zTXt", text[1:]
    return not is_packed or _inflated(text, MAX_TEXT_BYTES) is not None


def _inflated(packed: bytes | memoryview, limit: int) -> bytes | None:
    """Unpack it; None where it is damaged, cut off, or larger."""
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(packed, limit)
    except zlib.error:
        return None
    return content if inflater.eof else None
