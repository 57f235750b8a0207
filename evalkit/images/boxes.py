"""Boxes of the ISO base media format: what AVIF, HEIC, JP2, JPEG XL say of pixels."""

from collections.abc import Iterator
from dataclasses import dataclass


def boxes(content: bytes, start: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of each box from `start` on (ISO/IEC 14496-12, 4.2)."""
    at = start
    while at + 8 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        body = at + 8
        if length == 1:
            length, body = int.from_bytes(content[at + 8 : at + 16], "big"), at + 16
        end = at + length if length else len(content)
        if end < body:
            return
        yield content[at + 4 : at + 8], content[body:end]
        at = end


def box(kind: bytes, content: bytes) -> bytes:
    """One box, of any length."""
    length = len(content) + 8
    if length < 2**32:
        return length.to_bytes(4, "big") + kind + content
    return (1).to_bytes(4, "big") + kind + (length + 8).to_bytes(8, "big") + content


@dataclass
class Primary:
    """Properties of the primary item (ISO/IEC 23008-12, 6.5; AV1 image format)."""

    width: int = 0
    height: int = 0
    bits: int = 8
    quarter_turns: int = 0
    """Anticlockwise."""
    mirror: int | None = None
    """0: top and bottom change places; 1: left and right (after the turn)."""
    profile: bytes | None = None
    cicp: tuple[int, int] | None = None

    @property
    def orientation(self) -> int:
        """The turn, then the mirror, as one orientation of EXIF."""
        plain = {0: 1, 1: 8, 2: 3, 3: 6}[self.quarter_turns]
        if self.mirror is None:
            return plain
        flipped = (
            {1: 4, 8: 5, 3: 2, 6: 7} if self.mirror == 0 else {1: 2, 8: 7, 3: 4, 6: 5}
        )
        return flipped[plain]


def primary(content: bytes) -> Primary:
    """Read an AVIF or HEIC file; a missing property has a plain picture's value."""
    meta = dict(boxes(dict(boxes(content)).get(b"meta", b""), 4))
    pitm = meta.get(b"pitm", b"")
    wide = pitm[:1] > b"\0"
    item_id = int.from_bytes(pitm[4 : 8 if wide else 6], "big")
    parts = dict(boxes(meta.get(b"iprp", b"")))
    properties = list(boxes(parts.get(b"ipco", b"")))
    item = Primary()
    for number in _associated(parts.get(b"ipma", b""), item_id):
        if 0 < number <= len(properties):
            _note(item, *properties[number - 1])
    return item


def _associated(ipma: bytes, item_id: int) -> list[int]:
    """Numbers, from 1, of an item's properties (ISO/IEC 14496-12, 8.11.14)."""
    id_bytes = 2 if ipma[:1] == b"\0" else 4
    n_bytes = 2 if ipma[3:4] and ipma[3] & 1 else 1
    at = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        item = int.from_bytes(ipma[at : at + id_bytes], "big")
        count = int.from_bytes(ipma[at + id_bytes : at + id_bytes + 1], "big")
        at += id_bytes + 1
        if item == item_id or at >= len(ipma):
            ends = range(at, at + count * n_bytes, n_bytes)
            mask = 0x7FFF if n_bytes == 2 else 0x7F
            return [int.from_bytes(ipma[i : i + n_bytes], "big") & mask for i in ends]
        at += count * n_bytes
    return []


def _note(item: Primary, name: bytes, body: bytes) -> None:
    if name == b"ispe":
        item.width = int.from_bytes(body[4:8], "big")
        item.height = int.from_bytes(body[8:12], "big")
    elif name == b"pixi" and len(body) > 5:
        item.bits = body[5]
    elif name == b"irot" and body:
        item.quarter_turns = body[0] & 3
    elif name == b"imir" and body:
        item.mirror = body[0] & 1
    elif name == b"av1C" and len(body) > 2 and body[2] & 0x40:  # high_bitdepth
        item.bits = 12 if body[2] & 0x20 else 10
    elif name == b"colr" and body[:4] in (b"prof", b"rICC"):
        item.profile = body[4:]
    elif name == b"colr" and body[:4] == b"nclx":
        item.cicp = (
            int.from_bytes(body[4:6], "big"),
            int.from_bytes(body[6:8], "big"),
        )
