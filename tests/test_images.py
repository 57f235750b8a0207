import io
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from pathlib import Path

import cv2
import numpy as np
import pypdfium2
import pytest
import tifffile
from PIL import Image, ImageCms

from evalkit.errors import ImageError, SettingError
from evalkit.images import (
    SUFFIXES,
    n_pages,
    picture_files,
    pixel_sha256,
    read_image,
    resize,
    write_image,
)
from evalkit.images.icc import ProfileWarning

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def small(astronaut) -> np.ndarray:
    """(60, 80, 3): a face, and no two sides alike."""
    return np.ascontiguousarray(astronaut[60:180, 170:330][::2, ::2])


@pytest.fixture
def deep(small) -> np.ndarray:
    """(60, 80, 3), uint16, all low bits in use."""
    noise = np.random.default_rng(0).integers(0, 257, small.shape)
    return (small.astype(np.uint16) * 256 + noise).astype(np.uint16)


def chunk(name: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + crc


def png_header(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    size = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", size)


def with_alpha(image: np.ndarray) -> np.ndarray:
    peak = np.iinfo(image.dtype).max
    alpha = np.linspace(0, peak, image.shape[1]).astype(image.dtype)
    return np.dstack([image, np.broadcast_to(alpha, image.shape[:2])])


# reading: every format, with Pillow or tifffile as the writer


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp"])
def test_lossless_files_are_read_exactly(tmp_path, small, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(small).save(
        path, **({"lossless": True} if suffix == ".webp" else {})
    )
    np.testing.assert_array_equal(read_image(path), small)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_files_are_read_as_pillow_reads_them(tmp_path, small, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(small).save(path)
    np.testing.assert_array_equal(read_image(str(path)), np.asarray(Image.open(path)))


def test_the_content_counts_not_the_name(tmp_path, small):
    path = tmp_path / "really-a-png.jpg"
    Image.fromarray(small).save(path, format="PNG")
    np.testing.assert_array_equal(read_image(path), small)


def test_grey_stays_grey(tmp_path, small):
    Image.fromarray(small[..., 1]).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), small[..., 1])


def test_one_bit_tiff_is_black_and_white(tmp_path, small):
    bits = small[..., 1] > 128
    Image.fromarray(bits).save(tmp_path / "a.tif", compression="group4")
    expected = bits.astype(np.uint8) * 255
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


def test_a_palette_becomes_its_colours(tmp_path, small):
    indexed = Image.fromarray(small).quantize(16)
    indexed.save(tmp_path / "a.png")
    expected = np.asarray(indexed.convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_a_palette_with_a_transparent_entry_gets_alpha(tmp_path, small):
    indexed = Image.fromarray(small).quantize(16)
    indexed.save(tmp_path / "a.png", transparency=3)
    image = read_image(tmp_path / "a.png")
    expected = np.where(np.asarray(indexed) == 3, 0, 255)
    np.testing.assert_array_equal(image[..., 3], expected)


def test_grey_with_alpha_becomes_rgba(tmp_path, small):
    grey = small[..., 1]
    Image.fromarray(np.dstack([grey, grey[::-1]])).save(tmp_path / "a.png")
    expected = np.dstack([grey, grey, grey, grey[::-1]])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)


def test_of_a_gif_the_first_frame_is_read(tmp_path, small):
    frames = [Image.fromarray(frame).quantize(64) for frame in (small, 255 - small)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    expected = np.asarray(frames[0].convert("RGB"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), expected)
    assert n_pages(tmp_path / "a.gif") == 1


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_exif_orientation_is_applied(tmp_path, small, suffix, orientation):
    # what a camera held that way stores, EXIF 2.32 tag 0112
    stored = {
        1: small,
        2: small[:, ::-1],
        3: small[::-1, ::-1],
        4: small[::-1],
        5: small.swapaxes(0, 1),
        6: np.rot90(small, 1),
        7: np.rot90(small, 2).swapaxes(0, 1),
        8: np.rot90(small, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=100)
    image = read_image(path)
    assert image.shape == small.shape
    assert np.abs(image.astype(int) - small).mean() < 6  # JPEG, WebP


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_to_16_bits(tmp_path, deep, orientation):
    stored = {
        1: deep,
        2: deep[:, ::-1],
        3: deep[::-1, ::-1],
        4: deep[::-1],
        5: deep.swapaxes(0, 1),
        6: np.rot90(deep, 1),
        7: np.rot90(deep, 2).swapaxes(0, 1),
        8: np.rot90(deep, -1),
    }[orientation]
    tag = (0x0112, "H", 1, orientation, True)
    stored = np.ascontiguousarray(stored)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", extratags=[tag])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), deep)
    exif = Image.Exif()
    exif[0x0112] = orientation
    write_image(tmp_path / "a.png", stored)
    content = (tmp_path / "a.png").read_bytes()
    turned = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "a.png").write_bytes(content[:33] + turned + content[33:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), deep)


def test_cmyk_jpeg_becomes_rgb(tmp_path, small):
    Image.fromarray(small).convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == small.shape
    assert np.abs(image.astype(int) - small).mean() < 3


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])  # none, LZW, zip, packbits
def test_16_bit_tiff_keeps_every_bit(tmp_path, deep, compression):
    for name, image in {"grey": deep[..., 0], "rgb": deep}.items():
        path = tmp_path / f"{name}.tif"
        stored = image if image.ndim == 2 else image[..., ::-1]
        how = [cv2.IMWRITE_TIFF_COMPRESSION, compression]
        assert cv2.imwrite(str(path), np.ascontiguousarray(stored), how)
        np.testing.assert_array_equal(read_image(path), image)


def test_16_bit_tiff_whose_zero_is_white_is_inverted(tmp_path, deep):
    tifffile.imwrite(tmp_path / "a.tif", deep[..., 0], photometric="miniswhite")
    expected = 65535 - deep[..., 0]
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


def test_premultiplied_16_bit_alpha_is_divided_out(tmp_path, deep):
    image = with_alpha(deep)
    share = image[..., 3:].astype(np.float64) / 65535
    stored = image.copy()
    stored[..., :3] = np.rint(image[..., :3] * share)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["assocalpha"])
    seen = share[..., 0] > 0.5
    difference = read_image(path)[seen].astype(int) - image[seen]
    assert np.abs(difference).max() <= 1


