"""TIFF: the samples of every layout, against what was given to tifffile."""

import itertools

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.color import lab2rgb

from evalkit.errors import ImageError
from evalkit.images import n_pages, read_image

LAYOUTS = {"one strip": {}, "strips": {"rowsperstrip": 5}, "tiles": {"tile": (16, 16)}}


def ramp(dtype: type) -> np.ndarray:
    return np.linspace(0, np.iinfo(dtype).max, 32).astype(dtype)


def samples(mode: str, rgb: np.ndarray) -> tuple[np.ndarray, dict, np.ndarray]:
    """What is stored, how tifffile is told, and what must be read."""
    grey, alpha = rgb[..., 1], np.broadcast_to(ramp(rgb.dtype.type), rgb.shape[:2])
    peak = np.iinfo(rgb.dtype).max
    if mode == "1":
        return grey > 99, {"photometric": "minisblack"}, (grey > 99).astype("u1") * 255
    if mode == "L":
        return grey, {"photometric": "minisblack"}, grey
    if mode == "white is zero":
        return grey, {"photometric": "miniswhite"}, peak - grey
    if mode == "LA":
        stored = np.dstack([grey, alpha])
        how = {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
        return stored, how, np.dstack([grey, grey, grey, alpha])
    if mode == "RGB":
        return rgb, {"photometric": "rgb"}, rgb
    if mode == "RGBA":
        stored = np.dstack([rgb, alpha])
        return stored, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, stored
    if mode == "P":
        colours = np.stack([ramp("u2"), ramp("u2")[::-1], ramp("u2") // 2])
        table = np.repeat(colours, 8, axis=1)
        expected = (table >> 8).astype("u1").T[grey]
        return grey, {"photometric": "palette", "colormap": table}, expected
    inks = np.dstack([rgb, grey])
    eight = np.rint(inks * (255 / peak)).astype("u1")
    expected = np.asarray(Image.fromarray(eight, "CMYK").convert("RGB"))
    return inks, {"photometric": "separated"}, expected


MODES = ["L", "white is zero", "LA", "RGB", "RGBA", "CMYK"]
CASES = [
    *itertools.product(["P", *MODES], ["u1"], [None, "lzw", "zlib", "packbits"]),
    *itertools.product(["1"], ["u1"], [None, "packbits"]),
    *itertools.product(MODES, ["u2"], [None, "lzw", "zlib"]),
    *itertools.product(["L", "RGBA"], ["u1", "u2"], ["zstd", "lzma", "lerc"]),
]


@pytest.mark.parametrize(("mode", "dtype", "compression"), CASES)
def test_every_layout_turned_in_every_way(
    tmp_path, small, deep, stored, mode, dtype, compression
):
    pixels, how, expected = samples(mode, small if dtype == "u1" else deep)
    planars = ["contig", "separate"] if pixels.ndim == 3 else [None]
    path = tmp_path / "a.tif"
    is_classic = compression in (None, "lzw", "zlib", "packbits")  # others take longer
    for layout, order, planar, orientation in itertools.product(
        LAYOUTS,
        "<>" if is_classic else "<",
        planars,
        range(1, 9) if is_classic else (1, 6),
    ):
        content = stored(pixels, orientation)
        if planar == "separate":
            content = np.ascontiguousarray(np.moveaxis(content, -1, 0))
        tifffile.imwrite(
            path,
            content.astype(content.dtype.newbyteorder(order)),
            byteorder=order,
            compression=compression,
            planarconfig=planar,
            extratags=[(274, "H", 1, orientation, True)],
            **how,
            **LAYOUTS[layout],
        )
        np.testing.assert_array_equal(
            read_image(path), expected, f"{layout} {order} {planar} {orientation}"
        )


@pytest.mark.parametrize(
    ("compression", "dtype"),
    [*itertools.product(["jpeg2000", "jpegxl"], ["u1", "u2"]), ("webp", "u1")],
)
def test_lossless_compressions_of_pictures(
    tmp_path, capfd, small, deep, compression, dtype
):
    image = small if dtype == "u1" else deep
    lossless = {"jpegxl": {"lossless": True}, "webp": {"lossless": True}}
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        photometric="rgb",
        compression=compression,
        compressionargs=lossless.get(compression, {"level": 0}),
    )
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), image)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 7, 9, 10, 12, 13, 14, 15])
@pytest.mark.parametrize("order", "<>")
def test_packed_bits_are_scaled_to_full_range(tmp_path, bits, order):
    """TIFF 6.0, section 4: white is 2**BitsPerSample - 1; FillOrder 1, rows padded."""
    white = 2**bits - 1
    values = np.arange(24 * 31).reshape(24, 31) * 7919 % (white + 1)
    values[0, :2] = 0, white
    rows = [
        np.packbits([int(b) for v in row for b in f"{v:0{bits}b}"]) for row in values
    ]
    content = b"".join(row.tobytes() for row in rows)
    tags = {256: 31, 257: 24, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: 24}
    tags[279] = len(content)
    write_tiff(tmp_path / "a.tif", tags, content, order)
    peak = 255 if bits <= 8 else 65535
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == (np.uint8 if bits <= 8 else np.uint16)
    np.testing.assert_array_equal(image, np.rint(values * (peak / white)))


