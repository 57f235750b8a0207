"""What a picture shows, found once for all metrics: its faces, its lines of text."""

from functools import lru_cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.faces import Face, as_rgb8, detect
from evalkit.images import Picture, check_picture

LEAST_CONFIDENCE = 0.6
"""The confidence of a line that counts as read: patterns without text have less."""

LONGEST = 8
"""The most that RapidOCR gets of longer side over shorter: it enlarges a picture until
the shorter has 736 px, and a strip would take all memory."""


class Line(NamedTuple):
    """A line of text, and how sure its reader is, in [0, 1]."""

    text: str
    confidence: float


def faces_of(picture: Picture) -> tuple[Face, ...]:
    """See `evalkit.faces.detect`; those of the last four pictures are remembered."""
    return _faces(*_frozen(picture))


def lines_of(picture: Picture) -> tuple[Line, ...] | None:
    """Lines of text, from the top; None without the extra ``ocr``.

    References
    ----------
    PP-OCRv4 (Chinese and Latin), by RapidOCR with the models in its package.

    """
    pixels = _frozen(picture)
    return _lines(*pixels) if find_spec("rapidocr_onnxruntime") else None


def _frozen(picture: Picture) -> tuple[bytes, tuple[int, ...]]:
    check_picture(picture)
    pixels = as_rgb8(picture)
    return pixels.tobytes(), pixels.shape


@lru_cache(maxsize=4)
def _faces(pixels: bytes, shape: tuple[int, ...]) -> tuple[Face, ...]:
    return tuple(detect(np.frombuffer(pixels, np.uint8).reshape(shape)))


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
