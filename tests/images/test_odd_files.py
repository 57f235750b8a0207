"""PNG, GIF, JPEG and BMP with what people's files have beside the pixels."""

import errno
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images import n_pages, read_image, write_image
from evalkit.images.stored import MetadataWarning

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, content: bytes, *, crc: int = 0) -> bytes:
    """`crc` is added to the right one."""
    told = zlib.crc32(name + content) + crc & 0xFFFFFFFF
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", told)


def png(rows: np.ndarray, bits: int, colour: int, *others: bytes) -> bytes:
    """Filter 0; `others` stand between IHDR and IDAT (PNG, third edition, 5.6)."""
    size = struct.pack(
        ">IIBBBBB", *others_size(rows, bits, colour), bits, colour, 0, 0, 0
    )
    content = b"".join(b"\0" + row.tobytes() for row in rows)
    middle = b"".join(others) + chunk(b"IDAT", zlib.compress(content))
    return SIGNATURE + chunk(b"IHDR", size) + middle + chunk(b"IEND", b"")


def others_size(rows: np.ndarray, bits: int, colour: int) -> tuple[int, int]:
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    return rows.shape[1] * 8 // (bits * samples), len(rows)


def packed(values: np.ndarray, bits: int) -> np.ndarray:
    shape = (len(values), -1)
    spread = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(spread.reshape(shape), axis=1)


