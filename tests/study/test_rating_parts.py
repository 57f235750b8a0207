"""What is larger than a screen is shown whole, as a detail at its own size, or both."""

import shutil

import numpy as np
import pytest
from answers import answer
from PIL import Image
from skimage import data

from evalkit.comparisons import analyse_scores
from evalkit.images import read_image, write_image
from evalkit.rating import name_stimuli
from evalkit.rating._schema import items_of
from evalkit.study import plan_rating, rate, ratings_store, restore
from evalkit.study.panel_size import detectable_difference
from evalkit.study.rating import planned_outputs
from evalkit.study.run_folder import open_run

QUIET = {"say": lambda _: None}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two large pictures and a small one, enlarged four times."""
    folder = tmp_path_factory.mktemp("made")
    for name, photograph in {
        "face": data.astronaut()[60:160, 170:290],
        "cup": data.coffee()[100:190, 200:320],
        "cat": data.chelsea()[40:88, 100:164],
    }.items():
        write_image(folder / "album" / f"{name}.png", photograph)
    run = open_run(str(folder / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALKIT_CACHE", str(folder / "cache"))
        restore(run, "lanczos", run.images(str(folder / "album")), **QUIET)
    return run


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """A copy of it, for a screen of 320 x 240 px; no detector is waited for."""
    for module in ("rating.stimuli", "study.crops"):
        monkeypatch.setattr(f"evalkit.{module}.SHOWN_PX", (320, 240))
    monkeypatch.setattr("evalkit.faces.detect", lambda _: [])
    return open_run(str(shutil.copytree(made.path, tmp_path / "run")))


def answer_all(run, subject, score=lambda item: 3) -> None:
    """Let a simulated subject score everything."""
    session = rate(run, subject, **QUIET)._session
    view = session.handle({"type": "start"})
    while view["state"] == "rate":
        view = session.handle(answer(view, score(view["item"])))


def items(run) -> list[dict]:
    with ratings_store(run).read() as connection:
        return items_of(connection, "s01")


def test_a_detail_is_shown_pixel_for_pixel(run):
    plan_rating(run, ["lanczos"], subjects=1, shows="detail", **QUIET)
    outputs, _ = planned_outputs(run)
    parts = dict(zip(outputs["source"], outputs["part"], strict=True))
    assert parts == {"face": "detail", "cup": "detail", "cat": "whole"}
    stimuli = name_stimuli(outputs, 0)
    for row in outputs[outputs["condition"] == "lanczos"].to_dict("records"):
        left, top, wide, high = row["crop"] or (0, 0, row["width_px"], row["height_px"])
        assert wide <= 80
        assert high <= 60
        assert row["reduced"] == 1
        output = read_image(run.path / row["path"])
        expected = output[4 * top : 4 * (top + high), 4 * left : 4 * (left + wide)]
        part = (row["part"],) if row["crop"] else ()
        name = stimuli[(row["source"], "lanczos", *part)].name
        shown = Image.open(run.path / "rating" / "stimuli" / f"{name}.webp")
        np.testing.assert_array_equal(np.asarray(shown), expected)
    assert {item["part"] for item in items(run)} == {"whole", "detail"}
    for source in parts:  # one size, so that none can be told by it
        of_source = [item for item in items(run) if item["source"] == source]
        assert len({(item["width_px"], item["height_px"]) for item in of_source}) == 1


def test_both_are_shown_one_part_after_the_other(run):
    plan_rating(run, ["lanczos"], subjects=1, minutes=20, shows="both", **QUIET)
    parts = [item["part"] for item in items(run)]
    assert parts == sorted(parts, reverse=True)  # whole pictures, then details
    assert {i["source"] for i in items(run) if i["part"] == "whole"} == {
        *["face", "cup", "cat"]
    }
    assert {i["source"] for i in items(run) if i["part"] == "detail"} == {"face", "cup"}
    for part in ("whole", "detail"):
        of_part = [item for item in items(run) if item["part"] == part]
        roles = {item["role"] for item in of_part if not item["is_training"]}
        assert {"system", "anchor", "gold", "trap"} <= roles
    # a picture that is seen twice is one picture of those that a panel speaks of
    both = detectable_difference(run)
    plan_rating(run, ["lanczos"], subjects=1, minutes=20, **QUIET)
    assert detectable_difference(run).equals(both)


def test_beside_each_score_stands_what_was_shown_and_how_much_it_was_reduced(run):
    plan_rating(run, ["lanczos"], subjects=1, minutes=20, shows="both", **QUIET)
    part_of = {item["item"]: item["part"] for item in items(run)}
    score = {"whole": 2, "detail": 4}
    answer_all(run, "s01", lambda item: score[part_of[item["id"]]])
    tables = analyse_scores(run, **QUIET)
    mos = tables["scores_mos"].set_index(["method", "kind", "condition"])
    # the face: 120 px wide, enlarged to 480, shown 288 wide
    assert mos.loc[("none", "all", "lanczos"), "reduced"] == pytest.approx(480 / 288)
    assert mos.loc[("none", "all", "lanczos"), "shown"] == "whole and detail"
    shown = tables["scores_shown"].set_index(["condition", "shown"])
    assert shown["mos"].to_dict() == {
        ("lanczos", "whole"): 2,
        ("bicubic", "whole"): 2,
        ("lanczos", "detail"): 4,
        ("bicubic", "detail"): 4,
    }
    assert shown.loc[("lanczos", "detail"), "reduced"] == 1
    assert shown.loc[("lanczos", "whole"), "n_sources"] == 3
    # the two parts of a picture are no repeats of one stimulus
    assert (tables["scores_subjects"]["same"].dropna() == 1).all()
