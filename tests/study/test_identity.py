"""A picture is its name and its content: swapped, renamed, copied, changed, broken."""

import json
import random
import shutil
from functools import partial

import numpy as np
import pytest

from evalkit import load_restorer
from evalkit.comparisons import (
    compare_metrics,
    compare_pathologies,
    compare_side_by_side,
)
from evalkit.experiments import (
    measure_concurrency,
    measure_cost,
    measure_experiment,
    measure_stability,
    summarise_concurrency,
    summarise_cost,
    summarise_experiments,
    summarise_stability,
)
from evalkit.images import read_image, write_image
from evalkit.records import RecordStore
from evalkit.restorers import parse_condition
from evalkit.study import attempt, close_records, restore, run_study, worker
from evalkit.study.measurement import Measurement
from evalkit.study.rating import rated_outputs
from evalkit.study.run_folder import open_run
from evalkit.tables import IMAGES, PATHOLOGIES


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


@pytest.fixture
def said():
    return []


@pytest.fixture
def computed(monkeypatch):
    """The condition and the content of every cell that was started, in order."""
    started = []
    start = attempt.start

    def counting(what, row, take, **more):
        started.append((what.condition, what.experiment, row["sha256"]))
        return start(what, row, take, **more)

    monkeypatch.setattr(attempt, "start", counting)
    return started


def picture(path, seed, side=8):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side + 3, 3), np.uint8)
    write_image(path, pixels)


def swap(folder, one, other):
    (folder / one).rename(folder / "aside")
    (folder / other).rename(folder / one)
    (folder / "aside").rename(folder / other)


def check_outputs(run, images, conditions):
    """Each name has one shown output, and it is that of its present picture."""
    quality = run.quality(conditions).set_index(["condition", "source"])
    assert len(quality) == len(images) * len(conditions)
    for condition in conditions:
        restorer = load_restorer(**parse_condition(condition))
        for row in images.to_dict("records"):
            record = quality.loc[(condition, row["source"])]
            expected = restorer.restore(read_image(row["path"])).image
            np.testing.assert_array_equal(
                read_image(run.path / record["output"]), expected
            )
            assert record["source_sha256"] == row["sha256"]


@pytest.mark.slow
def test_whatever_happens_to_names_each_has_its_own_output(
    tmp_path, run, computed, said
):
    """No random step computes an output that lies in the folder already."""
    dice, folder, n_made = random.Random(3), tmp_path / "album", 0
    conditions = ["lanczos@scale=2", "bicubic@scale=2"]
    folder.mkdir()
    for n_made in range(3):
        picture(folder / f"{n_made}.png", n_made)

    def names():
        return sorted(path.name for path in folder.iterdir())

    def change():
        nonlocal n_made
        n_made += 1
        picture(folder / dice.choice(names()), n_made)

    def copy():
        content = (folder / dice.choice(names())).read_bytes()
        (folder / f"{dice.randrange(6)}.png").write_bytes(content)

    steps = {
        "swap": lambda: swap(folder, *dice.sample(names(), 2)),
        "rename": lambda: (folder / dice.choice(names())).rename(
            folder / f"{dice.randrange(6)}.png"
        ),
        "copy": copy,
        "remove": lambda: (folder / dice.choice(names())).unlink(),
        "change": change,
    }
    for _ in range(15):
        for step in dice.choices(list(steps), k=dice.randrange(1, 4)):
            if len(names()) > 2 or step in ("change", "copy"):
                steps[step]()
        there = set(run.quality()["source_sha256"])  # and its output is in the folder
        images, before = run.images(str(folder)), len(computed)
        for condition in conditions:
            restore(run, condition, images, say=said.append)
        assert not {sha256 for *_, sha256 in computed[before:]} & there
        assert len(computed) - before == len(set(computed[before:]))
        check_outputs(run, images, conditions)
    close_records(run, say=said.append)


def test_two_names_that_are_swapped_take_each_others_outputs(
    run, album, computed, said
):
    conditions = ["lanczos", "bicubic"]
    for _ in range(3):
        images = run.images(str(album))
        for condition in conditions:
            restore(run, condition, images, say=said.append)
        check_outputs(run, images, conditions)
        swap(album, "cup.png", "face.png")
    assert len(computed) == 4
    notes = [json.loads(notes) for notes in run.records.read()["notes"]]
    assert notes.count(["same bytes as cup"]) == 2
    assert notes.count(["same bytes as face"]) == 2


