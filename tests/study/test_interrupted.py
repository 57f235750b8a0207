"""What the machine did is no result: it is tried again, counts nowhere, and is said."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evalkit.errors import StudyError
from evalkit.experiments import (
    measure_concurrency,
    measure_cost,
    measure_stability,
    summarise_cost,
    summarise_stability,
)
from evalkit.images import write_image
from evalkit.paths import file_name
from evalkit.provenance import machine
from evalkit.records import RecordStore, RecordsWriteError
from evalkit.study import restore
from evalkit.study.again import executed_notebooks, what_is_left
from evalkit.study.run_folder import open_run
from evalkit.tables import IMAGES

EVALKIT = [sys.executable, "-m", "evalkit.cli"]


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


@pytest.fixture
def noise(tmp_path) -> Path:
    """Four pictures whose outputs take 100 kB each, since nothing compresses them."""
    pixels = np.random.default_rng(0)
    for number in range(4):
        picture = pixels.integers(0, 256, (64, 64, 3), np.uint8)
        write_image(tmp_path / f"noise/{number}.png", picture)
    return tmp_path / "noise"


@pytest.fixture
def mount(tmp_path, need):
    """``mount(name, *options)``: a file system in memory, as only root can make it."""
    mounted = []

    def make(folder, *options):
        folder.mkdir(parents=True, exist_ok=True)
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)]
        done = subprocess.run(command, check=False, capture_output=True)
        need(done.returncode == 0, "run as root, who may mount a tmpfs")
        mounted.append(folder)
        return folder

    yield make
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=False)


def fill(folder, left_bytes):
    state = os.statvfs(folder)
    n_bytes = state.f_bavail * state.f_bsize - left_bytes
    (folder / "ballast").write_bytes(b"1" * n_bytes)


def outcomes(run):
    return run.records.read().set_index("source")["outcome"].to_dict()


def test_a_full_disk_is_no_result_and_with_room_again_there_is_one(mount, noise):
    disk = mount(noise.parent / "disk", "-o", "size=2m")
    run = open_run(str(disk / "run"))
    images, told = run.images(str(noise)).head(2), []
    fill(disk, 50_000)
    first = restore(run, "lanczos", images, say=told.append)
    assert set(first["outcome"]) == {"interrupted"}
    assert first["error"].str.contains("No space left on device").all()
    assert run.quality().empty
    (disk / "ballast").unlink()
    second = restore(run, "lanczos", images, say=told.append)
    assert list(second["outcome"]) == ["ok", "ok"]
    assert outcomes(run) == {"0": "ok", "1": "ok"}
    assert "0 of 2 sources already there, 2 to compute" in told[3]
    lines = (run.path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == 2 * ["interrupted"] + [
        "ok",
        "ok",
    ]
    assert len(list((run.path / "outputs/lanczos").iterdir())) == 2


def test_a_disk_too_full_for_the_record_ends_the_step_and_leaves_nothing(mount, noise):
    disk = mount(noise.parent / "disk", "-o", "size=2m")
    run = open_run(str(disk / "run"))
    images = run.images(str(noise)).head(2)
    restore(run, "bicubic", images, say=str)
    fill(disk, 0)
    with pytest.raises(RecordsWriteError, match="make room or give access"):
        restore(run, "lanczos", images, say=str)
    assert (run.records.read()["condition"] == "lanczos").sum() < 2
    assert set(run.quality()["outcome"]) == {"ok"}
    (disk / "ballast").unlink()
    assert list(restore(run, "lanczos", images, say=str)["outcome"]) == ["ok", "ok"]
    assert list(run.records.read()["outcome"]) == 4 * ["ok"]


def test_a_folder_that_cannot_be_written_is_no_result(mount, run, album):
    images = run.images(str(album))
    folder = mount(run.path / "outputs" / "lanczos", "-o", "ro")
    assert set(restore(run, "lanczos", images, say=str)["outcome"]) == {"interrupted"}
    subprocess.run(["umount", folder], check=True)
    assert set(restore(run, "lanczos", images, say=str)["outcome"]) == {"ok"}


def test_a_picture_that_goes_while_it_is_its_turn_is_no_result(run, album):
    images = run.images(str(album))
    kept = (album / "cup.png").read_bytes()
    (album / "cup.png").unlink()
    restore(run, "lanczos", images, say=str)
    assert outcomes(run) == {"cup": "interrupted", "face": "ok"}
    (album / "cup.png").write_bytes(kept)
    restore(run, "lanczos", images, say=str)
    assert outcomes(run) == {"cup": "ok", "face": "ok"}


def test_a_kill_from_outside_counts_nowhere_and_the_next_run_goes_on(run, album, plant):
    plant("series_cells:killed_once")
    images = run.images(str(album))
    measure_cost(run, "lanczos", images, repeats=2, say=str)
    records = run.records.read()
    assert list(records["outcome"]) == ["ok", "interrupted"]
    assert records["error"].iloc[-1].startswith("killed by SIGKILL")
    row = summarise_cost(run).iloc[0]
    assert (row["n_runs"], row["n_failed"]) == (0, 0)
    measure_cost(run, "lanczos", images, repeats=2, say=str)
    row = summarise_cost(run).iloc[0]
    assert (row["n_runs"], row["n_failed"]) == (2, 0)
    assert list(run.records.read()["outcome"]) == ["ok"] * 3


def test_a_series_goes_on_after_a_kill_and_fills_the_gap_next_time(run, album, plant):
    plant("series_cells:killed_once")
    images = run.images(str(album))
    found = measure_stability(run, "lanczos", images, n_runs=4, say=str)
    assert dict(zip(found["run"], found["outcome"], strict=True)) == {
        1: "ok",
        2: "interrupted",
        3: "ok",
        4: "ok",
    }
    row = summarise_stability(run).iloc[0]
    assert row["n_runs"] == 3
    assert row["failure_rate"] == 0
    found = measure_stability(run, "lanczos", images, n_runs=4, say=str)
    assert sorted(found["run"]) == [1, 2, 3, 4]
    assert set(found["outcome"]) == {"ok"}


def test_of_a_group_that_was_interrupted_nothing_is_kept(run, album, plant):
    plant("series_cells:killed_once")
    images = run.images(str(album))
    for expected in ({"interrupted"}, {"ok"}):
        found = measure_concurrency(
            run, "lanczos", images, instances=[2], repeats=1, say=str
        )
        assert set(found["outcome"]) == expected
    assert len(found) == 4


def test_three_in_a_row_end_the_step_with_a_line(run, noise, plant):
    plant("series_cells:killed")
    images = run.images(str(noise))
    with pytest.raises(StudyError, match=r"3 cells in a row, the last.*SIGKILL"):
        restore(run, "lanczos", images, say=str)
    assert list(run.records.read()["outcome"]) == ["interrupted"] * 3


def test_two_in_a_row_do_not(run, noise, plant):
    plant("series_cells:killed_but_for_2")
    restore(run, "lanczos", run.images(str(noise)), say=str)
    expected = {"0": "interrupted", "1": "interrupted", "2": "ok", "3": "interrupted"}
    assert outcomes(run) == expected


def test_what_failed_is_tried_again_when_asked_and_once(run, album, plant, monkeypatch):
    images = run.images(str(album))
    plant("series_cells:failing")
    restore(run, "lanczos", images, say=str)
    assert outcomes(run) == {"cup": "error", "face": "error"}
    plant("series_cells:series_cell")
    restore(run, "lanczos", images, say=str)
    assert outcomes(run) == {"cup": "error", "face": "error"}
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    monkeypatch.setenv("EVALKIT_RETRY_BEFORE", now)
    plant("series_cells:failing")
    restore(
        run, "lanczos", images.head(1), say=str
    )  # again in vain, and not a third time
    plant("series_cells:series_cell")
    restore(run, "lanczos", images, say=str)
    assert outcomes(run) == {"cup": "error", "face": "ok"}
    assert len(run.records.read()) == 2


def test_the_notebooks_of_what_is_tried_again_run_again(run):
    conditions = ["lanczos", "lanczos@scale=2", "bicubic"]
    (run.path / "notebooks").mkdir()
    for name in (
        *(f"20_restore-{file_name(condition)}" for condition in conditions),
        *("30_cost-lanczos", "30_cost-bicubic", "50_backends-x", "60_compare"),
    ):
        (run.path / f"notebooks/{name}.ipynb").touch()

    def again(**record):
        records = pd.DataFrame([{"restorer": "lanczos", **record}])
        found = executed_notebooks(run, records, conditions)
        return [Path(name).stem for name in found]

    assert again(experiment="quality") == [
        "20_restore-lanczos",
        "20_restore-lanczos@scale=2",
    ]
    assert again(experiment="batch", value="4") == ["30_cost-lanczos"]
    assert again(experiment="stability") == []  # not a step of this study
    assert again(experiment="backend", restorer="onnx-x") == ["50_backends-x"]


def test_what_is_left_is_told_but_not_what_had_to_fail(run):
    pictures = [{"source": "cup", "sha256": "1"}, {"source": "bad", "error": "cut off"}]
    run.write(IMAGES, IMAGES.frame(pictures))
    shared = {"source": "cup", "source_sha256": "1", "condition": "lanczos", "run": 1}
    shared |= {"phase": "cold", "machine": machine()["machine"], "error": "why"}
    for number, record in enumerate(
        (
            {"experiment": "cost", "outcome": "oom"},
            {"experiment": "quality", "outcome": "interrupted", "error": "disk full"},
            {"experiment": "budget", "value": "64", "outcome": "oom"},
            {"experiment": "concurrency", "value": "8", "outcome": "crash"},
            {"experiment": "size", "outcome": "error", "machine": "another"},
            {"experiment": "tile", "outcome": "ok"},
            {"experiment": "tile", "outcome": "error", "source": "bad"},
        )
    ):
        run.records.append([{**shared, "key": f"k{number}", **record}])
    lost, failed = what_is_left(run, "2026-01-01T00:00:00.000+00:00")
    assert lost.startswith("1 cell was interrupted by the machine: disk full; run it")
    assert failed.startswith("1 cell was left failed by earlier runs")


@pytest.mark.timeout(900)
@pytest.mark.slow
def test_the_next_study_has_what_was_interrupted_and_with_retry_what_failed(album):
    file = album.parent / "small.yaml"
    file.write_text(
        "name: small\nconditions: [lanczos]\nrepeats: 1\n", encoding="utf-8"
    )
    run = Path(os.environ["EVALKIT_RUNS"]) / "small-album"

    def told(*more):
        command = [*EVALKIT, "study", file, "--images", album, *more]
        command += ["--", "--until", "restore"]
        return subprocess.check_output(command, text=True, stderr=subprocess.STDOUT)

    def plant(source, outcome, error):
        """Make another outcome of the record of one output, and remove that."""
        path = run / "records.jsonl"
        rows = [json.loads(line) for line in path.open(encoding="utf-8")]
        asked = ("lanczos", source, "quality")
        names = ("condition", "source", "experiment")
        (row,) = [row for row in rows if tuple(map(row.get, names)) == asked]
        (run / row["output"]).unlink()
        row |= {"outcome": outcome, "error": error, "output": None}
        lines = [json.dumps(row) + "\n" for row in rows]
        path.write_text("".join(lines), encoding="utf-8")

    told()
    plant("cup", "interrupted", "OSError: [Errno 28] No space left on device")
    plant("face", "error", "RuntimeError: planted")
    said = told()
    assert "1 new records" in said
    assert "interrupted" not in said
    assert "1 cell was left failed by earlier runs and not tried again" in said
    assert set(RecordStore(run).read()["outcome"]) == {"ok", "error"}
    said = told("--retry")
    assert "1 new records" in said
    assert "left failed" not in said
    assert set(RecordStore(run).read()["outcome"]) == {"ok"}
    assert len(list((run / "outputs/lanczos").iterdir())) == 2