def test_pages_of_a_tiff_are_counted_and_read(tmp_path, small, deep):
    pages = [small, small[:, :40], small[::-1]]
    first, *rest = (Image.fromarray(np.ascontiguousarray(p)) for p in pages)
    first.save(tmp_path / "a.tif", save_all=True, append_images=rest)
    assert n_pages(tmp_path / "a.tif") == 3
    for number, page in enumerate(pages):
        np.testing.assert_array_equal(read_image(tmp_path / "a.tif", page=number), page)
    tifffile.imwrite(
        tmp_path / "deep.tif", np.stack([deep, deep[::-1]]), photometric="rgb"
    )
    np.testing.assert_array_equal(read_image(tmp_path / "deep.tif", page=1), deep[::-1])


def test_pages_of_a_pdf_are_rendered_at_200_dpi(tmp_path, small):
    first, second = Image.fromarray(small), Image.fromarray(255 - small)
    first.save(
        tmp_path / "a.pdf", save_all=True, append_images=[second], resolution=100
    )
    assert n_pages(tmp_path / "a.pdf") == 2
    page = read_image(tmp_path / "a.pdf", page=1)
    assert page.shape == (120, 160, 3)  # 100 dpi shown at 200
    shown = resize(page, 80, 60).astype(int)
    assert np.abs(shown - (255 - small)).mean() < 8


def test_a_page_that_is_not_there_is_refused(tmp_path, small):
    Image.fromarray(small).save(tmp_path / "a.tif")
    Image.fromarray(small).save(tmp_path / "a.pdf")
    Image.fromarray(small).save(tmp_path / "a.png")
    for name in ("a.tif", "a.pdf", "a.png"):
        for page in (1, -1):
            with pytest.raises(ImageError, match=f"pages 0 to 0; got page {page}"):
                read_image(tmp_path / name, page=page)


# colour profiles


def rgb_profile(
    gamma: float, primaries: dict[str, tuple[float, float, float]]
) -> bytes:
    """A matrix profile of ICC.1:2022, 8.3.3: XYZ columns (D50) and one gamma."""
    fixed = lambda x: struct.pack(">i", round(x * 65536))  # noqa: E731
    tags = {
        name.encode(): b"XYZ " + bytes(4) + b"".join(map(fixed, xyz))
        for name, xyz in primaries.items()
    }
    tags[b"wtpt"] = b"XYZ " + bytes(4) + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    name = b"test\0"
    tags[b"desc"] = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    tags[b"cprt"] = b"text" + bytes(4) + b"none\0\0\0\0"
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", tag, offset + len(body), len(content))
        body += content
    header = struct.pack(
        ">I4sI4s4s4s", 0, b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ "
    )
    header += bytes(12) + b"acsp" + bytes(28)
    header += b"".join(map(fixed, (0.9642, 1.0, 0.8249))) + bytes(48)
    profile = header + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(profile)) + profile[4:]


