"""TIFF by tifffile: what Pillow reads wrongly, at 8 bits only, or not at all."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evalkit.errors import ImageError
from evalkit.images.stored import (
    Stored,
    check_page,
    check_size,
    not_premultiplied,
    orientation_of,
)

BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, PROFILE = 258, 259, 262, 274, 34675
PLANES, EXTRA_SAMPLES, SAMPLE_FORMAT, INK_SET, DNG_VERSION = 284, 338, 339, 332, 50706
"""Tags of TIFF 6.0, of ICC.1 annex B.4, and of DNG 1.7."""

PILLOW_COMPRESSIONS = (1, 2, 3, 4, 6, 7, 32771, 32809)
"""None, fax and JPEG; of the others libtiff writes on stderr what is damaged."""

YCBCR = 6
PILLOW_COLOURS = (0, 1, 2, 3, 5, YCBCR)
"""White is zero, black is zero, RGB, palette, CMYK, YCbCr."""

N_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}
"""Photometric interpretation to samples of colour; no other is read."""

RAW_COLOURS = {32803: "a colour filter's raw samples", 34892: "a sensor's raw samples"}
FORMATS = {2: "signed", 3: "floating point", 5: "complex", 6: "complex"}
UNSIGNED = (1, 4)  # 4: "undefined", which TIFF 6.0 lets a reader take for unsigned

LAB_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
"""XYZ of white D50 to linear sRGB, adapted by Bradford (Lindbloom's tables)."""

D50 = np.array([0.96422, 1.0, 0.82521])

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # as Pillow's


def is_for_pillow(tags: dict[int, Any]) -> bool:
    """Whether Pillow's own tags of a page say 8 bits or less, of a kind it reads right.

    Of planes that lie apart it loses the alpha of grey. YCbCr is its own in any
    compression: tifffile does not know subsampled colours.
    """
    bits, formats = (np.atleast_1d(tags.get(t, 1)) for t in (BITS, SAMPLE_FORMAT))
    is_ycbcr = tags.get(PHOTOMETRIC) == YCBCR
    is_simple = tags.get(COMPRESSION, 1) in PILLOW_COMPRESSIONS
    return bool(
        (bits <= 8).all()
        and np.isin(formats, UNSIGNED).all()
        and tags.get(PHOTOMETRIC, 1) in PILLOW_COLOURS
        and (is_ycbcr or (is_simple and tags.get(PLANES, 1) == 1))
        and DNG_VERSION not in tags
    )


def read_tiff(path: Path, stream: BinaryIO, page: int, limit_px: int) -> Stored:
    """Decode one page of any depth up to 16 bits, in any layout and compression."""
    with _opened(stream) as file:
        check_page(path, page, len(file.pages))
        sheet = file.pages[page]
        _check_kind(path, sheet)
        check_size(path, sheet.imagewidth, sheet.imagelength, limit_px)
        _check_is_whole(path, sheet, file.filehandle.size)
        return _stored(path, sheet, sheet.asarray())


def count_tiff_pages(stream: BinaryIO) -> int:
    """Pages of a file whose first one Pillow cannot open."""
    with _opened(stream) as file:
        return len(file.pages)


@contextmanager
def _opened(stream: BinaryIO) -> Iterator[Any]:
    import tifffile

    stream.seek(0)
    try:
        with tifffile.TiffFile(stream) as file:
            if not len(file.pages):
                raise ValueError("it holds no page")
            yield file
    except tifffile.TiffFileError as error:
        raise ValueError(str(error)) from error


def _check_kind(path: Path, sheet: Any) -> None:
    depths = np.atleast_1d(sheet.bitspersample)
    bits, colour = int(depths[0]), int(sheet.photometric)
    if colour in RAW_COLOURS or DNG_VERSION in sheet.tags:
        kind = RAW_COLOURS.get(colour, "a preview")
        raise ImageError(
            f"{path} is a camera's raw file and holds {kind}; develop it and save PNG, "
            "JPEG or TIFF"
        )
    if sheet.sampleformat not in UNSIGNED:
        kind = FORMATS.get(sheet.sampleformat, f"format {sheet.sampleformat}")
        raise ImageError(
            f"{path}: samples of kind {kind}, {bits} bits, for which TIFF 6.0 defines "
            "no black and white; expected 1, 8 or 16 bits, or a depth between, unsigned"
        )
    if not 1 <= bits <= 16 or len(set(depths.tolist())) > 1:
        raise ImageError(
            f"{path}: samples of {', '.join(map(str, depths))} bits; expected 1, "
            "8 or 16 bits, or a depth between, the same in every channel"
        )
    if colour not in N_COLOURS or sheet.imagedepth > 1:
        raise ImageError(
            f"{path}: a TIFF of colours {getattr(sheet.photometric, 'name', colour)}, "
            f"{sheet.imagedepth} deep, which is not read; save it as grey or RGB"
        )


def _check_is_whole(path: Path, sheet: Any, n_bytes: int) -> None:
    """Refuse strips behind the end of the file, which tifffile would leave black."""
    parts = zip(sheet.dataoffsets, sheet.databytecounts, strict=False)
    if any(not count or start + count > n_bytes for start, count in parts):
        raise ImageError(f"{path} is cut off or damaged: a strip or tile is missing")


def _stored(path: Path, sheet: Any, pixels: NDArray[Any]) -> Stored:
    if sheet.axes == "SYX":
        pixels = np.moveaxis(pixels, 0, -1)
    elif sheet.axes not in ("YX", "YXS"):
        raise ImageError(f"{path}: a TIFF of axes {sheet.axes}; expected one picture")
    bits, colour = int(np.atleast_1d(sheet.bitspersample)[0]), int(sheet.photometric)
    is_packed_colour = colour == YCBCR and int(sheet.compression) not in (6, 7, 50001)
    if pixels.dtype not in (np.uint8, np.uint16) or is_packed_colour:
        if pixels.dtype != np.bool_:
            raise ImageError(
                f"{path}: {sheet.photometric.name} of {bits} bits in compression "
                f"{sheet.compression.name}, which is not read; save it as PNG"
            )
        pixels = pixels.astype(np.uint8)
    n_colours = N_COLOURS[colour]
    layers = pixels if pixels.ndim == 3 else pixels[..., None]
    colours = layers[..., :n_colours]
    alpha, is_premultiplied = _alpha(sheet, layers, n_colours)
    if colour == 0:
        colours = 2**bits - 1 - colours
    elif colour == 3:
        colours = (np.asarray(sheet.colormap) >> 8).astype(np.uint8).T[colours[..., 0]]
        bits = 8
    elif colour == 5:
        colours, bits = _cmyk(path, sheet, colours, bits), 8
        alpha = None
    elif colour in (8, 9):
        colours = _lab(colours, bits, is_icc=colour == 9)
    if alpha is not None:
        colours = np.dstack([colours, alpha])
        if is_premultiplied:
            colours = not_premultiplied(colours, bits)
    tags = {tag: sheet.tags.valueof(tag) for tag in (ORIENTATION, PROFILE)}
    has_profile = isinstance(tags[PROFILE], bytes) and colour not in (5, 8, 9)
    return Stored(
        colours[..., 0] if colours.shape[2:] == (1,) else colours,
        bits,
        tags[PROFILE] if has_profile else None,
        orientation_of(tags[ORIENTATION], str(path)),
    )


def _alpha(
    sheet: Any, layers: NDArray[Any], n_colours: int
) -> tuple[NDArray[Any] | None, bool]:
    """The first extra sample where it is alpha, and whether colours count by it.

    RGB with a fourth sample of which nothing is said has alpha there, as in Pillow.
    """
    extra = sheet.extrasamples
    if not extra and sheet.photometric == 2 and layers.shape[2] == 4:
        extra = (2,)
    kinds = [int(kind) for kind in extra[:1]]
    if kinds not in ([1], [2]) or layers.shape[2] <= n_colours:
        return None, False
    return layers[..., n_colours], kinds == [1]


def _cmyk(path: Path, sheet: Any, inks: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    from evalkit.images.icc import cmyk_to_rgb

    if sheet.tags.valueof(INK_SET, default=1) != 1:
        raise ImageError(f"{path}: inks that are not cyan, magenta, yellow and black")
    levels = np.rint(inks * (255 / (2**bits - 1))).astype(np.uint8)
    profile = sheet.tags.valueof(PROFILE)
    picture = Image.fromarray(np.ascontiguousarray(levels), mode="CMYK")
    return np.asarray(cmyk_to_rgb(picture, profile, str(path)))


def _lab(layers: NDArray[Any], bits: int, *, is_icc: bool) -> NDArray[Any]:
    """CIE L*a*b* of white D50 to sRGB of as many bits, 8 or 16.

    CIELab (TIFF 6.0, section 23): L* from 0 to the peak, a* and b* signed, in units of
    1 (8 bits) or 1/256. ICCLab (ICC.1:2001-04, annex A): 16-bit L* is 100 at FF00, a*
    and b* have 128 added.
    """
    unit = 2 ** (bits - 8)
    peak = 2**bits - 1
    rgb = np.empty(layers.shape, layers.dtype)
    # a row at a time: floats are large
    for row, rgb_row in zip(layers, rgb, strict=True):
        ab = row[:, 1:].astype(np.float64)
        ab = (
            ab / unit - 128 if is_icc else (ab + 128 * unit) % (256 * unit) / unit - 128
        )
        lightness = row[:, 0] * (100 / (255 * unit if is_icc else peak))
        fy = (lightness + 16) / 116
        f = np.stack([fy + ab[:, 0] / 500, fy, fy - ab[:, 1] / 200], -1)
        xyz = D50 * np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2)
        linear = np.clip(xyz @ LAB_TO_SRGB.T, 0, 1)
        dark = linear <= 0.0031308  # IEC 61966-2-1
        encoded = np.where(dark, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        rgb_row[:] = np.rint(encoded * peak)
    return rgb
