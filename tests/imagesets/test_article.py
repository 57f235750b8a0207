import pytest

from evalkit.imagesets import prepare
from evalkit.imagesets.article import fitted_size


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


def test_all_are_png_within_the_article_s_size(table):
    assert table["path"].str.endswith(".png").all()
    sides = table[["width_px", "height_px"]]
    assert sides.max(axis=1).max() <= 1024
    assert sides.min(axis=1).max() <= 768


def test_size_resizing_and_degradation_are_said(table):
    for row in table.itertuples():
        assert f"{row.width_px}x{row.height_px}, " in row.note
        assert "resized from" in row.note or "own size" in row.note
        assert ("by us" in row.note) == row.is_synthetic
    assert "resized from 3024x4032" in table.loc["portrait-backlit", "note"]


def test_each_names_its_address_at_a_pinned_commit(table):
    pinned = r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/\S+"
    assert table["url"].str.fullmatch(pinned).all()


def test_the_same_bytes_every_time(table, tmp_path):
    again = prepare("article", folder=tmp_path).set_index("source")
    columns = ["sha256", "reference_sha256"]
    assert again[columns].equals(table[columns])