@pytest.mark.slow
def test_a_renamed_picture_is_there_under_its_new_name_in_every_table(
    run, album, computed, said
):
    def study():
        images = run.images(str(album))
        restore(run, "lanczos", images, say=said.append)
        measure_cost(run, "lanczos", images, n_sources=0, repeats=2, say=said.append)
        first = images[images["source"] != "cup"].head(1)
        more = {"repeats": 1, "say": said.append}
        measure_experiment(run, "batch", "lanczos", first, values=[2], **more)
        measure_experiment(run, "size", "lanczos", first, values=[6], **more)
        measure_experiment(run, "rotating", "lanczos", first, **more)
        measure_stability(run, "lanczos", first, n_runs=2, say=said.append)
        measure_concurrency(run, "lanczos", first, instances=[2], **more)
        return [
            set(summarise(run)["source"])
            for summarise in (
                summarise_cost,
                summarise_experiments,
                summarise_stability,
                summarise_concurrency,
                compare_pathologies,
            )
        ]

    before = study()
    n_cells = len(computed)
    (album / "face.png").rename(album / "portrait.png")
    after = study()
    assert len(computed) == n_cells
    renamed = {"face": "portrait", "face@6px": "portrait@6px"}
    assert after == [{renamed.get(n, n) for n in names} for names in before]
    table = summarise_experiments(run).set_index("experiment")
    assert table["rotating_ratio"].notna()["same-picture"]
    assert set(rated_outputs(run, ["lanczos"])["source"]) == {"cup", "portrait"}
    compare_metrics(run)
    notes = summarise_cost(run).set_index("source")["notes"]
    assert "same bytes as face" in notes["portrait"]


def test_both_copies_of_a_picture_have_all_rows(run, album, computed, said):
    shutil.copy(album / "cup.png", album / "cup (1).png")
    images = run.images(str(album))
    restore(run, "lanczos", images, say=said.append)
    measure_cost(run, "lanczos", images, n_sources=0, repeats=1, say=said.append)
    check_outputs(run, images, ["lanczos"])
    names = {"cup", "cup (1)", "face"}
    assert set(summarise_cost(run)["source"]) == names
    assert set(compare_pathologies(run)["source"]) == names
    (album / "cup.png").unlink()
    images = run.images(str(album))
    restore(run, "lanczos", images, say=said.append)
    assert set(summarise_cost(run)["source"]) == names - {"cup"}


def test_two_broken_files_have_their_own_rows(run, album, said):
    for name in ("p.png", "q.jpg"):
        (album / name).write_bytes(b"broken")
    records = restore(run, "lanczos", run.images(str(album)), say=said.append)
    errors = records[records["outcome"] == "error"].set_index("source")["error"]
    assert "p.png" in errors["p"]
    assert "q.jpg" in errors["q"]
    assert set(run.quality()["source"]) == {"cup", "face", "p", "q"}
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert said[-1].endswith("4 of 4 sources already there, 0 to compute")


def test_a_picture_that_changes_while_it_runs_is_interrupted_and_tried_again(
    run, album, said
):
    images = run.images(str(album))
    picture(album / "cup.png", 5)
    records = restore(run, "lanczos", images, say=said.append).set_index("source")
    assert records.loc["cup", "outcome"] == "interrupted"
    assert "cup.png changed while the study ran" in records.loc["cup", "error"]
    assert images["sha256"].iloc[0] in records.loc["cup", "error"]
    assert not run.output_path("lanczos", "cup").exists()
    images = run.images(str(album))
    restore(run, "lanczos", images, say=said.append)
    check_outputs(run, images, ["lanczos"])


def test_a_picture_that_changes_in_the_middle_of_a_run_is_seen(album, tmp_path):
    path = album / "cup.png"
    before = worker.digest(path)
    worker.check_unchanged(path, before)
    worker.check_unchanged(path, None)
    swap(album, "cup.png", "face.png")
    with pytest.raises(worker.SourceChangedError, match=before):
        worker.check_unchanged(path, before)


def test_an_output_that_another_overwrote_is_not_taken_for_ones_own(
    run, album, computed, said
):
    outputs = run.path / "outputs" / "lanczos"
    for spoil in (lambda: None, lambda: None, lambda: swap(outputs, *files)):
        spoil()
        images = run.images(str(album))
        restore(run, "lanczos", images, say=said.append)
        check_outputs(run, images, ["lanczos"])
        swap(album, *(files := ("cup.png", "face.png")))
    (outputs / "face.png").write_bytes(b"spoilt")
    images = run.images(str(album))
    restore(run, "lanczos", images, say=said.append)
    check_outputs(run, images, ["lanczos"])
    assert len(computed) == 3


def test_faces_that_are_aligned_are_other_cells_than_the_same_bytes(run, album):
    images = run.images(str(album))
    what = Measurement(run, "lanczos", "quality")
    plain, aligned = (
        what.key(row | {"kind": kind})
        for row in images.head(1).to_dict("records")
        for kind in ("portrait", "aligned-face")
    )
    assert plain != aligned


