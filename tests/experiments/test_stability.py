"""A series of runs: it outlives every failure, and says what it saw."""

import json

import pytest

from evalkit.experiments import measure_stability, summarise_stability
from evalkit.study import restore
from evalkit.study.run_folder import open_run


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


def test_a_crash_a_hang_and_an_oom_are_recorded_and_the_series_goes_on(
    run, album, plant
):
    plant("series_cells:faulty")
    images = run.images(str(album))
    records = measure_stability(run, "lanczos", images, n_runs=9, timeout_s=2)
    outcomes = records.sort_values("run").set_index("run")["outcome"]
    expected = dict.fromkeys(range(1, 10), "ok")
    expected |= {2: "crash", 4: "timeout", 5: "oom", 7: "crash"}
    assert outcomes.to_dict() == expected
    errors = records.set_index("run")["error"]
    assert "SIGSEGV" in errors[2]
    assert "series_cells.py" in errors[4]  # where it hung
    assert "3 GiB" in errors[5]
    row = summarise_stability(run).iloc[0]
    assert row["first_failed_run"] == 2
    assert row["failure"].startswith("crash: killed by SIGSEGV")
    assert json.loads(row["outcomes"]) == {"ok": 5, "crash": 2, "timeout": 1, "oom": 1}
    assert row["n_processes"] == 5
    # Wilson's interval of 4 in 9, by statsmodels
    assert row["failure_low"] == pytest.approx(0.18878, abs=1e-5)
    assert row["failure_high"] == pytest.approx(0.73335, abs=1e-5)


def test_a_leak_of_1_mib_a_run_is_found_in_a_real_process(run, album, plant):
    plant("series_cells:leaking")
    measure_stability(run, "lanczos", run.images(str(album)), n_runs=25)
    row = summarise_stability(run).iloc[0]
    assert 0.9 < row["rss_slope_mib"] < 1.1
    assert row["rss_slope_low_mib"] > 0.8
    assert row["n_outputs"] == 1


def test_without_one_there_is_none_worth_a_tenth_of_it(run, album):
    measure_stability(run, "lanczos", run.images(str(album)), n_runs=25)
    row = summarise_stability(run).iloc[0]
    assert abs(row["rss_slope_mib"]) < 0.1
    assert row["n_processes"] == 1


def test_fresh_batch_and_plain_series_stand_apart(run, album):
    images = run.images(str(album)).head(1)
    restore(run, "lanczos", images)
    measure_stability(run, "lanczos", images, n_runs=4)
    measure_stability(run, "lanczos", images, n_runs=3, batch=2)
    measure_stability(run, "lanczos", images, n_runs=3, batch=2, fresh=True)
    table = summarise_stability(run)
    columns = ["experiment", "value", "n_processes"]
    assert table[columns].fillna("").to_numpy().tolist() == [
        ["stability", "", 1],
        ["stability", "2", 1],
        ["stability-fresh", "2", 3],
    ]
    assert table["same_as_quality"].all()
    assert table["rss_slope_mib"].isna().iloc[-1]


def test_a_series_goes_on_where_it_ended(run, album):
    images, said = run.images(str(album)), []
    first = measure_stability(run, "lanczos", images, n_runs=3, say=said.append)
    longer = measure_stability(run, "lanczos", images, n_runs=5, say=said.append)
    assert longer.head(3).equals(first)
    assert list(longer["run"]) == [1, 2, 3, 4, 5]
    assert said[-1].startswith("  1/1 cup: 2 ok")
    measure_stability(run, "lanczos", images, n_runs=5, say=said.append)
    assert said[-1].endswith("0 to compute")


def test_a_broken_picture_fails_in_every_run(run, album):
    (album / "cup.png").write_bytes(b"no picture")
    (album / "face.png").unlink()  # which would be measured in its place
    measure_stability(run, "lanczos", run.images(str(album)), n_runs=2)
    row = summarise_stability(run).iloc[0]
    assert json.loads(row["outcomes"]) == {"error": 2}
    assert summarise_stability(run)["wall_time_s"].isna().all()


def test_of_no_runs_nothing_is_asked(run, album):
    said = []
    records = measure_stability(
        run, "lanczos", run.images(str(album)), n_runs=0, say=said.append
    )
    assert records.empty
    assert said == ["stability, lanczos: 1 of 1 sources already there, 0 to compute"]
