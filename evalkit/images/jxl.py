"""The header of a JPEG XL codestream (ISO/IEC 18181-1, annexes B to E).

libjxl reads it too, but imagecodecs does not hand it on: without it the size is known
too late, and the colours not at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.images.boxes import box, boxes

if TYPE_CHECKING:
    from evalkit.images.metadata import Metadata

CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"

TRANSFERS = {1: 1, 2: 2, 8: 8, 13: 13, 16: 16, 17: 17, 18: 18}
PRIMARIES = {1: 1, 9: 9, 11: 12}
"""Numbers of JPEG XL to those of ITU-T H.273; white D65 except where said."""


@dataclass
class Header:
    """What the header says of the pixels."""

    width: int
    height: int
    bits: int = 8
    is_float: bool = False
    is_premultiplied: bool = False
    cicp: tuple[int, int] | None = None
    """ITU-T H.273; None for sRGB."""
    has_lost_profile: bool = False
    """An ICC profile, or colours of its own, that nothing here can read."""


def contained(codestream: bytes, metadata: Metadata) -> bytes:
    """The file (ISO/IEC 18181-2) of a bare codestream, with metadata."""
    exif = box(b"Exif", bytes(4) + metadata.exif_bytes())
    xmp = box(b"xml ", metadata.xmp) if metadata.xmp else b""
    kind = box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return CONTAINER + kind + exif + xmp + box(b"jxlc", codestream)


class _Bits:
    """Least significant bit first (18181-1, B.2)."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content, "little")
        self._left = len(content) * 8

    def u(self, n: int) -> int:
        self._left -= n
        if self._left < 0:
            raise EOFError("its header is cut off")
        value = self._value & ((1 << n) - 1)
        self._value >>= n
        return value

    def one_of(self, *choices: tuple[int, int]) -> int:
        """U32: each choice is (offset, bits behind it)."""
        offset, n = choices[self.u(2)]
        return offset + self.u(n)

    def enum(self) -> int:
        return self.one_of((0, 0), (1, 0), (2, 4), (18, 6))


def header(content: bytes) -> Header:
    """Read the header of a bare codestream or a container.

    Raises
    ------
    EOFError
        It is cut off.

    """
    bits = _Bits(_codestream(content)[2:4096])
    height, width = _size(bits)
    fields = Header(width, height)
    if bits.u(1):  # all default
        return fields
    if bits.u(1):  # extra fields
        bits.u(3)  # the orientation, which libjxl applies
        if bits.u(1):
            _size(bits)  # intrinsic
        if bits.u(1):
            _preview(bits)
        if bits.u(1):
            bits.one_of((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.one_of((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.one_of((0, 0), (0, 3), (0, 16), (0, 32))
            bits.u(1)
    fields.is_float, fields.bits = _depth(bits)
    bits.u(1)  # whether 16-bit buffers do
    for _ in range(bits.one_of((0, 0), (1, 0), (2, 4), (1, 12))):
        fields.is_premultiplied |= _extra_channel(bits)
    is_xyb = bool(bits.u(1))
    _colours(bits, fields)
    fields.has_lost_profile &= not is_xyb  # libjxl turns XYB into sRGB then
    return fields


def _codestream(content: bytes) -> bytes:
    if not content.startswith(CONTAINER):
        return content
    parts = [
        body[4:] if name == b"jxlp" else body
        for name, body in boxes(content)
        if name in (b"jxlc", b"jxlp")
    ]
    return b"".join(parts)


def _side(bits: _Bits, is_div8: int) -> int:
    if is_div8:
        return 8 * (bits.u(5) + 1)
    return bits.one_of((1, 9), (1, 13), (1, 18), (1, 30))


def _size(bits: _Bits) -> tuple[int, int]:
    is_div8 = bits.u(1)
    height = _side(bits, is_div8)
    return height, _by_ratio(bits, height) or _side(bits, is_div8)


def _by_ratio(bits: _Bits, height: int) -> int:
    """The width where it is said by a ratio; else 0."""
    up, down = (
        (0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1)
    )[bits.u(3)]  # fmt: skip
    return height * up // down


def _preview(bits: _Bits) -> None:
    eighths = ((16, 0), (32, 0), (1, 5), (33, 9))
    pixels = ((1, 6), (65, 8), (321, 10), (1345, 12))
    choices = eighths if bits.u(1) else pixels
    height = bits.one_of(*choices)
    if not _by_ratio(bits, height):
        bits.one_of(*choices)


def _depth(bits: _Bits) -> tuple[bool, int]:
    if bits.u(1):
        n = bits.one_of((32, 0), (16, 0), (24, 0), (1, 6))
        bits.u(4)
        return True, n
    return False, bits.one_of((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(bits: _Bits) -> bool:
    """Whether it is alpha by which the colours were multiplied."""
    if bits.u(1):  # all default: alpha, 8 bits, not multiplied
        return False
    kind = bits.enum()
    _depth(bits)
    bits.one_of((0, 0), (3, 0), (4, 0), (1, 3))
    bits.u(8 * bits.one_of((0, 0), (0, 4), (16, 5), (48, 10)))  # its name
    if kind == 0:
        return bool(bits.u(1))
    if kind == 2:  # a spot colour
        bits.u(64)
    elif kind == 5:  # a colour filter
        bits.one_of((1, 0), (0, 2), (3, 4), (19, 8))
    return False


def _colours(bits: _Bits, fields: Header) -> None:
    if bits.u(1):  # all default: sRGB
        return
    has_profile = bits.u(1)
    space = bits.enum()  # 0 RGB, 1 grey, 2 XYB, 3 not known
    if has_profile:
        fields.has_lost_profile = True
        return
    white = 1 if space == 2 else bits.enum()
    if white == 2:
        _points(bits, 1)
    primaries = 1
    if space not in (1, 2):
        primaries = bits.enum()
        if primaries == 2:
            _points(bits, 3)
    has_gamma = bits.u(1) if space != 2 else 0
    transfer = 13
    if has_gamma:
        fields.has_lost_profile = True
        return
    if space != 2:
        transfer = bits.enum()
    if white == 10 or primaries not in PRIMARIES or 2 in (white, primaries):
        fields.has_lost_profile = True
        return
    cinema = white == 11 and primaries == 11
    fields.cicp = (11 if cinema else PRIMARIES[primaries], TRANSFERS.get(transfer, 0))


def _points(bits: _Bits, n: int) -> None:
    for _ in range(2 * n):
        bits.one_of((0, 19), (524288, 19), (1048576, 20), (2097152, 21))