# Adobe RGB (1998), version 2005-05, annex B: primaries adapted to D50, gamma 563/256
ADOBE_RGB = rgb_profile(
    563 / 256,
    {
        "rXYZ": (0.60974, 0.31111, 0.01947),
        "gXYZ": (0.20528, 0.62567, 0.06087),
        "bXYZ": (0.14919, 0.06322, 0.74457),
    },
)


def by_littlecms(image: np.ndarray, profile: bytes) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    srgb = ImageCms.createProfile("sRGB")
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(image), source, srgb))


def test_an_adobe_rgb_picture_becomes_srgb(tmp_path, small):
    Image.fromarray(small).save(tmp_path / "a.png", icc_profile=ADOBE_RGB)
    image = read_image(tmp_path / "a.png")
    np.testing.assert_allclose(image, by_littlecms(small, ADOBE_RGB), rtol=0, atol=1)
    assert image[..., 0].mean() > small[..., 0].mean()  # a wide gamut's reds spread


def test_alpha_survives_a_colour_profile(tmp_path, small):
    image = with_alpha(small)
    Image.fromarray(image).save(tmp_path / "a.png", icc_profile=ADOBE_RGB)
    read = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(read[..., 3], image[..., 3])
    expected = by_littlecms(small, ADOBE_RGB)
    np.testing.assert_allclose(read[..., :3], expected, rtol=0, atol=1)


def test_a_srgb_profile_changes_nothing(tmp_path, small, deep):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(small).save(tmp_path / "a.png", icc_profile=srgb)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), small)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", iccprofile=srgb)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), deep)


def test_grey_with_a_profile_of_three_colours_stays_grey(tmp_path, small):
    grey = small[..., 1]
    Image.fromarray(grey).save(tmp_path / "a.png", icc_profile=ADOBE_RGB)
    image = read_image(tmp_path / "a.png")
    expected = by_littlecms(np.dstack([grey] * 3), ADOBE_RGB)[..., 1]
    np.testing.assert_allclose(image, expected, rtol=0, atol=1)


def test_16_bits_with_a_profile_agree_with_littlecms_at_8_bits(tmp_path, small):
    deep = small.astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", iccprofile=ADOBE_RGB)
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == np.uint16
    expected = by_littlecms(small, ADOBE_RGB).astype(float)
    assert np.abs(image / 257 - expected).max() < 1


def test_16_bit_grey_with_a_gamma_agrees_with_the_formula(tmp_path):
    profile = bytearray(rgb_profile(1.0, {}))
    profile[16:20] = b"GRAY"
    grey = bytes(profile).replace(b"rTRC", b"kTRC")  # linear light
    ramp = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
    tifffile.imwrite(
        tmp_path / "a.tif", ramp, photometric="minisblack", iccprofile=grey
    )
    linear = ramp / 65535  # IEC 61966-2-1
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    difference = read_image(tmp_path / "a.tif") - encoded * 65535
    assert np.abs(difference).max() < 1  # of 65535


def test_a_broken_profile_is_said_and_left_out(tmp_path, small, deep):
    Image.fromarray(small).save(tmp_path / "a.png", icc_profile=b"no profile" * 20)
    with pytest.warns(ProfileWarning, match=r"a\.png.*sRGB is assumed"):
        image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image, small)
    cut = ADOBE_RGB[:200]
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", iccprofile=cut)
    with pytest.warns(ProfileWarning, match=r"a\.tif.*sRGB is assumed"):
        image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image, deep)


# refusals


