"""What is larger than a screen is shown whole, as a detail at its own size, or both."""

import shutil

import numpy as np
import pytest
from answers import answer
from PIL import Image
from skimage import data

from evalkit import report
from evalkit.comparisons import analyse_scores
from evalkit.images import read_image, write_image
from evalkit.rating import name_stimuli
from evalkit.rating._schema import items_of
from evalkit.study import plan_rating, rate, ratings_store, restore
from evalkit.study.panel_size import detectable_difference
from evalkit.study.rating import planned_outputs
from evalkit.study.run_folder import open_run

QUIET = {"say": lambda _: None}
SEEN = {"window_width_px": 1280, "window_height_px": 720, "pixel_ratio": 1, "scale": 1}
SEEN |= {"least_scale": 1, "most_scale": 1}
SEEN |= dict.fromkeys(["zoom_used", "source_opened", "full_screen"], False)


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


def answer_all(run, subject, score, **seen) -> None:
    """Let a simulated subject score everything."""
    session = rate(run, subject, **QUIET)._session
    view = session.handle({"type": "start"})
    more = {"seen": SEEN | seen} if seen else {}
    while view["state"] == "rate":
        view = session.handle(answer(view, score(view["item"])) | more)


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


def test_the_answer_says_how_the_panel_saw_and_whether_that_moved_scores(run):
    plan_rating(run, ["lanczos"], subjects=3, **QUIET)
    for number, scale in enumerate([1, 0.5, 0.25]):
        least = {"scale": scale, "least_scale": scale, "most_scale": scale}
        answer_all(run, f"s{number + 1:02}", lambda _, n=number: 4 - n, **least)
    panel = analyse_scores(run, **QUIET)["scores_panel"].set_index("quantity")
    # every halving of the scale costs these simulated subjects a point
    assert panel.loc["effect of scale", "value"] == pytest.approx(1)
    told = [row["text"] for row in report.answer(run.path, "panel").of("answer")]
    assert len(told) == 1
    assert "held against its plan: as planned" in told[0]
    assert "33% were given on pictures at 1:1; the smallest scale was 25%" in told[0]
    assert "its score changed by 1" in told[0]
    chinese = report.answer(run.path, "panel", language="zh").of("answer")
    assert "每加倍" in chinese[0]["text"]
