"""Restoring and measuring: what is kept, what is not computed twice, what fails."""

import json
from functools import partial

import numpy as np
import pytest

from evalkit.comparisons import compare_metrics, compare_side_by_side
from evalkit.experiments import measure_cost, summarise_cost
from evalkit.images import pixel_sha256, read_image, write_image
from evalkit.metrics import metrics as registry
from evalkit.restorers import restorers
from evalkit.study import attempt, restore
from evalkit.study.groups import choose
from evalkit.study.run_folder import open_run
from evalkit.tables import COST, METRICS, RATES, RECORDS


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


@pytest.fixture
def said():
    return []


def test_every_source_gets_an_output_and_a_record(run, album, said):
    records = restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert list(records["outcome"]) == ["ok", "ok"]
    for record in records.to_dict("records"):
        output = read_image(run.path / record["output"])
        assert output.shape[1] == record["output_width_px"]
        assert pixel_sha256(output) == record["output_sha256"]
        stages_s = json.loads(record["stages_s"])
        assert {"decode", "encode"} <= stages_s.keys()
        assert sum(stages_s.values()) <= record["wall_time_s"]
        assert record["peak_rss_mib"] > 10
        assert record["weights_kind"] == "none"
    assert said[0] == "lanczos: 0 of 2 sources already there, 2 to compute"


def test_nothing_is_computed_twice(run, album, said):
    first = restore(run, "lanczos", run.images(str(album)), say=said.append)
    again = restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert said[-1] == "lanczos: 2 of 2 sources already there, 0 to compute"
    assert again.equals(first)


def test_one_more_picture_is_one_more_cell(run, album, said):
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    write_image(album / "third.png", read_image(album / "cup.png")[:20])
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert said[-2] == "lanczos: 2 of 3 sources already there, 1 to compute"


def test_an_output_that_was_deleted_is_made_again_without_a_second_record(
    run, album, said
):
    records = restore(run, "lanczos", run.images(str(album)), say=said.append)
    output = run.path / records["output"].iloc[0]
    output.unlink()
    again = restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert output.is_file()
    assert len(again) == 2


def test_a_broken_file_is_a_record_and_the_others_go_on(run, album, said):
    (album / "broken.png").write_bytes((album / "cup.png").read_bytes()[:300])
    records = restore(run, "lanczos", run.images(str(album)), say=said.append)
    outcomes = records.set_index("source")["outcome"].to_dict()
    assert outcomes == {"broken": "error", "cup": "ok", "face": "ok"}
    (error,) = records["error"].dropna()
    assert "broken.png" in error
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert said[-1].endswith("0 to compute")


def test_a_changed_picture_is_computed_again_and_the_newest_is_shown(run, album, said):
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    write_image(album / "cup.png", 255 - read_image(album / "cup.png"))
    restore(run, "lanczos", run.images(str(album)), say=said.append)
    quality = run.quality(["lanczos"]).set_index("source")
    assert len(run.records.read()) == 3
    shown = read_image(run.path / quality.loc["cup", "output"])
    assert pixel_sha256(shown) == quality.loc["cup", "output_sha256"]


def test_random_weights_make_no_picture(run, album, said):
    records = restore(run, "gpen-256", run.images(str(album)), say=said.append)
    assert records.empty
    assert "random weights" in said[-1]
    assert not (run.path / "outputs").exists()


def test_cost_is_a_cold_run_and_warm_ones_and_is_summarised(run, album, said):
    images = run.images(str(album))
    restore(run, "lanczos", images, say=said.append)
    records = measure_cost(run, "lanczos", images, n_sources=0, repeats=3)
    assert sorted(records["phase"]) == ["cold"] * 2 + ["warm"] * 6
    assert records[records["phase"] == "cold"]["load_time_s"].notna().all()
    assert records[records["phase"] == "warm"]["load_time_s"].isna().all()
    cost = summarise_cost(run)
    assert list(cost.columns) == list(COST.columns)
    assert cost["wall_time_low_s"].isna().all()  # 3 runs have a range, no interval
    for row in cost.to_dict("records"):
        assert row["wall_time_min_s"] <= row["wall_time_s"] <= row["wall_time_max_s"]
        assert row["wall_time_spread"] == "range of 3 runs"
        assert row["same_as_quality"] is True
        assert row["n_runs"] == 3
    assert not list((run.path / "outputs").rglob("*cost*"))


def test_one_run_has_no_interval(run, album, said):
    measure_cost(run, "lanczos", run.images(str(album)), repeats=1, say=said.append)
    cost = summarise_cost(run).iloc[0]
    assert cost["wall_time_low_s"] is not cost["wall_time_s"]
    assert run.read(COST)["wall_time_low_s"].isna().all()