# transparency


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_the_transparent_grey_of_any_depth(tmp_path, bits):
    """PNG, third edition, 11.3.1.1 and 13.12."""
    white = 2**bits - 1
    values = (np.arange(16 * 16).reshape(16, 16) * 7 % (white + 1)).astype(np.uint8)
    for clear in {0, white, white // 2}:
        # only the lowest bits of the sample in tRNS count
        told = chunk(b"tRNS", struct.pack(">H", clear | (0x100 if bits < 8 else 0)))
        (tmp_path / "a.png").write_bytes(png(packed(values, bits), bits, 0, told))
        image = read_image(tmp_path / "a.png")
        grey = values * (255 // white)
        alpha = np.where(values == clear, 0, 255)
        np.testing.assert_array_equal(image, np.dstack([grey, grey, grey, alpha]))


def test_the_transparent_colour_of_8_and_16_bits(tmp_path):
    colours = np.arange(16 * 48).reshape(16, 48) % 251
    for bits, dtype in ((8, ">u1"), (16, ">u2")):
        values = colours.astype(dtype)
        told = chunk(b"tRNS", values[2, 6:9].astype(">u2").tobytes())
        (tmp_path / "a.png").write_bytes(png(values.view("u1"), bits, 2, told))
        image = read_image(tmp_path / "a.png")
        rgb = colours.reshape(16, 16, 3)
        np.testing.assert_array_equal(image[..., :3], rgb)
        clear = (rgb == rgb[2, 2]).all(axis=2)
        peak = 2**bits - 1
        np.testing.assert_array_equal(image[..., 3], np.where(clear, 0, peak))
        assert clear.sum() >= 1


def test_the_transparent_grey_of_16_bits(tmp_path):
    values = (np.arange(256).reshape(16, 16) * 255).astype(">u2")
    told = chunk(b"tRNS", struct.pack(">H", values[3, 3]))
    (tmp_path / "a.png").write_bytes(png(values.view("u1"), 16, 0, told))
    image = read_image(tmp_path / "a.png")
    expected = np.where(values == values[3, 3], 0, 65535)
    np.testing.assert_array_equal(image[..., 3], expected)
    np.testing.assert_array_equal(image[..., 1], values)


# grey profiles


def grey_profile(gamma: float) -> bytes:
    """ICC.1:2022, 8.4.2 and 10.6: one curve of one exponent."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    text = b"text" + bytes(4) + b"none\0\0\0\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = {b"kTRC": curve, b"wtpt": white, b"cprt": text, b"desc": name}
    offset, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", 0, bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ "
    )
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    head += bytes(48)
    whole = head + struct.pack(">I", len(tags)) + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", ["none", "channel", "colour"])
def test_a_grey_profile_is_applied_beside_alpha(tmp_path, bits, alpha):
    """Linear 131 is 190 in sRGB: 1.055 * (131 / 255) ** (1 / 2.4) - 0.055."""
    peak = 2**bits - 1
    dtype = ">u1" if bits == 8 else ">u2"
    grey = np.full((4, 6), 131 * peak // 255, dtype)
    profile = chunk(b"iCCP", b"grey\0\0" + zlib.compress(grey_profile(1.0)))
    others, colour, rows = [profile], 0, grey
    if alpha == "channel":
        opacity = np.full((4, 6), 100 * peak // 255, dtype)
        rows, colour = np.dstack([grey, opacity]).reshape(4, 12), 4
    if alpha == "colour":
        others.append(chunk(b"tRNS", struct.pack(">H", 3)))
    rows = np.ascontiguousarray(rows).view("u1")
    (tmp_path / "a.png").write_bytes(png(rows, bits, colour, *others))
    image = read_image(tmp_path / "a.png")
    linear = 131 / 255
    expected = (1.055 * linear ** (1 / 2.4) - 0.055) * peak
    seen = image if alpha == "none" else image[..., :3]
    assert np.abs(seen - expected).max() <= (1 if bits == 8 else 40)
    if alpha != "none":
        told = {"channel": 100 * peak // 255, "colour": peak}[alpha]
        assert (image[..., 3] == told).all()


def test_a_grey_tiff_with_alpha_and_a_profile(tmp_path):
    picture = Image.fromarray(np.full((4, 6, 2), (131, 77), np.uint8), "LA")
    picture.save(tmp_path / "a.tif", icc_profile=grey_profile(1.0))
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image, np.full((4, 6, 4), (190, 190, 190, 77)))


# animations


@pytest.mark.parametrize("bits", [8, 16])
def test_an_apng_is_read_by_its_default_image(tmp_path, bits):
    """PNG, third edition, 4.6: without fcTL before IDAT, IDAT is no frame."""
    dtype = np.dtype(">u1" if bits == 8 else ">u2")
    shown = np.full((4, 6 * 3), 2**bits - 1, dtype)
    frame = zlib.compress(b"".join(b"\0" + bytes(row.nbytes) for row in shown))
    control = struct.pack(">IIIIIHHBB", 0, 6, 4, 0, 0, 1, 10, 0, 0)
    content = png(shown.view("u1"), bits, 2, chunk(b"acTL", struct.pack(">II", 1, 0)))
    later = chunk(b"fcTL", control) + chunk(b"fdAT", struct.pack(">I", 1) + frame)
    (tmp_path / "a.png").write_bytes(content[:-12] + later + content[-12:])
    assert (read_image(tmp_path / "a.png") == 2**bits - 1).all()
    assert n_pages(tmp_path / "a.png") == 1


def gif(
    canvas: tuple[int, int], box: tuple[int, int, int, int], *, clear: bool
) -> bytes:
    """One frame of colour 1, green, at `box` (left, top, width, height); GIF89a."""
    table = bytes([0, 0, 255, 0, 255, 0, 255, 0, 0, 9, 9, 9])
    frame = Image.new("P", box[2:], 1)
    stream = io.BytesIO()
    frame.save(stream, "GIF")
    content = stream.getvalue()
    data = content[content.index(b"\x2c", 13 + 3 * 2) + 10 :]
    control = b"\x21\xf9\x04" + bytes([clear, 0, 0, 3]) + b"\0"
    head = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x81, 0, 0) + table
    return head + control + b"\x2c" + struct.pack("<HHHHB", *box, 0) + data


@pytest.mark.parametrize("clear", [False, True])
def test_the_canvas_of_a_gif_around_its_first_frame_is_transparent(tmp_path, clear):
    """As browsers and image-rs show it: GIF89a, 18, leaves the colour to nobody."""
    content = gif((10, 8), (2, 3, 4, 4), clear=clear)
    (tmp_path / "a.gif").write_bytes(content)
    expected = np.zeros((8, 10, 4), np.uint8)
    expected[3:7, 2:6] = read_image(tmp_path / "a.gif")[4, 4]
    assert expected[4, 4, 3] == 255
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif"), expected)


# metadata


@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"tEXt"])
@pytest.mark.parametrize("keyword", [b"Comment", b"XML:com.adobe.xmp"])
def test_texts_of_any_size_cost_no_pixels(tmp_path, small, name, keyword):
    text = b" " * 70_000_000 if name != b"tEXt" else b" " * 2_000_000
    body = {
        b"zTXt": lambda: keyword + b"\0\0" + zlib.compress(text),
        b"iTXt": lambda: keyword + b"\0\1\0\0\0" + zlib.compress(text),
        b"tEXt": lambda: keyword + b"\0" + text,
    }[name]()
    write_image(tmp_path / "a.png", small)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[:33] + chunk(name, body) + content[33:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), small)


@pytest.mark.filterwarnings("ignore::evalkit.images.stored.MetadataWarning")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("name", [b"iCCP", b"tEXt", b"eXIf", b"gAMA", b"acTL", b"abCd"])
def test_a_chunk_that_is_no_pixel_may_be_damaged(tmp_path, small, deep, name, dtype):
    image = small if dtype == np.uint8 else deep
    write_image(tmp_path / "a.png", image)
    content = (tmp_path / "a.png").read_bytes()
    for broken in (chunk(name, b"x\0\0 nonsense", crc=1), chunk(name, b"\xff" * 9)):
        (tmp_path / "a.png").write_bytes(content[:33] + broken + content[33:])
        np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)


def test_a_chunk_of_pixels_may_not(tmp_path, small):
    write_image(tmp_path / "a.png", small)
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[-20] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError, match="cut off or damaged"):
        read_image(tmp_path / "a.png")


def exif(kind: int, count: int, value: bytes) -> bytes:
    """One entry, orientation, of a TIFF type; a longer value stands behind."""
    where = value if len(value) <= 4 else struct.pack("<I", 26)
    entry = struct.pack("<HHI", 0x0112, kind, count) + where.ljust(4, b"\0")
    behind = value if len(value) > 4 else b""
    return b"II*\0\x08\0\0\0\x01\0" + entry + bytes(4) + behind


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
@pytest.mark.parametrize(
    ("block", "orientation"),
    [
        (exif(3, 1, struct.pack("<H", 6)), 6),
        (exif(4, 1, struct.pack("<I", 6)), 6),
        (exif(1, 1, b"\6"), 6),  # BYTE
        (exif(2, 2, b"6\0"), 6),  # ASCII
        (exif(5, 1, struct.pack("<II", 6, 1)), 6),  # RATIONAL
        (exif(7, 1, b"\6"), 6),  # UNDEFINED
        (exif(2, 11, b"Horizontal\0"), 1),
        (exif(5, 1, struct.pack("<II", 0, 0)), 1),
        (exif(7, 4, b"\xff\xfe\0\0"), 1),
        (exif(3, 1, struct.pack("<H", 0)), 1),
        (exif(3, 1, struct.pack("<H", 9)), 1),
        (exif(3, 2, struct.pack("<HH", 3, 3)), 3),
        (exif(12, 1, struct.pack("<d", float("inf"))), 1),
        (exif(12, 1, struct.pack("<d", 1e300)), 1),
        (b"II*\0\xff\xff\xff\x7f", 1),
        (b"II*\0\x08\0\0\0\xff\xff", 1),
        (b"nonsense", 1),
        (b"", 1),
    ],
)
@pytest.mark.filterwarnings("ignore::evalkit.images.stored.MetadataWarning")
def test_orientations_as_files_write_them(
    tmp_path, small, stored, suffix, block, orientation
):
    path = tmp_path / f"a.{suffix}"
    picture = Image.fromarray(stored(small, orientation))
    how = {"lossless": True} if suffix == "webp" else {"quality": 100}
    picture.save(path, exif=b"Exif\0\0" + block, **how)
    image = read_image(path)
    assert image.shape == small.shape
    assert np.abs(image.astype(int) - small).mean() < (8 if suffix == "jpg" else 1e-9)


def test_a_nonsense_orientation_is_said(tmp_path, small):
    block = b"Exif\0\0" + exif(2, 11, b"Horizontal\0")
    Image.fromarray(small).save(tmp_path / "a.png", exif=block)
    with pytest.warns(MetadataWarning, match=r"a\.png: orientation 'Horizontal'"):
        read_image(tmp_path / "a.png")


# what is no picture, and what the machine does


def test_a_kind_that_is_not_read_is_named(tmp_path):
    (tmp_path / "a.psd").write_bytes(b"8BPS\0\1" + bytes(40))
    with pytest.raises(
        ImageError, match="PSD, which is not read; expected one of avif"
    ):
        read_image(tmp_path / "a.psd")


def test_a_bmp_of_an_odd_depth_is_not_called_damaged(tmp_path, small):
    Image.fromarray(small).save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    content[28:30] = struct.pack("<H", 64)
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(ImageError, match="of a kind that is not read: Unsupported BMP"):
        read_image(tmp_path / "a.bmp")


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "gif", "jxl", "pdf"])
def test_a_fault_of_the_machine_is_no_damage(tmp_path, small, suffix, monkeypatch):
    path = tmp_path / f"a.{suffix}"
    if suffix == "jxl":
        write_image(path, small)
    else:
        Image.fromarray(small).save(path)
    plain = Path.open

    def failing(self, *how, **more):
        stream = plain(self, *how, **more)
        return Failing(stream) if self == path else stream

    monkeypatch.setattr(Path, "open", failing)
    with pytest.raises(OSError, match="Input/output error") as caught:
        read_image(path)
    assert caught.value.errno == errno.EIO


class Failing(io.RawIOBase):
    """A file on a disk of which only the first kilobytes can be read."""

    def __init__(self, stream):
        self._stream = stream

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, *where):
        return self._stream.seek(*where)

    def tell(self):
        return self._stream.tell()

    def read(self, size=-1):
        if size < 0 or size > 1024 or self._stream.tell() >= 64:
            raise OSError(errno.EIO, "Input/output error")
        return self._stream.read(size)


def test_no_permission_is_no_damage(tmp_path, small, monkeypatch):
    write_image(tmp_path / "a.png", small)

    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(PermissionError):
        read_image(tmp_path / "a.png")
