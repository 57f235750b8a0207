"""What a file says beside its pixels: read from any kind, carried into another."""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import quoteattr

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from evalkit.errors import ImageError
from evalkit.images import boxes
from evalkit.images.decode import damage_is_said
from evalkit.images.kinds import picture_kind
from evalkit.images.stored import MetadataWarning

TAG = ExifTags.Base
KEPT = (
    *(TAG.ImageDescription, TAG.Make, TAG.Model, TAG.DateTime, TAG.Artist),
    *(TAG.Copyright, TAG.Rating, TAG.XPTitle, TAG.XPComment, TAG.XPAuthor),
    *(TAG.XPKeywords, TAG.XPSubject),
)
"""Of a picture's own tags: the others say how its file is laid out."""

LEFT_OUT = (
    *(TAG.MakerNote, TAG.ExifInteroperabilityOffset),
    *(TAG.ExifImageWidth, TAG.ExifImageHeight),
)
"""A maker's notes hold places in the old file, which are wrong in any other."""

MAX_VALUE_BYTES = 8192
"""A longer value is no date or place; a JPEG has 64 kB for all of them."""

MAX_XMP_BYTES = 60_000
"""What one segment of a JPEG holds (XMP specification, part 3, 1.1.3), with ours."""

TIFF_VERSION = 42
"""43 is BigTIFF's."""