@pytest.mark.slow
def test_a_file_that_is_no_picture_is_not_the_one_that_is_timed(run, album, said):
    (album / "a first.png").write_bytes(b"no picture")
    images = run.images(str(album))
    measure_cost(run, "lanczos", images, repeats=1, say=said.append)
    assert summarise_cost(run)["source"].tolist() == ["cup"]
    broken = images[images["error"].notna()]
    assert choose(broken, 1, seed=0)["source"].tolist() == ["a first"]


@pytest.mark.slow
def test_gpen_is_measured_with_random_weights_and_marked(run, album, said):
    images = run.images(str(album))
    measure_cost(run, "gpen-256", images, repeats=1, say=said.append)
    cost = summarise_cost(run)
    assert list(cost["weights_kind"]) == ["random"]
    (rate,) = run.read(RATES).to_dict("records")  # by the process with all cores
    assert rate["matrix_tflop_s"] > 0


def test_a_crash_after_an_interruption_stands_behind_what_was_there(
    run, album, said, monkeypatch
):
    """A kernel killed after three runs, then a worker killed in its second."""
    images = run.images(str(album)).head(1)
    start = attempt.start

    def interrupted(what, row, take, **more):
        def until_three(found):
            take(found)
            if found["phase"] == "warm" and found["run"] == 2:
                raise KeyboardInterrupt

        return start(what, row, until_three, **more)

    def crashing(what, row, take, **more):
        start(what, row, lambda found: found["phase"] == "cold" and take(found), **more)
        crash = {"outcome": "crash", "error": "killed by SIGKILL"}
        return {"started_at": "2026-01-01T00:00:00.000+00:00", **crash}

    measure = partial(measure_cost, run, "lanczos", images, repeats=4, say=said.append)
    monkeypatch.setattr(attempt, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure()
    monkeypatch.setattr(attempt, "start", crashing)
    records = measure()
    assert list(records["outcome"]) == ["ok", "ok", "ok", "crash"]
    assert list(records["run"]) == [1, 1, 2, 3]


@pytest.mark.slow
def test_the_sources_order_is_shuffled_by_the_seed(run, album):
    for number in range(6):
        write_image(album / f"{number}.png", np.full((4, 4), number, np.uint8))
    images = run.images(str(album))
    orders = []
    for seed in (1, 2, 1):
        part = open_run(str(run.path.parent / f"run{len(orders)}"))
        told = []
        measure_cost(
            part, "lanczos", images, n_sources=0, repeats=1, seed=seed, say=told.append
        )
        orders.append([line.split()[1] for line in told[1:]])
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.slow
def test_metrics_are_of_the_references_size(run, said):
    images = run.images("quick").iloc[[5, 3]]
    restore(run, "lanczos@scale=2", images, say=said.append)
    restore(run, "lanczos@scale=1", images, say=said.append)
    metrics = compare_metrics(run)
    assert list(metrics.columns) == list(METRICS.columns)
    resampling = {
        (row["condition"], row["source"]): row["resampling"]
        for row in metrics.to_dict("records")
    }
    page, pagoda = images["source"]
    assert resampling == {
        ("lanczos@scale=2", page): "area",  # its reference has the source's size
        ("lanczos@scale=2", pagoda): "none",
        ("lanczos@scale=1", page): "none",
        ("lanczos@scale=1", pagoda): "lanczos",
    }
    by_reference = {m.name for m in registry().values() if m.needs == "reference"}
    assert set(metrics["metric"]) == by_reference
    assert by_reference >= {"psnr", "ssim", "lpips", "text_error"}


def test_side_by_side_shows_failures_as_such(run, album, said):
    images = run.images(str(album))
    restore(run, "lanczos", images, say=said.append)
    files = compare_side_by_side(run, ["lanczos", "gpen-256"])
    assert [file.name for file in files] == ["60_cup.png", "60_face.png"]
    assert all(file.stat().st_size > 5000 for file in files)


def test_keys_differ_by_setting_source_and_restorer(run, album, said):
    images = run.images(str(album))
    for condition in ("lanczos", "lanczos@scale=2", "bicubic"):
        restore(run, condition, images, say=said.append)
    keys = run.records.read()["key"]
    assert keys.is_unique
    assert len(keys) == 6


def test_records_have_the_designs_columns(run, album, said):
    records = restore(run, "lanczos", run.images(str(album)), say=said.append)
    assert list(records.columns) == list(RECORDS.columns)
    assert set(records["restorer"]) <= set(restorers())
