"""A run folder names no place outside of it."""

import shutil

import numpy as np
import pytest

from evalkit.images import read_image, write_image
from evalkit.restorers import condition_name, parse_condition, plan_restorer, shortened
from evalkit.study import open_run, restore
from evalkit.tables import IMAGES

HOME = "home of reader"


def picture(value: int) -> np.ndarray:
    return np.full((9, 16, 3), value, np.uint8)


@pytest.fixture
def home(tmp_path):
    """The reader's folder: an album with a broken file, and outputs of others."""
    home = tmp_path / HOME
    for value, name in enumerate(("a.png", "ü.png")):
        write_image(home / "album" / name, picture(value))
        write_image(home / "theirs" / name, picture(value + 100))
    (home / "album" / "torn.png").write_bytes(
        (home / "album" / "a.png").read_bytes()[:60]
    )
    return home


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


def test_tables_and_records_hold_no_path_of_the_readers(run, home):
    images = run.images(str(home / "album"))
    for condition in ("lanczos", shortened(f"outputs:{home / 'theirs'}")):
        restore(run, condition, images, say=lambda _: None)
    records = run.records.read()
    assert set(records["condition"]) == {"lanczos", "outputs:theirs"}
    assert set(records["outcome"]) == {"ok", "error"}
    texts = {
        p.name: p.read_bytes() for p in run.path.rglob("*.*") if not p.is_symlink()
    }
    assert len(texts) > 6
    assert [name for name, text in texts.items() if HOME.encode() in text] == []


def test_links_follow_the_album_and_the_run(run, home, tmp_path):
    album = home / "album"
    run.images(str(album))
    (album / "a.png").rename(album / "b.png")
    shutil.copy(album / "b.png", album / "ü.png")
    images = run.images(str(album)).set_index("source")
    assert sorted(path.name for path in (run.path / "pictures").iterdir()) == [
        "b.png",
        "torn.png",
        "ü.png",
    ]
    assert np.array_equal(read_image(images.loc["ü", "path"]), picture(0))
    moved = open_run(str(shutil.move(run.path, tmp_path / "elsewhere")))
    paths = moved.read(IMAGES).set_index("source")["path"]
    assert np.array_equal(read_image(paths["b"]), picture(0))
    assert paths["b"] == str(moved.path / "pictures" / "b.png")
    written = (moved.path / "tables" / "images.csv").read_bytes()
    moved.write(IMAGES, moved.read(IMAGES))
    assert (moved.path / "tables" / "images.csv").read_bytes() == written


def test_references_are_links_too(run):
    images = run.images("quick")
    reference = images["reference"].dropna().iloc[0]
    assert read_image(reference).ndim == 3
    assert (run.path / "references").samefile(reference.rpartition("/")[0])


def test_files_in_settings_are_called_by_their_names(home, monkeypatch):
    weights = home / "mine.pth"
    weights.write_bytes(b"0")
    faces = f"outputs:{home / 'theirs'}"
    name = condition_name("realesrgan-x4plus", weights=str(weights), tile=64)
    assert name == "realesrgan-x4plus@tile=64,weights=mine.pth"
    assert parse_condition(name)["weights"] == "mine.pth"
    assert condition_name(**parse_condition(name)) == name
    assert plan_restorer(**parse_condition(name)).parameters["weights"] == str(weights)
    hybrid = condition_name("hybrid", faces=faces)
    assert hybrid == "hybrid@faces=outputs:theirs"
    for condition in (name, hybrid):
        plan = plan_restorer(**parse_condition(condition))
        assert HOME not in str(plan.recorded)
        assert HOME not in str(plan.notes)
        again = plan_restorer(**plan.parameters)
        assert again.recorded == plan.recorded
    monkeypatch.delenv("EVALKIT_ARGUMENTS")
    with pytest.raises(Exception, match=r"there is no file mine\.pth"):
        plan_restorer(**parse_condition(name))