def write_tiff(path, tags: dict[int, int], content: bytes, order: str = "<") -> None:
    """Pixels at byte 8, then one directory of LONGs."""
    name = "little" if order == "<" else "big"
    number = lambda value, n: value.to_bytes(n, name)  # noqa: E731
    entries = [
        number(tag, 2) + number(4, 2) + number(1, 4) + number(value, 4)
        for tag, value in sorted(tags.items())
    ]
    start = b"II*\0" if order == "<" else b"MM\0*"
    content += bytes(len(content) % 2)
    path.write_bytes(
        start
        + number(8 + len(content), 4)
        + content
        + number(len(entries), 2)
        + b"".join(entries)
        + bytes(4)
    )


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("kind", [8, 9])  # CIELab, ICCLab
def test_lab_becomes_srgb(tmp_path, dtype, kind):
    lab = np.array(
        [
            [0, 0, 0],
            [100, 0, 0],
            [53.5, 0, 0],
            [54.29, 80.8, 69.89],  # sRGB's red, green and blue under D50
            [87.82, -79.27, 80.99],
            [29.57, 68.3, -112.03],
            [60, -20, 30],
        ]
    )[None]
    bits = 8 * np.dtype(dtype).itemsize
    unit = 2 ** (bits - 8)
    if kind == 8:  # TIFF 6.0, section 23
        stored = np.rint(lab * [(2**bits - 1) / 100, unit, unit]).astype(int)
        stored[..., 1:] %= 2**bits
    else:  # TIFF Technical Note 4: as in ICC.1:2001-04, annex A
        stored = np.rint(lab * [255 * unit / 100, unit, unit]).astype(int)
        stored[..., 1:] += 128 * unit
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(dtype), photometric=kind)
    image = read_image(tmp_path / "a.tif")
    assert image.dtype == dtype
    srgb = [[0] * 3, [255] * 3, [128] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255]]
    seen = image[0, :6] / (2**bits - 1) * 255
    assert np.abs(seen - srgb).max() < (12 if bits == 8 else 1.5)  # a dark step
    # another implementation, whose L*a*b* is of D65, agrees for a muted colour roughly
    assert np.abs(image[0, 6] / (2**bits - 1) - lab2rgb(lab)[0, 6]).max() < 0.05


@pytest.mark.parametrize(
    ("dtype", "said"),
    [
        ("i1", "kind signed, 8 bits"),
        ("i2", "kind signed, 16 bits"),
        ("i4", "kind signed, 32 bits"),
        ("u4", "samples of 32 bits"),
        ("f2", "floating point, 16 bits"),
        ("f4", "floating point, 32 bits"),
        ("f8", "floating point, 64 bits"),
        ("c8", "complex"),
    ],
)
@pytest.mark.parametrize("n_channels", [1, 3])
def test_samples_without_black_and_white_are_refused_by_name(
    tmp_path, small, dtype, said, n_channels
):
    pixels = small[..., :n_channels].squeeze().astype(dtype)
    kind = "minisblack" if n_channels == 1 else "rgb"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=kind)
    with pytest.raises(ImageError, match=said):
        read_image(tmp_path / "a.tif")


def test_a_camera_s_raw_file_is_refused_by_name(tmp_path, small):
    tag = (50706, "B", 4, bytes([1, 4, 0, 0]), True)  # DNGVersion
    tifffile.imwrite(tmp_path / "a.dng", small, photometric="rgb", extratags=[tag])
    with pytest.raises(ImageError, match="raw file"):
        read_image(tmp_path / "a.dng")


def test_pages_of_other_kinds_are_counted_and_read(tmp_path, small, deep):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        how = {"planarconfig": "contig", "extrasamples": ["unassalpha"]}
        file.write(np.dstack([deep[..., 0]] * 2), photometric="minisblack", **how)
        file.write(small, photometric="rgb")
        file.write(deep, photometric="rgb", compression="zstd")
    assert n_pages(tmp_path / "a.tif") == 3
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", page=1), small)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", page=2), deep)
    with pytest.raises(ImageError, match="pages 0 to 2; got page 3"):
        read_image(tmp_path / "a.tif", page=3)


def test_a_strip_behind_the_end_of_the_file_is_no_black_strip(tmp_path, deep):
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", rowsperstrip=4)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-100])
    with pytest.raises(ImageError, match="cut off or damaged"):
        read_image(tmp_path / "a.tif")


def test_a_tiff_without_a_page_is_damaged_and_not_empty(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0")
    for read in (n_pages, read_image):
        with pytest.raises(ImageError, match=r"a\.tif is cut off or damaged"):
            read(tmp_path / "a.tif")


def test_a_profile_that_is_a_text_does_no_harm(tmp_path, deep):
    tag = (34675, "s", 0, "no profile, but a text", True)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extratags=[tag])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), deep)
