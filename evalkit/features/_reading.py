"""Text that is read: its lines, a clock's time at an edge, what a restorer changed."""

import re
import unicodedata
from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.images import Picture, check_picture
from evalkit.images.channels import as_rgb8

LEAST_CONFIDENCE = 0.6
"""The confidence of a line that counts as read: patterns without text have less."""

LONGEST = 8
"""The most that RapidOCR gets of longer side over shorter: it enlarges a picture until
the shorter has 736 px, and a strip would take all memory."""


class Line(NamedTuple):
    """A line of text, and how sure its reader is, in [0, 1]."""

    text: str
    confidence: float


STAMP = re.compile(r"\d{1,2}[:：.]\d{2}[:：.]\d{2}(?!\d)|\b(CAM|CCTV|CH)\W?\d", re.I)
"""A clock's time with its seconds, or a camera's number: what recorders write."""

EDGE = 1 / 8
"""The part of a picture's height, at the top and at the bottom, that holds it."""

MOST_READ = 6
"""The most lines at the edges that are read."""


def lines_of(picture: Picture) -> tuple[Line, ...] | None:
    """Lines of text, from the top; None without the extra ``ocr``.

    References
    ----------
    PP-OCRv4 (Chinese and Latin), by RapidOCR with the models in its package.

    """
    pixels = _frozen(picture)
    return _lines(*pixels) if find_spec("rapidocr_onnxruntime") else None


def time_stamp(picture: Picture, boxes: NDArray[np.float64] | None) -> float:
    """1 where a line at the upper or lower edge is a `STAMP`, else 0.

    Parameters
    ----------
    picture
        See `Picture`.
    boxes
        Of `evalkit.features.text_boxes`; NaN is returned where it is None.

    """
    if boxes is None:
        return float("nan")
    pixels = as_rgb8(picture)
    height = len(pixels)
    middles = boxes[..., 1].mean(axis=1)
    at_edge = boxes[(middles < EDGE * height) | (middles > (1 - EDGE) * height)]
    for box in at_edge[:MOST_READ]:
        left, top = np.maximum(np.floor(box.min(axis=0)).astype(int), 0)
        right, bottom = np.ceil(box.max(axis=0)).astype(int)
        line = pixels[top:bottom, left:right, ::-1].copy()
        readings, _ = _reader()(line, use_det=False, use_cls=False)
        if any(STAMP.search(text) for text, _ in readings or []):
            return 1.0
    return 0.0


def changed_text(output: Picture, source: Picture) -> str | None:
    """What is to be said of text and number plates once a picture is restored.

    Both are read; which of them is right is not known. None where no text is read in
    the source, or without the extra ``ocr``.
    """
    before, after = (
        "".join(line.text for line in lines_of(picture) or ())
        for picture in (source, output)
    )
    if not before:
        return None
    n_changed = round(character_error_rate(after, before) * len(_plain(before)))
    if not n_changed:
        return f"text: the same {len(_plain(before))} characters are read as before"
    return (
        f"text: of {len(_plain(before))} characters read before, {n_changed} are read "
        "otherwise now: what is written is a guess, and no evidence"
    )


def character_error_rate(read: str, known: str) -> float:
    """Edits that turn what was read into what is written, per character written.

    Parameters
    ----------
    read, known
        Compared in Unicode's form NFKC and without white space: Chinese has none, and
        full-width signs are the same signs.

    Returns
    -------
    float
        From 0; above 1 where more was read than is written; NaN without known text.

    References
    ----------
    Levenshtein, Binary codes capable of correcting deletions, insertions and reversals,
    Soviet Physics Doklady 10(8), 1966.

    Examples
    --------
    >>> character_error_rate("kitten", "sitting") * 7
    3.0
    >>> character_error_rate("清晰 度", "清晰度")
    0.0

    """
    wrong, true = _plain(read), _plain(known)
    edits = list(range(len(true) + 1))
    for row, letter in enumerate(wrong, 1):
        before, edits[0] = edits[0], row
        for column, true_letter in enumerate(true, 1):
            swapped = before + (letter != true_letter)
            before = edits[column]
            edits[column] = min(swapped, before + 1, edits[column - 1] + 1)
    return edits[-1] / len(true) if true else float("nan")


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _frozen(picture: Picture) -> tuple[bytes, tuple[int, ...]]:
    check_picture(picture)
    pixels = as_rgb8(picture)
    return pixels.tobytes(), pixels.shape


@lru_cache(maxsize=4)
def _lines(pixels: bytes, shape: tuple[int, ...]) -> tuple[Line, ...]:
    picture = np.frombuffer(pixels, np.uint8).reshape(shape)
    readings, _ = _reader()(_on_black(picture[..., ::-1]))
    lines = [Line(text, float(confidence)) for _, text, confidence in readings or []]
    return tuple(
        line
        for line in lines
        if line.confidence >= LEAST_CONFIDENCE and sum(map(str.isalnum, line.text)) > 1
    )


def _on_black(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A strip in the middle of a ground as wide as `LONGEST` needs."""
    least = -(-max(picture.shape[:2]) // LONGEST)
    extra = [max(0, least - side) for side in picture.shape[:2]]
    return np.pad(picture, [*((more // 2, more - more // 2) for more in extra), (0, 0)])


@lru_cache(maxsize=1)
def _reader() -> Any:
    from rapidocr_onnxruntime import RapidOCR

    return RapidOCR()
