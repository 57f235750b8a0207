"""Small real pictures in a folder, and a study of them."""

from pathlib import Path

import pytest
from skimage import data

from evalkit.images import write_image


@pytest.fixture
def album(tmp_path) -> Path:
    """Two tiny crops of real photographs."""
    folder = tmp_path / "album"
    folder.mkdir()
    write_image(folder / "face.png", data.astronaut()[60:124, 190:254])
    write_image(folder / "cup.png", data.coffee()[100:148, 200:264])
    return folder


@pytest.fixture
def study_file(tmp_path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nconditions: [lanczos, realesrgan-animevideo-x4]\nrepeats: 2\n",
        encoding="utf-8",
    )
    return path


@pytest.fixture
def light_file(tmp_path) -> Path:
    """A study of what needs no network, which takes half the time."""
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nconditions: [lanczos]\nrepeats: 2\n", encoding="utf-8")
    return path
