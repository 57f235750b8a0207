"""The registry of pictures: what it refuses, in our words."""

import pytest
import yaml

from evalkit.errors import ImageError
from evalkit.imagesets._registered import read_pictures

ENTRY = {
    "name": "cat",
    "kind": "portrait",
    "file": "cat.png",
    "size_bytes": 3,
    "sha256": "a" * 64,
    "width_px": 2,
    "height_px": 1,
    "origin": "somebody/pictures",
    "url": None,
    "licence": "MIT",
    "note": "a cat",
}


@pytest.fixture
def read(tmp_path):
    def read(*pictures, **others):
        path = tmp_path / "images.yaml"
        content = {"pictures": list(pictures), **others}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return read_pictures(path)

    return read


def test_a_good_entry_is_read(read):
    assert read(ENTRY)["cat"].url is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"licens": "MIT"}, r"unknown key pictures\[cat\]\.licens; known: name, kind"),
        ({"width_px": "wide"}, r"pictures\[cat\]\.width_px must be a whole number"),
        ({"url": 3}, r"pictures\[cat\]\.url must be text; found 3"),
    ],
)
def test_a_wrong_entry_is_refused(read, change, said):
    with pytest.raises(ImageError, match=rf"is not a registry of pictures: {said}"):
        read(ENTRY | change)


def test_what_is_missing_is_named(read):
    with pytest.raises(ImageError, match=r"pictures\[cat\]\.note is missing"):
        read({key: value for key, value in ENTRY.items() if key != "note"})


def test_an_unknown_key_at_the_top_is_refused(read):
    with pytest.raises(ImageError, match="unknown key picture; known: pictures"):
        read(ENTRY, picture=[])


def test_a_name_given_twice_is_refused(read):
    with pytest.raises(ImageError, match="names twice: cat"):
        read(ENTRY, ENTRY)
