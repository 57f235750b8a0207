import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.errors import UnknownNameError
from evalkit.images import read_image
from evalkit.imagesets import imagesets, prepare
from evalkit.paths import imageset_dir
from evalkit.tables import IMAGES

every_set = pytest.mark.parametrize("name", imagesets())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sets")


@pytest.fixture
def table(name, folder, request):
    """The prepared set; those that are not offline need the registered pictures."""
    if not imagesets()[name].is_offline:
        request.getfixturevalue("mirror")
    return prepare(name, folder=folder / name)


def test_the_sets_of_the_design_are_found():
    assert set(imagesets()) >= {"quick", "article", "photographs", "gpen-official"}


def test_a_misspelt_set_is_refused():
    with pytest.raises(UnknownNameError, match=r"known: <a folder.*quick"):
        prepare("qick")


@every_set
def test_facts_are_complete(name):
    spec = imagesets()[name]
    assert spec.name == name
    assert spec.title
    assert spec.licence
    assert spec.note


@every_set
def test_every_row_says_what_and_whence(name, table):
    assert list(table.columns) == list(IMAGES.columns)
    required = ["kind", "path", "sha256", "width_px", "height_px", "origin", "licence"]
    assert table[required].notna().all(axis=None)
    assert table["note"].str.len().gt(10).all()
    assert table["error"].isna().all()


@every_set
def test_sizes_are_those_of_the_upright_pictures(name, table):
    for row in table.itertuples():
        height, width = read_image(row.path).shape[:2]
        assert (row.width_px, row.height_px) == (width, height), row.source


@every_set
def test_a_synthetic_source_has_its_reference_at_equal_or_double_size(name, table):
    assert (table["is_synthetic"] == table["reference"].notna()).all()
    for row in table[table["is_synthetic"]].itertuples():
        height, width = read_image(row.reference).shape[:2]
        assert width / row.width_px in (1, 2)
        assert height / row.height_px in (1, 2)


@every_set
def test_the_second_time_nothing_is_made(name, table, folder):
    def states() -> dict[str, int]:
        made = [path for path in folder.rglob("*") if path.name != "pairs.csv"]
        return {str(path): path.stat().st_mtime_ns for path in made if path.is_file()}

    before = states()
    assert prepare(name, folder=folder / name).equals(table)
    assert states() == before


def test_a_set_is_kept_in_the_cache():
    path = prepare("quick").loc[0, "path"]
    assert Path(path).is_relative_to(imageset_dir("quick"))


def test_listing_the_sets_is_light():
    code = (
        "import sys; from evalkit.imagesets import imagesets; imagesets(); "
        "print({'torch', 'cv2', 'scipy', 'skimage', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"set()"
