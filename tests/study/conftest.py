"""Files of small studies."""

from pathlib import Path

import pytest


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