EMPTY_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
).encode()
END_OF_XMP = b"</rdf:RDF>"
NAMESPACE = "urn:evalkit:restored#"
OURS = re.compile(rb"<rdf:Description [^>]*xmlns:evalkit=[^>]*/>")
ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>)\s*)[1-8]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a picture's file says beside its pixels; the pixels are upright and sRGB.

    Attributes
    ----------
    tags, exif, gps
        Values by tag, of the picture, how it was taken and where (EXIF 2.32, 4.6).
    xmp
        An XMP packet, or nothing.
    dpi
        Pixels an inch in print; None for unknown.

    """

    tags: Mapping[int, Any] = field(default_factory=dict)
    exif: Mapping[int, Any] = field(default_factory=dict)
    gps: Mapping[int, Any] = field(default_factory=dict)
    xmp: bytes = b""
    dpi: float | None = None

    def made_by(self, software: str, caution: str, **facts: str) -> Metadata:
        """The same of a picture that was made of this one.

        Parameters
        ----------
        software
            Name and version.
        caution
            Becomes the picture's description where it has none; may be empty.
        **facts
            Stand in the XMP, with the two others.

        """
        described: dict[int, Any] = {TAG.ImageDescription: caution} if caution else {}
        facts = {"software": software, **facts} | (
            {"caution": caution} if caution else {}
        )
        values = " ".join(f"evalkit:{k}={quoteattr(v)}" for k, v in facts.items())
        ours = f'<rdf:Description rdf:about="" xmlns:evalkit="{NAMESPACE}" {values}/>'
        packet = OURS.sub(b"", self.xmp or EMPTY_XMP)
        begin, end_tag, rest = packet.rpartition(END_OF_XMP)
        return replace(
            self,
            tags={**described, **self.tags, TAG.Software: software},
            xmp=begin + ours.encode() + end_tag + rest,
        )

    def exif_bytes(self, *, is_oriented: bool = True) -> bytes:
        """As files keep them, from the header of TIFF on; orientation 1 where asked."""
        exif = Image.Exif()
        exif.update(_in_bytes(self.tags))
        if is_oriented:
            exif[TAG.Orientation] = 1
        if self.dpi:
            inch: dict[int, float] = {
                TAG.XResolution: self.dpi,
                TAG.YResolution: self.dpi,
            }
            exif.update({**inch, TAG.ResolutionUnit: 2})
        for ifd, values in self.groups():
            exif.get_ifd(ifd).update(values)
        return exif.tobytes().removeprefix(b"Exif\0\0")

    def groups(self) -> list[tuple[int, Mapping[int, Any]]]:
        """Tags of directories of their own, by the tag that points there."""
        both = ((ExifTags.IFD.Exif, self.exif), (ExifTags.IFD.GPSInfo, self.gps))
        return [(int(ifd), values) for ifd, values in both if values]


def read_metadata(path: Path | str) -> Metadata:
    """Read EXIF and XMP of any picture that `read_image` reads.

    The orientation is made 1, since `read_image` turns. Thumbnails, maker's notes and
    what describes the old file are left out; so is XMP that is damaged or too long.
    XMP in a TIFF or JPEG 2000, and packed boxes of a JPEG XL, are passed over.

    Raises
    ------
    OSError
        The machine cannot read the file.

    Warns
    -----
    MetadataWarning
        Something there cannot be understood, and does not travel.

    """
    path = Path(path)
    try:
        with damage_is_said(path):
            exif, xmp = _raw(path)
            metadata = Metadata(
                tags={t: _as_text(exif[t]) for t in KEPT if _is_short(exif.get(t))},
                exif=_short(exif.get_ifd(ExifTags.IFD.Exif)),
                gps=_short(exif.get_ifd(ExifTags.IFD.GPSInfo)),
            )
            metadata.exif_bytes()
    except ImageError as error:
        _warn(path, f"its metadata cannot be read, and are left out ({error})")
        return Metadata()
    if xmp and (END_OF_XMP not in xmp or len(xmp) > MAX_XMP_BYTES):
        _warn(path, "its XMP is damaged or longer than 60 kB, and is left out")
        xmp = b""
    return replace(metadata, xmp=ORIENTATION.sub(rb"\g<1>1", xmp))


def _raw(path: Path) -> tuple[Image.Exif, bytes]:
    kind = picture_kind(path)
    exif, xmp = Image.Exif(), b""
    if kind == "heic":
        import pi_heif

        heif = pi_heif.open_heif(path)
        info = heif[heif.primary_index].info
        exif.load(info.get("exif") or b"")
        xmp = info.get("xmp") or b""
    elif kind == "jxl":
        parts = dict(boxes.boxes(path.read_bytes()))
        exif.load(parts.get(b"Exif", b"")[4:])  # before it, where its header begins
        xmp = parts.get(b"xml ", b"")
    elif kind not in ("pdf", "jp2", None):
        with path.open("rb") as stream, Image.open(stream) as file:
            exif, xmp = file.getexif(), file.info.get("xmp") or b""
            for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
                exif.get_ifd(ifd)  # while the file is open
    return exif, xmp.encode() if isinstance(xmp, str) else bytes(xmp)


def _short(values: Mapping[int, Any]) -> dict[int, Any]:
    return {k: v for k, v in values.items() if k not in LEFT_OUT and _is_short(v)}


def _is_short(value: Any) -> bool:
    is_text = isinstance(value, str | bytes)
    return value is not None and not (is_text and len(value) > MAX_VALUE_BYTES)


def _as_text(value: Any) -> Any:
    """A text that Pillow has taken for Latin-1, and that is UTF-8 as a rule."""
    with suppress(AttributeError, UnicodeError):
        return value.encode("latin-1").decode()
    return value


def _in_bytes(tags: Mapping[int, Any]) -> dict[int, Any]:
    return {t: v.encode() if isinstance(v, str) else v for t, v in tags.items()}


def _warn(path: Path, what: str) -> None:
    warnings.warn(f"{path}: {what}", MetadataWarning, stacklevel=3)


def append_to_tiff(path: Path, metadata: Metadata) -> None:
    """Put EXIF and GPS into a TIFF of one picture, little-endian: tifffile does not.

    Its directory is written anew at the end (TIFF 6.0, section 2). A BigTIFF, which a
    file over 4 GiB is, stays as it is.
    """
    with path.open("r+b") as file:
        version, at = struct.unpack("<HI", file.read(8)[2:])
        if version != TIFF_VERSION:
            return
        file.seek(at)
        n_entries = int.from_bytes(file.read(2), "little")
        entries = [file.read(12) for _ in range(n_entries)]
        for ifd, values in metadata.groups():
            group = ImageFileDirectory_v2(b"II*\0\x08\0\0\0", group=ifd)
            group.update(values)
            at = _end(file)
            file.write(group.tobytes(at))
            entries.append(struct.pack("<HHII", ifd, 4, 1, at))
        at = _end(file)
        entries.sort(key=lambda entry: int.from_bytes(entry[:2], "little"))
        file.write(struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4))
        file.seek(4)
        file.write(struct.pack("<I", at))


def _end(file: BinaryIO) -> int:
    """Go to the end, and to an even place (TIFF 6.0, section 2)."""
    at = file.seek(0, io.SEEK_END)
    return at + file.write(bytes(at % 2))


def tiff_tags(metadata: Metadata) -> list[tuple[int, int, int, Any, bool]]:
    """The picture's own tags and XMP, as ``tifffile.imwrite`` takes them."""
    tags: list[tuple[int, int, int, Any, bool]] = [
        (int(tag), 2, 0, value, True)
        for tag, value in _in_bytes(metadata.tags).items()
        if isinstance(metadata.tags[tag], str)
    ]
    if metadata.xmp:
        tags.append((700, 1, len(metadata.xmp), metadata.xmp, True))
    return tags


@cache
def srgb_profile() -> bytes:
    """An ICC profile of sRGB, without the time that LittleCMS writes into it."""
    import imagecodecs

    profile = imagecodecs.cms_profile("srgb")
    return bytes(profile[:24] + b"\x07\xea\0\1\0\1" + bytes(6) + profile[36:])