def test_zero_bytes_are_refused(tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(ImageError, match=r"a\.png has zero bytes"):
        read_image(tmp_path / "a.png")


def test_text_under_a_picture_s_name_is_refused(tmp_path):
    (tmp_path / "a.png").write_text(
        "Dear reader, this is a letter.\n" * 9, encoding="utf-8"
    )
    with pytest.raises(ImageError, match="not a picture that can be read; expected"):
        read_image(tmp_path / "a.png")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(ImageError, match="there is no such file"):
            read_image(path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", {}),
        (".jpg", {}),
        (".jpg", {"progressive": True}),
        (".webp", {}),
        (".bmp", {}),
        (".gif", {}),
        (".tif", {}),
        (".tif", {"compression": "tiff_lzw"}),
        (".pdf", {}),
    ],
)
def test_a_file_that_is_cut_off_is_refused(tmp_path, astronaut, suffix, options, share):
    whole = tmp_path / f"whole{suffix}"
    Image.fromarray(astronaut).save(whole, **options)
    content = whole.read_bytes()
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ImageError, match=r"cut\."):
        read_image(cut)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_16_bit_file_that_is_cut_off_is_refused(tmp_path, deep, suffix):
    write_image(tmp_path / f"whole{suffix}", deep)
    content = (tmp_path / f"whole{suffix}").read_bytes()
    for share in (0.3, 0.7, 0.97):
        cut = tmp_path / f"cut{suffix}"
        cut.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ImageError, match=r"cut off or damaged|not a picture"):
            read_image(cut)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_floating_point_with_nan_is_refused(tmp_path, small, n_channels):
    values = small[..., :n_channels].squeeze() / np.float32(255)
    values[3, 4] = np.nan
    kind = "minisblack" if n_channels == 1 else "rgb"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=kind)
    with pytest.raises(ImageError, match="1, 8 or 16 bits"):
        read_image(tmp_path / "a.tif")


def bomb(kind: str, path: Path) -> None:
    """A few bytes that claim 100000x100000 px."""
    if kind == "png":
        content = chunk(b"IDAT", zlib.compress(bytes(1000)))
        path.write_bytes(png_header(100_000, 100_000) + content + chunk(b"IEND", b""))
    elif kind == "bmp":
        Image.new("RGB", (4, 4)).save(path)
        content = bytearray(path.read_bytes())
        content[18:26] = struct.pack("<ii", 100_000, 100_000)
        path.write_bytes(content)
    elif kind == "tif":
        Image.new("RGB", (4, 4)).save(path)
        content = path.read_bytes()
        for tag in (256, 257):
            sides = [
                struct.pack("<HHIHH", tag, 3, 1, 4, 0),
                struct.pack("<HHII", tag, 4, 1, 4),
            ]
            for side in sides:
                content = content.replace(
                    side, struct.pack("<HHII", tag, 4, 1, 100_000)
                )
        path.write_bytes(content)
    else:
        document = pypdfium2.PdfDocument.new()
        document.new_page(36_000, 36_000)  # 100000 px at 200 dpi
        document.save(path)


