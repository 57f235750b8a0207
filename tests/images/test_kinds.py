from pathlib import Path

import pypdfium2
import pytest
from PIL import Image

from evalkit.images import picture_kind
from evalkit.images.kinds import READ, kind_of

PILLOW = {
    "png": "PNG",
    "jpeg": "JPEG",
    "gif": "GIF",
    "bmp": "BMP",
    "webp": "WEBP",
    "tiff": "TIFF",
    "avif": "AVIF",
    "jp2": "JPEG2000",
}


@pytest.mark.parametrize("kind", PILLOW)
@pytest.mark.parametrize("name", ["picture", "picture.jfif", "picture.txt"])
def test_a_picture_is_known_by_its_content(tmp_path, kind, name):
    Image.new("RGB", (20, 10), "teal").save(tmp_path / name, format=PILLOW[kind])
    assert picture_kind(tmp_path / name) == kind
    assert kind in READ


def test_a_pdf_is_known_behind_what_a_mailer_put_before_it(tmp_path):
    document = pypdfium2.PdfDocument.new()
    document.new_page(10, 10)
    document.save(tmp_path / "a")
    assert picture_kind(tmp_path / "a") == "pdf"
    (tmp_path / "b").write_bytes(b"\r\n\r\n" + (tmp_path / "a").read_bytes())
    assert picture_kind(tmp_path / "b") == "pdf"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        # ISO/IEC 14496-12, 4.3: length, "ftyp", major brand, version, other brands
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heixmiaf", "heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1miaf", "heic"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", None),  # a film
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "cr3"),
        (b"\xff\x0a\xfa\x1f", "jxl"),  # ISO/IEC 18181-2: codestream, then container
        (b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x14ftypjxl ", "jxl"),
        (b"MM\0+\0\x08\0\0", "tiff"),
        (b"II*\0\x10\0\0\0CR\x02\0", "cr2"),
        (b"8BPS\0\x01", "psd"),
        (b"P6\n2 2\n255\n", "pnm"),
        (b"P", None),
        (b"BM are two letters of a text", None),
        (b"", None),
        (b"<html>", None),
    ],
)
def test_first_bytes(head, kind):
    assert kind_of(head) == kind


def test_what_cannot_be_opened_is_the_machine_s_fault(tmp_path):
    with pytest.raises(FileNotFoundError):
        picture_kind(Path(tmp_path / "none"))
