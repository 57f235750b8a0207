from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evalkit.images import read_image
from evalkit.imagesets import prepare
from evalkit.imagesets._registered import registered


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("gpen-official")


@pytest.fixture
def table(folder, mirror):
    return prepare("gpen-official", folder=folder).set_index("source")


@pytest.fixture
def outputs(table, folder) -> dict[str, Path]:
    published = folder / "published"
    pairs = pd.read_csv(published / "pairs.csv")
    assert list(pairs.columns) == ["source", "output"]
    return {row.source: published / row.output for row in pairs.itertuples()}


def test_whole_pictures_and_faces_have_their_published_outputs(table, outputs):
    without = set(table.index) - set(outputs)
    assert without == {"selfie_exif6", "ffhq_00000"}
    assert (table["kind"] == "aligned-face").sum() == 10
    for source, path in outputs.items():
        before, after = read_image(table.loc[source, "path"]), read_image(path)
        scale = 2 if source in ("solvay", "selfie_a") else 1
        height, width = before.shape[:2]
        assert after.shape[:2] == (scale * height, scale * width)


def test_a_side_by_side_picture_is_split_in_the_middle(table, outputs, mirror):
    pair = np.asarray(Image.open(registered()["real_00_in_out"].fetch()).convert("RGB"))
    for half, path in (
        (pair[:, :512], table.loc["real_00", "path"]),
        (pair[:, 512:], outputs["real_00"]),
    ):
        np.testing.assert_array_equal(read_image(path)[..., :3], half)


def test_a_selfie_is_upright(table):
    row = table.loc["selfie_exif6"]
    assert (row["width_px"], row["height_px"]) == (3024, 4032)


def test_the_validation_pair_has_a_reference_and_its_shift_is_said(table):
    row = table.loc["ffhq_00000"]
    assert Path(row["reference"]).name == "ffhq_00000_hq.png"
    assert "4 px right" in row["note"]
    assert table["reference"].notna().sum() == 1


def test_inpainting_is_left_out(table):
    assert not table.index.str.contains("00004").any()


def test_an_output_that_cannot_be_had_leaves_the_source(mirror, tmp_path, monkeypatch):
    for name in ("solvay_input", "selfie_a_input", "selfie_a_output_gpen"):
        (tmp_path / name).symlink_to(registered()[name].fetch())
    monkeypatch.setenv("EVALKIT_MIRROR", str(tmp_path))
    table = prepare("gpen-official", folder=tmp_path / "set").set_index("source")
    assert table.index[table["error"].isna()].tolist() == ["solvay", "selfie_a"]
    assert "without its published output" in table.loc["solvay", "note"]
    pairs = (tmp_path / "set" / "published" / "pairs.csv").read_text(encoding="utf-8")
    assert pairs == "source,output\nselfie_a,selfie_a.jpg\n"