@pytest.mark.parametrize("kind", ["png", "bmp", "tif", "pdf"])
def test_a_header_that_claims_too_much_is_refused_before_memory_is_spent(
    tmp_path, kind
):
    path = tmp_path / f"a.{kind}"
    bomb(kind, path)
    with pytest.raises(ImageError):
        read_image(path)  # what is imported lazily is not timed
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(ImageError, match="the limit is 200 megapixels"):
        read_image(path)
    assert time.perf_counter() - start < 0.1
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_memory_stays_flat_when_a_bomb_is_refused(tmp_path):
    bomb("png", tmp_path / "a.png")
    code = """if True:
        import resource, sys
        from evalkit.errors import ImageError
        from evalkit.images import read_image
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            read_image(sys.argv[1])
        except ImageError:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    grown = subprocess.check_output([sys.executable, "-c", code, tmp_path / "a.png"])
    assert int(grown) < 10_000  # KiB


def test_the_limit_is_an_argument_and_a_variable(tmp_path, small, monkeypatch):
    path = tmp_path / "a.png"
    Image.fromarray(small).save(path)  # 4800 px
    assert read_image(path, max_megapixels=0.0048).shape == small.shape
    with pytest.raises(ImageError, match="EVALKIT_MAX_MEGAPIXELS"):
        read_image(path, max_megapixels=0.0047)
    monkeypatch.setenv("EVALKIT_MAX_MEGAPIXELS", "0.001")
    with pytest.raises(ImageError, match=r"limit is 0\.001 megapixels"):
        read_image(path)
    assert read_image(path, max_megapixels=1).shape == small.shape
    for wrong in ("many", "-1", "0", "nan"):
        monkeypatch.setenv("EVALKIT_MAX_MEGAPIXELS", wrong)
        with pytest.raises(SettingError, match="expected a positive number"):
            read_image(path)


def test_pillow_s_own_limit_is_as_before(tmp_path, small):
    before = Image.MAX_IMAGE_PIXELS
    Image.fromarray(small).save(tmp_path / "a.png")
    read_image(tmp_path / "a.png", max_megapixels=5)
    with pytest.raises(ImageError):
        read_image(tmp_path / "a.png", max_megapixels=0.001)
    assert before == Image.MAX_IMAGE_PIXELS


def test_more_than_pillow_allows_is_read_within_our_limit(tmp_path):
    side = 13_400  # 179.6 MP; Pillow refuses from 178.96 on
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").shape == (side, side)


# writing


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("n_channels", [1, 3, 4])
def test_bit_depth_and_alpha_survive(tmp_path, small, deep, suffix, dtype, n_channels):
    image = with_alpha(small if dtype == np.uint8 else deep)
    image = np.ascontiguousarray(image[..., :n_channels].squeeze())
    path = tmp_path / f"a{suffix}"
    write_image(path, image)
    read = read_image(path)
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, image)


def test_what_is_written_others_read(tmp_path, small, deep):
    write_image(tmp_path / "a.png", with_alpha(small))
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "a.png")), with_alpha(small)
    )
    write_image(tmp_path / "a.tif", with_alpha(deep))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), with_alpha(deep))
    for suffix in (".jpg", ".webp"):
        write_image(tmp_path / f"a{suffix}", small)
        seen = np.asarray(Image.open(tmp_path / f"a{suffix}").convert("RGB"))
        assert np.abs(seen.astype(int) - small).mean() < 4


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_the_same_picture_makes_the_same_bytes(tmp_path, small, suffix):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}{suffix}", small)
    assert (tmp_path / f"a{suffix}").read_bytes() == (
        tmp_path / f"b{suffix}"
    ).read_bytes()


def test_what_a_format_cannot_hold_is_refused(tmp_path, small, deep):
    for name, image in {
        "a.jpg": with_alpha(small),
        "b.jpg": deep,
        "a.webp": deep,
        "a.gif": small,
        "a.png": small.astype(np.float32),
        "b.png": small[..., :2],
        "c.png": small[:0],
    }.items():
        with pytest.raises(ImageError):
            write_image(tmp_path / name, image)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path, small, monkeypatch):
    path = tmp_path / "a.tif"
    write_image(path, small)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(OSError, match="disk full"):
        write_image(path, 255 - small)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# the rest


def test_shrinking_averages_areas(small):
    blocks = small.reshape(30, 2, 40, 2, 3).mean((1, 3))
    assert np.abs(resize(small, 40, 30) - blocks).max() <= 0.5


def test_resizing_keeps_dtype_and_channels(small, deep):
    for image in (small, deep, small[..., 0], with_alpha(deep)):
        resized = resize(image, 160, 31)
        assert resized.shape == (31, 160, *image.shape[2:])
        assert resized.dtype == image.dtype
        np.testing.assert_array_equal(resize(image, 80, 60), image)


def test_hidden_colours_do_not_bleed_when_resized():
    image = np.zeros((4, 4, 4), np.uint8)
    image[:, ::2] = (255, 0, 0, 255)
    image[:, 1::2] = (0, 255, 0, 0)  # green that no one sees
    np.testing.assert_array_equal(resize(image, 2, 2)[..., :3], [[[255, 0, 0]] * 2] * 2)


def test_a_digest_knows_dtype_shape_and_values(small):
    images = [small, small.astype(np.uint16), small[::-1], small.reshape(80, 60, 3)]
    assert len({pixel_sha256(image) for image in images}) == len(images)
    assert pixel_sha256(small[:, ::-1]) == pixel_sha256(small[:, ::-1].copy())


def test_picture_files_are_sorted_and_only_pictures(tmp_path, small):
    for name in ("b.PNG", "a.jpg", "c.tif", ".hidden.png", "d.txt"):
        Image.fromarray(small).save(tmp_path / name, format="PNG")
    (tmp_path / "notes.txt").write_text("no picture", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in picture_files(tmp_path)]
    assert names == ["a.jpg", "b.PNG", "c.tif", "d.txt"]
    with pytest.raises(ImageError, match="not a folder"):
        picture_files(tmp_path / "none")


def test_importing_images_is_light():
    code = (
        "import sys, evalkit.images; "
        "print({'cv2', 'tifffile', 'pypdfium2', 'pandas', 'torch'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"set()"


def test_every_registered_picture_is_read(mirror, need):
    files = [f for m in mirror for f in sorted(m.rglob("*")) if f.suffix in SUFFIXES]
    need(files, "a folder of EVALKIT_MIRROR must hold the registered pictures")
    for path in files:
        with Image.open(path) as expected:
            swapped = expected.getexif().get(0x0112, 1) >= 5
            size = expected.size[::-1] if swapped else expected.size
        height, width = read_image(path).shape[:2]
        assert (width, height) == size, path.name
