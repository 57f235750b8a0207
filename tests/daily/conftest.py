"""An album as people have them, and the command as they type it."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from evalkit.images import write_image

TAKEN = "2015:06:01 12:00:00"
HEIC = Path(__file__).parents[1] / "images" / "heic" / "rgb.heic"


@pytest.fixture
def told(told):
    """``told(*arguments)``: exit status, stdout and stderr of ``evalkit restore``."""
    return partial(told, "restore")


@pytest.fixture
def attic(tmp_path) -> Path:
    """Six files in three folders: a phone's picture, a HEIC, a damaged one, pages."""
    folder = tmp_path / "attic"
    (folder / "1990" / "summer").mkdir(parents=True)
    exif = Image.Exif()
    exif.update({274: 6, 306: TAKEN})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.5)})
    face = Image.fromarray(data.astronaut()[60:124, 190:278])
    face.save(folder / "face.jpg", exif=exif)
    whole = (folder / "face.jpg").read_bytes()
    (folder / "1990" / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    write_image(folder / "1990" / "face.png", data.astronaut()[60:100, 190:240])
    (folder / "1990" / "summer" / "phone.heic").write_bytes(HEIC.read_bytes())
    pages = [Image.fromarray(np.full((20, 30), level, np.uint8)) for level in (9, 99)]
    pages[0].save(
        folder / "1990" / "letter.tif", save_all=True, append_images=pages[1:]
    )
    return folder
