"""HEIC, AVIF, JPEG XL, JPEG 2000: values, turns, alpha, depth, colours."""

import contextlib
import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images import n_pages, read_image
from evalkit.images.icc import ProfileWarning, cicp_profile
from evalkit.images.jxl import header

HEIC = Path(__file__).parent / "heic"
"""Made by pillow-heif 1.8.1 (x265, quality 100, 4:4:4) of `scene`; a test cannot."""


@pytest.fixture
def scene() -> np.ndarray:
    """(40, 64, 3), uint8: ramps, no two sides alike."""
    y, x = np.mgrid[:40, :64]
    return np.dstack([x * 4, y * 6, (x + y) * 2]).astype(np.uint8)


def difference(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    assert one.dtype == other.dtype
    return int(np.abs(one.astype(int) - other).max())


# HEIC


def test_heic(scene):
    assert difference(read_image(HEIC / "rgb.heic"), scene) <= 2
    assert difference(read_image(HEIC / "grey.heic"), scene[..., 1].copy()) <= 2
    with_alpha = np.dstack([scene, scene[..., 0]])
    assert difference(read_image(HEIC / "alpha.heic"), with_alpha) <= 2
    deep = read_image(HEIC / "ten-bits.heic")
    assert difference(deep, scene.astype(np.uint16) * 257) <= 2 * 257
    assert len(np.unique(deep)) > 256
    assert n_pages(HEIC / "rgb.heic") == 1


def test_a_heic_turned_by_irot_and_by_exif_is_turned_once(scene):
    content = (HEIC / "turned.heic").read_bytes()
    assert b"irot\x03" in content  # ISO/IEC 23008-12, 6.5.10: EXIF is left out
    assert b"Exif" in content
    assert difference(read_image(HEIC / "turned.heic"), scene) <= 2


def test_of_a_heic_with_two_pictures_the_primary_one_is_read(scene):
    assert difference(read_image(HEIC / "second-is-primary.heic"), scene) <= 2


def marked(content: bytes, primaries: int, transfer: int) -> bytes:
    """The same with other numbers in its nclx box (ISO/IEC 14496-12, 12.1.5)."""
    at = content.index(b"nclx") + 4
    return content[:at] + struct.pack(">HH", primaries, transfer) + content[at + 4 :]


def test_colours_of_display_p3_become_srgb(tmp_path, scene):
    content = (HEIC / "rgb.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(marked(content, 12, 13))
    image = read_image(tmp_path / "a.heic")
    assert np.abs(image.astype(int) - in_p3(scene)).mean() < 1  # x265 is lossy


def in_p3(p3: np.ndarray) -> np.ndarray:
    """Display P3 to sRGB: SMPTE EG 432-1 and IEC 61966-2-1, both of white D65."""
    e = p3 / 255
    linear = np.where(e <= 0.04045, e / 12.92, ((e + 0.055) / 1.055) ** 2.4)
    to_srgb = np.array(  # CSS Color 4, 10.4 and 10.3: inverse(sRGB) @ P3
        [
            [1.2249401, -0.2249402, 0.0],
            [-0.0420570, 1.0420571, 0.0],
            [-0.0196376, -0.0786361, 1.0982735],
        ]
    )
    linear = np.clip(linear @ to_srgb.T, 0, 1)
    encoded = np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
    return np.rint(encoded * 255).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_cicp_of_a_png_goes_before_its_profile(tmp_path, scene, dtype):
    """PNG, third edition, 11.3.2.6 and 4.3."""
    image = scene if dtype == np.uint8 else scene.astype(np.uint16) * 257
    plain = imagecodecs.png_encode(image)
    body = b"cICP" + bytes([12, 13, 0, 1])
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    broken = b"iCCP" + b"x\0\0" + zlib.compress(b"no profile")
    broken = struct.pack(">I", len(broken) - 4) + broken
    broken += struct.pack(">I", zlib.crc32(broken[4:]))
    (tmp_path / "a.png").write_bytes(plain[:33] + broken + chunk + plain[33:])
    read = read_image(tmp_path / "a.png")
    assert read.dtype == dtype
    seen = read / (1 if dtype == np.uint8 else 257)
    assert np.abs(seen - in_p3(scene)).max() <= 2


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_high_dynamic_range_is_refused_by_name(tmp_path, scene, transfer, name):
    content = (HEIC / "rgb.heic").read_bytes()
    (tmp_path / "a.heic").write_bytes(marked(content, 9, transfer))
    avif = imagecodecs.avif_encode(scene, level=90, primaries=9, transfer=transfer)
    (tmp_path / "a.avif").write_bytes(avif)
    for path in tmp_path.iterdir():
        with pytest.raises(ImageError, match=f"high dynamic range .{name}."):
            read_image(path)


def test_what_was_made_for_a_screen_is_srgb():
    for primaries, transfer in [(1, 13), (1, 1), (2, 2), (1, 6)]:
        assert cicp_profile(primaries, transfer, Path("a")) is None
    with pytest.raises(ImageError, match="primaries 22 and transfer 13"):
        cicp_profile(22, 13, Path("a"))


# AVIF


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_avif(tmp_path, scene, stored, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation  # Pillow writes irot and imir of it
    turned = Image.fromarray(stored(scene, orientation))
    turned.save(tmp_path / "a.avif", quality=100, subsampling="4:4:4", exif=exif)
    assert difference(read_image(tmp_path / "a.avif"), scene) <= 2


def test_an_avif_s_exif_does_not_turn(tmp_path, scene):
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(scene).save(
        stream, "AVIF", quality=100, subsampling="4:4:4", exif=exif
    )
    content = stream.getvalue().replace(b"irot\x03", b"irot\0")
    assert content != stream.getvalue()
    (tmp_path / "a.avif").write_bytes(content)
    assert difference(read_image(tmp_path / "a.avif"), scene) <= 2


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_depths_and_channels_of_avif(tmp_path, scene, bits):
    white, peak = 2**bits - 1, 255 if bits == 8 else 65535
    full = np.rint(scene / 255.0 * white).astype(np.uint8 if bits == 8 else np.uint16)
    pixels = {"grey": full[..., 1], "rgb": full, "alpha": full[..., [0, 1, 2, 0]]}
    for name, image in pixels.items():
        (tmp_path / name).write_bytes(
            imagecodecs.avif_encode(
                np.ascontiguousarray(image), level=100, bitspersample=bits
            )
        )
        expected = np.rint(image * (peak / white))
        expected = expected.astype(np.uint8 if bits == 8 else np.uint16)
        assert difference(read_image(tmp_path / name), expected) <= 2 * peak // white


def test_an_avif_s_profile_is_applied(tmp_path, scene):
    profile = cicp_profile(12, 13, Path("p3"))
    Image.fromarray(scene).save(
        tmp_path / "a.avif", quality=100, subsampling="4:4:4", icc_profile=profile
    )
    image = read_image(tmp_path / "a.avif")
    assert np.abs(image.astype(int) - in_p3(scene)).mean() < 1


# JPEG XL


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_jpeg_xl(tmp_path, scene, n_channels, container):
    image = scene[..., [0, 1, 2, 0]][..., :n_channels]
    stored = np.ascontiguousarray(image[..., 0] if n_channels == 1 else image)
    encoded = imagecodecs.jpegxl_encode(stored, lossless=True, usecontainer=container)
    (tmp_path / "a.jxl").write_bytes(encoded)
    expected = image[..., [0, 0, 0, 1]] if n_channels == 2 else stored
    np.testing.assert_array_equal(read_image(tmp_path / "a.jxl"), expected)


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_deep_jpeg_xl_is_scaled_and_its_mark_of_linear_light_doubted(
    tmp_path, scene, bits
):
    deep = np.rint(scene / 255 * (2**bits - 1)).astype(np.uint16)
    encoded = imagecodecs.jpegxl_encode(deep, lossless=True, bitspersample=bits)
    assert header(encoded).cicp == (1, 8)
    (tmp_path / "a.jxl").write_bytes(encoded)
    with pytest.warns(ProfileWarning, match="linear light; sRGB is assumed"):
        image = read_image(tmp_path / "a.jxl")
    expected = np.rint(deep * (65535 / (2**bits - 1))).astype(np.uint16)
    np.testing.assert_array_equal(image, expected)


def test_the_header_of_a_codestream(tmp_path):
    """ISO/IEC 18181-1, annexes D and E, bit by bit."""
    bits = "0" + f"{1:02b}"[::-1] + f"{299:013b}"[::-1]  # height 300: U32, 1 + u(13)
    bits += f"{3:03b}"[::-1]  # width by ratio 4:3
    bits += "0" + "1" + f"{5:03b}"[::-1] + "000"  # extra fields: orientation 6
    bits += "0" + f"{1:02b}"[::-1]  # whole numbers of 10 bits
    bits += "1" + f"{1:02b}"[::-1] + "1"  # one extra channel, all default
    bits += "0"  # not XYB
    bits += "00" + "00" + "10"  # no profile, RGB, white D65
    bits += "01" + f"{9:04b}"[::-1]  # primaries P3: 2 + u(4)
    bits += "0" + "01" + f"{11:04b}"[::-1]  # transfer sRGB, 13 = 2 + 11
    packed = np.packbits([int(b) for b in bits], bitorder="little").tobytes()
    told = header(b"\xff\x0a" + packed + bytes(8))
    assert (told.width, told.height, told.bits) == (400, 300, 10)
    assert told.cicp == (12, 13)


def test_floating_point_jpeg_xl_is_refused(tmp_path, scene):
    encoded = imagecodecs.jpegxl_encode((scene / 255).astype(np.float32))
    (tmp_path / "a.jxl").write_bytes(encoded)
    with pytest.raises(ImageError, match="32 bits floating point"):
        read_image(tmp_path / "a.jxl")


# JPEG 2000


@pytest.mark.parametrize("codec", ["jp2", "j2k"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_jpeg_2000(tmp_path, scene, codec, bits):
    white, peak = 2**bits - 1, 255 if bits == 8 else 65535
    dtype = np.uint8 if bits == 8 else np.uint16
    full = np.rint(scene / 255.0 * white).astype(dtype)
    for image in (full, np.ascontiguousarray(full[..., 1])):
        encoded = imagecodecs.jpeg2k_encode(
            image, level=0, codecformat=codec, bitspersample=bits
        )
        (tmp_path / "a").write_bytes(encoded)
        expected = np.rint(image * (peak / white)).astype(dtype)
        np.testing.assert_array_equal(read_image(tmp_path / "a"), expected)


def test_alpha_of_jpeg_2000(tmp_path, scene):
    image = np.ascontiguousarray(scene[..., [0, 1, 2, 0]])
    Image.fromarray(image).save(tmp_path / "a.jp2", irreversible=False)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jp2"), image)


# all of them


def files(scene: np.ndarray) -> dict[str, bytes]:
    j2k = io.BytesIO()
    Image.fromarray(scene).save(j2k, "JPEG2000")
    return {
        "a.heic": (HEIC / "rgb.heic").read_bytes(),
        "a.avif": imagecodecs.avif_encode(scene, level=90),
        "a.jxl": imagecodecs.jpegxl_encode(scene, lossless=True),
        "a.jp2": j2k.getvalue(),
    }


def test_over_the_limit_is_said_from_the_header(tmp_path, scene):
    for name, content in files(scene).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ImageError, match=r"64x40 px.*limit is 0\.001 megapixels"):
            read_image(tmp_path / name, max_megapixels=0.001)


@pytest.mark.filterwarnings("ignore")
def test_damage_is_an_error_of_ours_and_nothing_on_stderr(tmp_path, capfd, scene):
    random = np.random.default_rng(1)
    for name, content in files(scene).items():
        for share in (0.02, 0.1, 0.3, 0.6, 0.9):
            (tmp_path / name).write_bytes(content[: int(len(content) * share)])
            with pytest.raises(ImageError):
                read_image(tmp_path / name)
        for _ in range(20):
            flipped = bytearray(content)
            for at in random.integers(0, len(content), 3):
                flipped[at] ^= 1 << int(random.integers(8))
            (tmp_path / name).write_bytes(flipped)
            with contextlib.suppress(ImageError):
                read_image(tmp_path / name)
    assert capfd.readouterr().err == ""
