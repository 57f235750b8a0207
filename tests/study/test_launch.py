"""``evalkit study`` from a file to a report, killed and gone on with."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from evalkit.images import read_image, write_image
from evalkit.rating import Session
from evalkit.records import RecordStore
from evalkit.study import open_run, ratings_store

EVALKIT = [sys.executable, "-m", "evalkit.cli"]


def study(*arguments: str, expect: int = 0) -> str:
    done = subprocess.run(
        [*EVALKIT, "study", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def runs() -> Path:
    return Path(os.environ["EVALKIT_RUNS"])


def test_a_dry_run_says_what_would_be_done_and_does_nothing(album, study_file, runs):
    told = study(study_file, "--images", album, "--", "-np")
    assert "restore" in told
    assert "This was a dry-run" in told
    assert "report" not in told.rpartition("This was a dry-run")[2]
    assert not (runs / "mine-album" / "records.jsonl").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_is_made_then_nothing_then_only_what_is_new_or_rated(
    album, study_file, runs
):
    told = study(study_file, "--images", album)
    run = runs / "mine-album"
    lines = told.splitlines()
    assert lines[0] == f"images: {album}; 2 timed runs of each cell"
    steps = [line for line in lines if line.startswith("step ")]
    assert len(steps) == 10
    assert "20_restore lanczos" in {step.partition(", ")[2] for step in steps}
    assert lines[len(steps) + 1].startswith("10 new records, 0 were there")
    assert (runs / "latest").resolve() == run.resolve()
    for name in (
        "study.yaml",
        "environment.json",
        "records.parquet",
        "report.html",
        "tables/images.csv",
        "tables/cost.md",
        "tables/verdicts.csv",
        "figures/60_cup.png",
        "snakemake.log",
        "notebooks/90_verdict.ipynb",
    ):
        assert (run / name).is_file(), name
    records = RecordStore(run).read()
    assert set(records["outcome"]) == {"ok"}
    # 2 conditions: 2 pictures each, and 1 cold and 2 warm runs of one picture
    assert len(records) == 2 * 2 + 2 * 3

    told = study(study_file, "--images", album)
    assert "nothing to compute, 10 were there" in told
    assert "step " not in told

    assert not [*run.glob("figures/*.pdf")]
    write_image(album / "new.png", read_image(album / "cup.png")[:32])
    told = study(study_file, "--images", album, "--pdf")
    assert "2 new records, 10 were there" in told
    assert "new" in (run / "tables" / "images.csv").read_text(encoding="utf-8")
    pdfs = {pdf.stem for pdf in run.glob("figures/*.pdf")}
    assert pdfs == {png.stem for png in run.glob("figures/*.png")}
    if folder := os.environ.get("EVALKIT_KEEP_RUN"):  # CI makes the site of it
        shutil.copytree(run, folder)

    def changed_at() -> dict[str, float]:
        files = [*(run / "notebooks").iterdir(), run / "report.html"]
        return {file.name: file.stat().st_mtime for file in files}

    before = changed_at()
    store = ratings_store(open_run(str(run)))
    session = Session(store, "s01", run / "rating" / "stimuli")
    item = session.handle({"type": "start"})["item"]["id"]
    score = {"item": item, "attempt": "1", "value": 2, "seconds": 1.0}
    session.handle({"type": "answer", **score})
    study(study_file, "--images", album)
    after = changed_at()
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {"80_scores.ipynb", "90_verdict.ipynb", "report.html"}


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_it_goes_on_and_leaves_no_orphan(album, study_file, runs):
    run = runs / "mine-album"
    n_before = 0
    for kill_after_records in (1, 3):
        process = subprocess.Popen(
            [*EVALKIT, "study", str(study_file), "--images", str(album)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while len(RecordStore(run).cells()) < kill_after_records:
            assert process.poll() is None, "ended before it could be killed"
            time.sleep(0.05)
        family = descendants(process.pid)
        assert family, "nothing to orphan"
        process.send_signal(signal.SIGKILL)
        process.wait()
        _gone, alive = psutil.wait_procs(family, timeout=15)
        assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
        n_records = len(RecordStore(run).read())
        assert n_records >= max(kill_after_records, n_before)
        n_before = n_records
    told = study(study_file, "--images", album)
    assert f"{10 - n_before} new records, {n_before} were there" in told
    assert (run / "report.html").is_file()


def test_a_second_one_beside_it_is_refused(album, light_file, runs):
    process = subprocess.Popen(
        [*EVALKIT, "study", str(light_file), "--images", str(album)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    while not (runs / "mine-album" / "study.yaml").exists():
        time.sleep(0.05)
    told = study(light_file, "--images", album, expect=1)
    assert "is being run by another process" in told
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_stopped_by_hand_it_says_so_in_a_line_and_leaves_nothing_running(
    album, study_file, runs, tmp_path
):
    run = runs / "mine-album"
    with (tmp_path / "errors").open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*EVALKIT, "study", str(study_file), "--images", str(album)],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
            # a program that a shell has put behind ignores Ctrl-C, and hands that on
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        while not RecordStore(run).cells():
            assert process.poll() is None, "ended before it could be stopped"
            time.sleep(0.05)
        family = descendants(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        assert process.wait() == 130
        _gone, alive = psutil.wait_procs(family, timeout=15)
        assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
        told = Path(errors.name).read_text(encoding="utf-8")
    assert told.endswith("evalkit: stopped; run it again to go on\n")
    assert told.count("evalkit:") == 1
    assert "Traceback" not in told
    assert "Error" not in told
    assert (runs / "latest").resolve() == run.resolve()  # it has its pictures


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_home_and_a_tmpdir_that_cannot_be_written_stop_nothing(
    album, light_file, monkeypatch
):
    for name in ("HOME", "TMPDIR"):
        monkeypatch.setenv(name, "/proc")  # where nobody, not even root, can write
    assert "report: " in study(light_file, "--images", album)


def test_a_study_with_a_mistake_says_so_without_a_traceback(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("name: bad\nconditions: [gpen-513]\n", encoding="utf-8")
    told = study(file, expect=1)
    assert "unknown restorer 'gpen-513'; known:" in told
    assert "Traceback" not in told


def test_published_outputs_that_cannot_be_had_are_left_out(tmp_path, monkeypatch):
    from evalkit.study import Study
    from evalkit.study.launch import fetch_weights

    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    study = Study(name="a", conditions=["lanczos", "outputs:gpen-official"])
    said = []
    assert [*fetch_weights(study, said.append)] == ["lanczos"]
    assert said[0].startswith("outputs:gpen-official is left out: ")
