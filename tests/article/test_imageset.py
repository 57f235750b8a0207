import numpy as np
import pytest

from evalkit.article.imageset import fitted_size
from evalkit.images import read_image
from evalkit.imagesets import prepare
from evalkit.imagesets._registered import registered


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1024, 768), (1024, 768)),
        ((2500, 1667), (1024, 683)),
        ((3024, 4032), (768, 1024)),
        ((783, 1146), (700, 1024)),
        ((2316, 2316), (768, 768)),
        ((806, 693), (806, 693)),  # never enlarged
    ],
)
def test_pictures_are_fitted_not_cropped(size, expected):
    assert fitted_size(*size) == expected


def test_a_picture_that_does_not_fill_the_frame_stands_in_a_grey_margin(table):
    row = table.loc["text-screenshot"]  # 806x693
    image = read_image(row["path"])
    original = read_image(registered()["screenshot_cmake_gui"].fetch())[..., :3]
    assert np.array_equal(image[37 : 37 + 693, 109 : 109 + 806], original)
    inside = np.zeros(image.shape[:2], bool)
    inside[37 : 37 + 693, 109 : 109 + 806] = True
    assert (image[~inside] == 128).all()
    assert row["note"].endswith("grey margin to 1024x768")
    assert (table.loc["building-stone-street", "note"]).endswith("1024x768, own size")


def test_a_reference_has_the_frame_of_its_source(table):
    for row in table.dropna(subset=["reference"]).itertuples():
        height, width = read_image(row.reference).shape[:2]
        assert (width, height) in [
            (scale * row.width_px, scale * row.height_px) for scale in (1, 2)
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("article")


@pytest.fixture
def table(folder, mirror):
    return prepare("article", folder=folder).set_index("source")


def test_the_kinds_of_the_article_and_a_family_photo_are_there(table):
    assert table["kind"].value_counts().to_dict() == {
        "portrait": 3,
        "building": 2,
        "text": 1,
        "mixed": 1,
        "group": 1,
    }
    assert {"building-glass-facade", "text-screenshot", "group-family"} <= {
        *table.index
    }


def test_all_are_png_of_the_article_s_size(table):
    assert table["path"].str.endswith(".png").all()
    sides = table[["width_px", "height_px"]]
    assert (sides.max(axis=1) == 1024).all()
    assert (sides.min(axis=1) == 768).all()


def test_size_resizing_and_degradation_are_said(table):
    for row in table.itertuples():
        assert f"{row.width_px}x{row.height_px}" in row.note
        assert "resized from" in row.note or "own size" in row.note
        assert ("by us" in row.note) == row.is_synthetic
    assert "resized from 3024x4032" in table.loc["portrait-backlit", "note"]


def test_each_names_its_address_at_a_pinned_commit(table):
    pinned = r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/\S+"
    assert table["url"].str.fullmatch(pinned).all()


@pytest.mark.slow
def test_the_same_bytes_every_time(table, tmp_path):
    again = prepare("article", folder=tmp_path).set_index("source")
    columns = ["sha256", "reference_sha256"]
    assert again[columns].equals(table[columns])
