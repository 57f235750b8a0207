"""Small pictures, and what a camera held in one of eight ways stores of them."""

import numpy as np
import pytest


@pytest.fixture
def small(astronaut) -> np.ndarray:
    """(24, 32, 3): no two sides alike."""
    return np.ascontiguousarray(astronaut[60:180:5, 170:330:5])


@pytest.fixture
def deep(small) -> np.ndarray:
    """(24, 32, 3), uint16, all low bits in use."""
    noise = np.random.default_rng(0).integers(0, 257, small.shape)
    return (small.astype(np.uint16) * 256 + noise).astype(np.uint16)


@pytest.fixture
def stored():
    """``stored(image, orientation)``: EXIF 2.32, table 6, tag 0112."""

    def turn(image: np.ndarray, orientation: int) -> np.ndarray:
        turned = {
            1: image,
            2: image[:, ::-1],
            3: image[::-1, ::-1],
            4: image[::-1],
            5: image.swapaxes(0, 1),
            6: np.rot90(image, 1),
            7: np.rot90(image, 2).swapaxes(0, 1),
            8: np.rot90(image, -1),
        }[orientation]
        return np.ascontiguousarray(turned)

    return turn
