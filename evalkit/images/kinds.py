"""What a picture file is, by its first bytes."""

from pathlib import Path

HEAD_BYTES = 1024
"""A PDF's header may stand behind blanks that a mailer put before it."""

BLANKS = b"\xef\xbb\xbf \t\r\n\0"

STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",  # BigTIFF
    b"MM\0+": "tiff",
    b"\xff\x0a": "jxl",
    b"\0\0\0\x0cJXL \r\n\x87\n": "jxl",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jp2",
    b"\xff\x4f\xff\x51": "jp2",  # its bare codestream
    b"8BPS": "psd",
    b"FUJIFILMCCD-RAW": "raf",
    b"IIRO": "orf",
    b"IIRS": "orf",
    b"MMOR": "orf",
    b"IIU\0": "rw2",
    b"II\xbc\x01": "jxr",
    b"\x76\x2f\x31\x01": "exr",
    b"#?RADIANCE": "hdr",
    b"qoif": "qoi",
}

BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "heic"),
    b"crx ": "cr3",
}
"""Brands of the ISO base media format (ISO/IEC 23008-12, annex B; AV1 Image)."""

BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
"""Sizes of a BMP's second header: two letters alone begin many a text."""

READ = frozenset(
    {"avif", "bmp", "gif", "heic", "jp2", "jpeg", "jxl", "pdf", "png", "tiff", "webp"}
)
"""The kinds that `evalkit.images.read_image` reads; the others it refuses by name."""


def picture_kind(path: Path | str) -> str | None:
    """What picture a file is, by its first bytes, whatever its name; None if none.

    It reads a kilobyte; the rest may be damaged. The answer is one of `READ`, or a kind
    that is known only to be refused, such as ``psd``. Cameras' raw files that are TIFF
    by their first bytes (DNG, NEF, ARW) are ``tiff``.

    Raises
    ------
    OSError
        The file cannot be opened or read.

    """
    with Path(path).open("rb") as file:
        return kind_of(file.read(HEAD_BYTES))


def kind_of(head: bytes) -> str | None:
    """As `picture_kind`, from the first `HEAD_BYTES` of a file."""
    for start, kind in STARTS.items():
        if head.startswith(start):
            return "cr2" if kind == "tiff" and head[8:10] == b"CR" else kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in BMP_HEADERS:
        return "bmp"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in b" \t\r\n#":
        return "pnm" if len(head) > 2 else None
    if head[4:8] == b"ftyp":
        length = int.from_bytes(head[:4], "big")
        brands = [head[i : i + 4] for i in (8, *range(16, min(length, 128), 4))]
        kinds = [BRANDS[brand] for brand in brands if brand in BRANDS]
        return kinds[0] if kinds else "heic" if b"mif1" in brands else None
    return "pdf" if head.lstrip(BLANKS).startswith(b"%PDF-") else None
