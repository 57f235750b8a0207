"""What a picture shows, found once for all metrics: its faces, its text."""

from functools import lru_cache

import numpy as np

from evalkit.faces import Face, as_rgb8, detect
from evalkit.features import lines_of
from evalkit.images import Picture, check_picture

__all__ = ["faces_of", "lines_of"]


def faces_of(picture: Picture) -> tuple[Face, ...]:
    """See `evalkit.faces.detect`; those of the last four pictures are remembered."""
    return _faces(*_frozen(picture))


def _frozen(picture: Picture) -> tuple[bytes, tuple[int, ...]]:
    check_picture(picture)
    pixels = as_rgb8(picture)
    return pixels.tobytes(), pixels.shape


@lru_cache(maxsize=4)
def _faces(pixels: bytes, shape: tuple[int, ...]) -> tuple[Face, ...]:
    return tuple(detect(np.frombuffer(pixels, np.uint8).reshape(shape)))
