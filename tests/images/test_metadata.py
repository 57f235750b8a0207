"""What a file says beside its pixels travels, and is true of the new file."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from evalkit.images import Metadata, fitted, read_image, read_metadata, write_image

TAKEN, GPS = "2015:06:01 12:00:00", {1: "N", 2: (48.0, 51.0, 29.5), 3: "E"}
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/'
    b'02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" xmlns:tiff="http://ns.adobe'
    b'.com/tiff/1.0/" tiff:Orientation="6" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    b' dc:source="attic"/></rdf:RDF></x:xmpmeta>'
)
SUFFIXES = [".png", ".jpg", ".webp", ".tif", ".avif", ".jxl"]


@pytest.fixture
def phone_picture(tmp_path, small):
    """A JPEG as a phone makes it: lying on its side, with a place and a thumbnail."""
    exif = Image.Exif()
    exif.update(
        {
            274: 6,
            306: TAKEN,
            271: "Apple",
            315: "猫 café".encode(),
            282: 72.0,
            256: 9999,
        }
    )
    exif.get_ifd(0x8769).update({36867: TAKEN, 37500: b"secret" * 9, 40962: 9999})
    exif.get_ifd(0x8825).update(GPS)
    path = tmp_path / "phone.jpg"
    Image.fromarray(small).save(path, exif=exif, xmp=XMP)
    return path


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".heic"])
@pytest.mark.parametrize("n_channels", [1, 3])
def test_date_place_and_xmp_travel(tmp_path, phone_picture, need, suffix, n_channels):
    if suffix == ".heic":
        pytest.importorskip("pillow_heif")
    turned = read_image(phone_picture)
    turned = turned[..., 0] if n_channels == 1 else turned
    made = read_metadata(phone_picture).made_by("evalkit 1", "a guess", way='<"&>')
    copy = tmp_path / f"a{suffix}"
    write_image(copy, np.ascontiguousarray(turned), made)
    again = read_metadata(copy)
    assert again.tags[306] == TAKEN
    assert again.tags[270] == "a guess"
    assert again.tags[315] == "猫 café"
    assert again.exif[36867] == TAKEN
    assert tuple(map(float, again.gps[2])) == GPS[2]
    assert not {37500, 40962, 40963} & {*again.exif}
    assert b'dc:source="attic"' in again.xmp
    assert b'tiff:Orientation="1"' in again.xmp
    assert b"evalkit:way='&lt;\"&amp;&gt;'" in again.xmp
    read = read_image(copy)
    assert read.shape[:2] == turned.shape[:2]  # not turned twice
    twice = again.made_by("evalkit 2", "", way="2").xmp
    assert twice.count(b"xmlns:evalkit") == 1


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".tif", ".png", ".avif"])
def test_an_output_says_that_it_is_srgb_and_how_large_in_print(tmp_path, small, suffix):
    path = tmp_path / f"a{suffix}"
    write_image(path, small, Metadata(dpi=300))
    with Image.open(path) as file:
        if suffix == ".png":
            assert "srgb" in file.info
        else:
            profile = io.BytesIO(file.info["icc_profile"])
            assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert [*map(float, (file.getexif()[282], file.getexif()[283]))] == [300, 300]
        if suffix in (".png", ".jpg", ".tif"):
            assert file.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    np.testing.assert_allclose(read_image(path), small, atol=60)
    before = path.read_bytes()
    write_image(path, small, Metadata(dpi=300))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("xmp", "warns"),
    [(b"<half", True), (b"x" * 70_000 + b"</rdf:RDF>", True), (b"", False)],
)
def test_broken_or_huge_xmp_is_left_out_and_said(tmp_path, small, recwarn, xmp, warns):
    path = tmp_path / "a.png"
    write_image(path, small, Metadata(xmp=xmp, tags={306: TAKEN}))
    metadata = read_metadata(path)
    assert metadata.xmp == b""
    assert metadata.tags[306] == TAKEN
    assert [str(w.message) for w in recwarn if "XMP" in str(w.message)] == (
        [f"{path}: its XMP is damaged or longer than 60 kB, and is left out"] * warns
    )


def test_broken_exif_costs_itself_only(tmp_path, small):
    path = tmp_path / "a.jpg"
    Image.fromarray(small).save(
        path, exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\1" * 99
    )
    metadata = read_metadata(path)
    write_image(tmp_path / "b.png", small, metadata.made_by("evalkit 1", ""))


def test_a_picture_is_made_to_fit_its_format_and_what_that_cost_is_said(tmp_path):
    deep = np.zeros((9, 9, 4), np.uint16)
    deep[..., 0], deep[..., 3] = 65535, 32768
    image, lost = fitted(".jpg", deep)
    assert (image.shape, image.dtype) == ((9, 9, 3), np.uint8)
    assert image[0, 0].tolist() == [255, 127, 127]
    assert len(lost) == 2
    write_image(tmp_path / "a.jpg", image)
    assert fitted(".png", deep)[0] is deep
    assert fitted(".tif", deep) == (deep, [])
