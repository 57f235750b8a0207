"""One album of odd pictures, made by code: every shape, depth and content that hurts.

The tests of every metric, figure, stimulus and judge are parametrised over these.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

RNG = np.random.default_rng(12)


def _noise(height: int, width: int, *channels: int, top: int = 256) -> np.ndarray:
    dtype = np.uint8 if top <= 256 else np.uint16
    return RNG.integers(0, top, (height, width, *channels)).astype(dtype)


def _flat(value: int, height: int = 40, width: int = 48) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def _gradient(peak: int, *, alpha: bool = False, grey: bool = False) -> np.ndarray:
    """A ramp each way, with a bright square, so that there is something to see."""
    y, x = np.mgrid[0:1:56j, 0:1:72j]
    values = np.stack([x, y, 1 - x], axis=2)
    values[20:36, 20:44] = 1 - values[20:36, 20:44]
    if alpha:
        values = np.dstack([values, (x + y) / 2])
    values = (peak * values).round().astype(np.uint8 if peak == 255 else np.uint16)
    return values[..., 1] if grey else values


def _transparent(share: float) -> np.ndarray:
    picture = np.dstack([_noise(40, 48, 3), np.zeros((40, 48), np.uint8)])
    picture[: round(40 * (1 - share)), :, 3] = 255
    return picture


def _checkerboard() -> np.ndarray:
    return np.repeat(
        (255 * (np.indices((40, 48)).sum(axis=0) % 2)).astype(np.uint8)[..., None], 3, 2
    )


def _two_colours() -> np.ndarray:
    picture = _flat(20)
    picture[:, 24:] = 200, 40, 40
    return picture


PICTURES: dict[str, Callable[[], np.ndarray]] = {
    **{
        f"tiny {width}x{height}": lambda w=width, h=height: _noise(h, w, 3)
        for width, height in ((1, 1), (1, 2), (2, 1), (3, 3), (9, 9), (16, 16))
    },
    "page thumbnail 6x8": lambda: _noise(8, 6),
    "banner 1500x18": lambda: _noise(18, 1500, 3),
    "banner 18x1500": lambda: _noise(1500, 18, 3),
    "line 4000x1": lambda: _noise(1, 4000, 3),
    "line 1x4000": lambda: _noise(4000, 1, 3),
    "black": lambda: _flat(0),
    "white": lambda: _flat(255),
    "mid-grey": lambda: _flat(128),
    "one colour with alpha": lambda: np.dstack([_flat(90), _flat(128)[..., 0]]),
    "two colours": _two_colours,
    "transparent": lambda: _transparent(1.0),
    "mostly transparent": lambda: _transparent(0.9),
    "transparent 1x1": lambda: np.zeros((1, 1, 4), np.uint8),
    "noise": lambda: _noise(40, 48, 3),
    "checkerboard": _checkerboard,
    "grey 8 bit": lambda: _gradient(255, grey=True),
    "RGB 8 bit": lambda: _gradient(255),
    "RGBA 8 bit": lambda: _gradient(255, alpha=True),
    "grey 16 bit": lambda: _gradient(65535, grey=True),
    "RGB 16 bit": lambda: _gradient(65535),
    "RGBA 16 bit": lambda: _gradient(65535, alpha=True),
    "noise 16 bit": lambda: _noise(30, 30, 4, top=65536),
    "tiny 16 bit 2x3": lambda: _noise(3, 2, 3, top=65536),
}
"""By name, a function that makes it, as `evalkit.images.read_image` would give it."""

BROKEN: dict[str, bytes] = {
    "empty.png": b"",
    "page of html.jpg": b"<!doctype html><title>404</title>",
    "cut off.png": b"",  # filled in by `write_album`
}


def write_album(folder: Path) -> Path:
    """Every picture as PNG, a page and an animation, and the files that are broken."""
    from evalkit.images import write_image

    folder.mkdir(parents=True, exist_ok=True)
    for name, make in PICTURES.items():
        write_image(folder / f"{name}.png", make())
    whole = (folder / "RGB 8 bit.png").read_bytes()
    for name, content in (BROKEN | {"cut off.png": whole[: len(whole) // 2]}).items():
        (folder / name).write_bytes(content)
    page = Image.fromarray(_flat(240, 60, 40))
    page.save(folder / "tiny page.pdf", resolution=200)
    frames = [Image.fromarray(_flat(value, 20, 20)) for value in (0, 200)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    return folder
