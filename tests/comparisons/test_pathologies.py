"""The table of pathologies and its maps, on outputs with planted defects."""

import numpy as np
import pandas as pd
import pytest
from skimage import data

from evalkit.comparisons import compare_pathologies, draw_pathologies
from evalkit.comparisons.regions import face_regions
from evalkit.faces import detect
from evalkit.images import read_image, write_image
from evalkit.study import open_run, restore
from evalkit.tables import PATHOLOGIES

LANCZOS = "lanczos@scale=2"


@pytest.fixture
def run(tmp_path):
    """A face and a cup at double size; the cup's output has a black corner."""
    folder = tmp_path / "album"
    write_image(folder / "face.png", data.astronaut()[:256, 100:356])
    write_image(folder / "cup.png", data.coffee()[60:188, 200:328])
    run = open_run(str(tmp_path / "run"))
    records = restore(run, LANCZOS, run.images(str(folder)), say=lambda _: None)
    path = run.path / records.set_index("source").loc["cup", "output"]
    output = np.array(read_image(path))
    output[:100, :100] = 0
    write_image(path, output)
    return run


def test_a_planted_defect_is_in_the_table_and_on_the_map(run):
    table = compare_pathologies(run)
    assert table["value"].equals(run.read(PATHOLOGIES)["value"])
    dead = table[table["metric"] == "dead_area"].set_index(["source", "region"])
    assert dead.loc[("cup", "whole"), "value"] > 5
    assert dead.loc[("face", "whole"), "value"] == 0
    assert set(table.loc[table["condition"] == LANCZOS, "resampling"]) == {"area"}
    (file,) = draw_pathologies(run, [LANCZOS], ["cup"])
    assert file.name == "60_maps_cup.png"


def test_a_face_has_regions_and_a_cup_has_none(run):
    table = compare_pathologies(run)
    regions = table.groupby("source")["region"].unique()
    assert set(regions["cup"]) == {"whole"}
    assert {"whole", "faces", "skin", "lips"} <= set(regions["face"])
    drift = table[table["metric"] == "landmark_drift"].set_index("source")["value"]
    assert drift.isna()["cup"]
    # null where a cascade found the face, since it gives no landmarks
    assert pd.isna(drift["face"]) or drift["face"] <= 10


def test_the_source_itself_is_the_base_of_what_needs_no_other(run):
    table = compare_pathologies(run)
    base = table[table["condition"] == "source"]
    assert {"sharpness", "blockiness", "noise_level", "niqe"} <= set(base["metric"])
    assert "halo" not in set(base["metric"])


def test_without_an_output_there_is_no_figure(run):
    assert draw_pathologies(run, ["bicubic"]) == []


def test_skin_and_lips_lie_in_the_face(astronaut):
    (face, *_) = detect(astronaut)
    regions, notes = face_regions(astronaut, [face])
    inside = regions["faces"]
    assert 0.2 < (regions["skin"] & inside).sum() / inside.sum() < 1
    lips = regions["lips"]
    assert (lips & inside).sum() > 0.9 * lips.sum()
    rows, columns = np.nonzero(lips)
    mouth = face.landmarks[3:].mean(axis=0)
    assert abs(columns.mean() - mouth[0]) < 10
    assert abs(rows.mean() - mouth[1]) < 10
    assert "without ParseNet" in notes["skin"]


def test_a_picture_without_faces_has_no_region(astronaut):
    regions, _ = face_regions(astronaut, [])
    assert not regions