def test_outputs_that_others_made_are_joined_by_name_alone(run, album, tmp_path, said):
    published = tmp_path / "published"
    for number, name in enumerate(("cup", "face")):
        picture(published / f"{name}.png", number)
    shutil.copy(album / "cup.png", album / "face.png")
    condition = f"outputs:{published}"
    restore(run, condition, run.images(str(album)), say=said.append)
    for name in ("cup", "face"):
        np.testing.assert_array_equal(
            read_image(run.output_path(condition, name)),
            read_image(published / f"{name}.png"),
        )


def test_outputs_that_others_made_have_no_cost(run, album, tmp_path, said):
    """The time of reading a file is not their restorer's."""
    published = tmp_path / "published"
    for number, name in enumerate(("cup", "face")):
        picture(published / f"{name}.png", number)
    condition, images = f"outputs:{published}", run.images(str(album))
    records = restore(run, condition, images, say=said.append)
    assert set(records["outcome"]) == {"ok"}
    costs = ["wall_time_s", "load_time_s", "stages_s", "peak_rss_mib"]
    assert records[costs].isna().all().all()
    assert measure_cost(run, condition, images, say=said.append).empty
    assert "no cost, since its pictures were made elsewhere" in said[-1]
    assert summarise_cost(run).empty


def test_a_resized_picture_never_passes_for_one_of_that_name(run, album, said):
    picture(album / "cup@6px.png", 7)
    images = run.images(str(album))
    restore(run, "lanczos", images, say=said.append)
    more = {"values": [6], "repeats": 1, "say": said.append}
    measure_experiment(run, "size", "lanczos", images.head(1), **more)
    (row,) = summarise_experiments(run).to_dict("records")
    assert (row["experiment"], row["value"], row["base_source"]) == ("size", "6", "cup")
    assert row["source"] not in set(images["source"])


def test_what_was_made_of_a_picture_that_changed_does_not_count(run, album, said):
    more = {"values": [6], "repeats": 1, "say": said.append}
    images = run.images(str(album)).head(1)
    measure_experiment(run, "size", "lanczos", images, **more)
    assert len(summarise_experiments(run)) == 1
    picture(album / "cup.png", 9)
    run.images(str(album))
    assert summarise_experiments(run).empty


def test_a_picture_that_was_taken_out_leaves_outputs_and_figures(run, album, said):
    (run.path / "study.yaml").write_text(
        "name: run\nconditions: [lanczos]\n", encoding="utf-8"
    )

    def study():
        images = run.images(str(album))
        restore(run, "lanczos", images, say=said.append)
        compare_side_by_side(run, ["lanczos"])

    study()
    assert (run.figures / "60_cup.png").is_file()
    other = run.output_path("bicubic", "cup")  # of a condition that is left out now
    other.parent.mkdir()
    shutil.copy(run.output_path("lanczos", "cup"), other)
    (album / "cup.png").unlink()
    study()
    assert not run.output_path("lanczos", "cup").exists()
    assert run.output_path("lanczos", "face").exists()
    assert sorted(path.name for path in run.figures.glob("60_*.png")) == ["60_face.png"]
    assert any(line.startswith("removed, of pictures that") for line in said)
    close_records(run, say=said.append)
    assert not other.exists()
    assert len(run.records.read()) == 2  # records are never removed


def test_outside_a_study_outputs_of_other_pictures_are_said_and_kept(run, album, said):
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    (album / "cup.png").unlink()
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert said[-1] == (
        "kept, of pictures that are not there any more: cup.png in outputs/lanczos"
    )
    assert run.output_path("lanczos", "cup").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_survives_a_rename_and_a_swap(album, tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "name: tiny\nconditions: [lanczos]\nrepeats: 1\n"
        "rating: {conditions: [lanczos], subjects: 1}\n",
        encoding="utf-8",
    )
    study = partial(run_study, file, images=str(album), say=lambda _: None)
    run = study()
    drift = {"condition": "lanczos", "metric": "colour_shift", "region": "whole"}

    def shifts():
        table = run.read(PATHOLOGIES)
        for name, value in drift.items():
            table = table[table[name] == value]
        return table.set_index("source")["value"].to_dict()

    before = shifts()
    n_records = len(RecordStore(run.path).read())
    (album / "face.png").rename(album / "portrait.png")
    swap(album, "cup.png", "portrait.png")
    study()
    images = run.read(IMAGES)
    assert shifts() == {"cup": before["face"], "portrait": before["cup"]}
    check_outputs(run, images, ["lanczos"])
    records = RecordStore(run.path).read().iloc[n_records:]
    made = records[records["experiment"] == "quality"]
    assert made["notes"].str.contains("same bytes as").all()
    assert sorted(made["source"]) == ["cup", "portrait"]
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "portrait" in page
    assert "face.png" not in page
