"""The command as a person types it."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import StudyError
from evalkit.errors.one_line import errors_in_a_line
from evalkit.images import write_image
from evalkit.rating import Store
from evalkit.study import open_run


@pytest.fixture
def study_file(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nconditions: [lanczos]\n", encoding="utf-8")
    return file


def test_doctor_names_what_is_missing_and_how_to_get_it(told):
    status, lines, errors = told("doctor")
    assert status == 0, errors
    assert "processor" in lines
    assert "evalkit weights fetch gpen-bfr-512 --accept gpen" in lines
    assert "realesrgan-x4plus" in lines


def test_weights_list_has_a_line_for_each(told):
    lines = told("weights", "list")[1].splitlines()
    assert not [line for line in lines if "nan" in line.split()]
    (x4plus,) = [line for line in lines if line.split()[0] == "realesrgan-x4plus"]
    assert "here" in x4plus
    assert "package" in x4plus


def test_weights_verify_reads_what_a_package_carries(told):
    status, lines, errors = told("weights", "verify", "realesrgan-x4plus")
    assert status == 0, errors
    assert "package" in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("weights", "verify", "gpen-bfr-512"), "not on this machine: gpen-bfr-512"),
        (("weights", "fetch", "gpen-bfr-513"), "did you mean gpen-bfr-512?"),
        (("weights", "fetch", "lanczos"), "loads no weights"),
        (("study", "no-such.yaml"), "expected a study file at no-such.yaml"),
        (("study", "no-such.yaml"), "one to begin with is"),
        (("study", "."), "Is a directory"),
        (("rate", "."), "expected a plan"),
        (("rate", "no-such"), "expected a run folder"),
        (("rate", "--port", "70000"), "expected a run folder"),
        (("route", "no-such.png"), "found nothing"),
        (("route", "."), "none that can be read"),
        (("scores", "export", "all.csv", "."), "nobody has rated"),
        (("scores", "delete", "s01", "."), "nobody has rated"),
        (("scores", "import", "no-such.csv", "."), "no-such.csv: expected a file"),
        (("scores", "import", ".", "."), "expected a file"),
        (("scores", "import", "no-such.json", "."), "expected a saved session"),
    ],
)
def test_an_error_of_ours_is_one_line(refused, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(*arguments)


@pytest.mark.parametrize("arguments", [("no-such",), ("rate", "--port", "many"), ()])
def test_a_misuse_of_the_command_exits_2(told, arguments):
    assert told(*arguments)[0] == 2


def test_the_version_is_said(told):
    assert told("--version")[:2] == (0, "evalkit 0.1.0\n")


def test_python_runs_the_package():
    command = [sys.executable, "-m", "evalkit", "study", "no-such.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("evalkit: expected a study file")


@pytest.mark.parametrize("columns", [80, 120])
def test_the_list_of_weights_fits_the_terminal(told, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, lines, _ = told("weights", "list")
    assert max(map(len, lines.splitlines())) <= columns
    assert "gpen-bfr-2048" in lines


@pytest.mark.parametrize("name", ["gpen", "gpen-512"])
def test_a_restorer_or_a_family_stands_for_its_weights(refused, name):
    line = refused("weights", "fetch", name)  # nothing is here, nothing is accepted
    assert "weights gpen-bfr-512 are not here" in line or "gpen-bfr-256" in line


def test_the_doctor_begins_with_what_can_be_done_and_what_cannot(told):
    _, lines, _ = told("doctor")
    can, cannot, *_ = lines.splitlines()
    assert can.startswith("This machine can make pictures with")
    assert cannot.startswith(("It cannot", "It lacks nothing"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", 70_000], "port must be 0 to 65535; found 70000"),
        (["--port", -1], "port must be 0 to 65535; found -1"),
        (["--days", "nan"], "days must be more than 0"),
        (["--days", -1], "days must be more than 0"),
        (["--days", 1e300], "days must be more than 0"),
    ],
)
def test_a_number_out_of_its_range_is_refused(refused, tmp_path, options, said):
    assert said in refused("rate", tmp_path, *options)


def test_scores_are_exported_into_a_folder_that_is_there(refused, tmp_path):
    Store(tmp_path / "ratings.sqlite")
    file = tmp_path / "nonexistent" / "x.csv"
    line = refused("scores", "export", file, tmp_path)
    assert f"expected a folder at {file.parent}" in line
    assert not file.parent.exists()


def planned(folder: Path, plan: str) -> Path:
    (folder / "rating").mkdir(parents=True)
    (folder / "rating" / "plan.json").write_text(plan, encoding="utf-8")
    return folder


PLAN = '{"conditions": ["lanczos"], "mode": "acr", "minutes": 15, "seed": 0}'


@pytest.mark.parametrize(
    "plan", ["{", "[]", "{}", PLAN.replace("0}", '"0"}'), "[" * 50_000, "\0\0"]
)
def test_a_damaged_plan_is_told(refused, tmp_path, plan):
    line = refused("rate", planned(tmp_path / "run", plan))
    assert "plan.json is damaged" in line


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("records.jsonl", b"{}\n" + b"\0" * 99 + b"\n{}\n"),
        ("tables/images.csv", b"\xff\xfe\0\0"),
        ("tables/images.csv", b"a,b\n1,2,3\n"),
        ("tables/images.csv", b""),
        ("ratings.sqlite", b"no database" * 999),
    ],
)
def test_a_damaged_file_of_a_run_is_told_by_name(refused, tmp_path, file, content):
    run = planned(tmp_path / "run", PLAN)
    (run / file).parent.mkdir(exist_ok=True)
    (run / file).write_bytes(content)
    assert Path(file).name in refused("rate", run, "--port", 0)


def test_a_damaged_study_file_of_a_run_is_told(tmp_path):
    (tmp_path / "study.yaml").write_text("name: [", encoding="utf-8")
    with pytest.raises(StudyError, match=r"study\.yaml is not YAML"):
        _ = open_run(str(tmp_path)).study


@pytest.mark.parametrize(
    "url", ["garbage", "sqlite:////dev/null/x", "nosuch://x", "postgresql://a:b:c/"]
)
def test_ratings_elsewhere_that_cannot_be_used_are_told(
    refused, tmp_path, monkeypatch, url
):
    monkeypatch.setenv("EVALKIT_RATINGS", url)
    assert "ratings" in refused("scores", "export", tmp_path / "a.csv", tmp_path)


@pytest.mark.parametrize("variable", ["EVALKIT_RUNS", "EVALKIT_CACHE"])
def test_a_folder_that_cannot_be_made_is_told(
    refused, study_file, album, monkeypatch, variable
):
    write_image(album / "a.png", np.zeros((8, 8), np.uint8))
    monkeypatch.setenv(variable, "/dev/null/x")
    line = refused("study", study_file, "--images", album)
    assert "/dev/null/x" in line
    assert "Not a directory" in line


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    folder.mkdir()
    return folder


def test_a_study_that_is_refused_leaves_nothing(
    refused, study_file, album, monkeypatch
):
    runs = Path(os.environ["EVALKIT_RUNS"])
    (runs / "old").mkdir(parents=True)
    (runs / "latest").symlink_to("old")
    assert "holds no picture" in refused("study", study_file, "--images", album)
    (album / "a.png").write_bytes(b"no picture")
    line = refused("study", study_file, "--images", album)
    assert "a.png is not a picture" in line
    table = Path(line.rpartition("all reasons: ")[2].rstrip(")"))
    assert "a.png" in table.read_text(encoding="utf-8")
    write_image(album / "b.png", np.zeros((8, 8), np.uint8))
    condition = "{restorer: realesrgan-x4plus, weights: /no/such.pth}"
    study_file.write_text(f"name: mine\nconditions: [{condition}]", encoding="utf-8")
    assert "no file /no/such.pth" in refused("study", study_file, "--images", album)
    assert sorted(path.name for path in runs.iterdir()) == ["latest", "old"]
    assert (runs / "latest").readlink() == Path("old")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "evalkit: stopped; run it again to go on"),
        (OSError(28, "No space left on device", "/a/b"), 1, "/a/b: No space left"),
        (OSError(28, "No space left on device", "/a/b"), 1, "make room"),
        (PermissionError(13, "Permission denied", "/a"), 1, "give access"),
        (MemoryError(), 1, "memory is full"),
        (
            ZeroDivisionError("by\nzero"),
            1,
            "a fault of evalkit, ZeroDivisionError: by;",
        ),
    ],
)
def test_whatever_ends_a_command_is_one_line(told, monkeypatch, error, status, said):
    def fail():
        raise error

    monkeypatch.setattr("evalkit.study.diagnose", fail)
    found, _, errors = told("doctor")
    (line,) = errors.splitlines()
    assert found == status
    assert said in line


def test_a_fault_of_ours_leaves_its_trace(told, monkeypatch):
    monkeypatch.setattr("evalkit.study.diagnose", lambda: 1 / 0)
    line = told("doctor")[2]
    log = Path(line.partition("its trace is in ")[2].partition(":")[0])
    assert "ZeroDivisionError: division by zero" in log.read_text(encoding="utf-8")
    monkeypatch.setenv("EVALKIT_CACHE", "/dev/null/x")
    *trace, line = told("doctor")[2].strip().splitlines()
    assert trace[0].startswith("Traceback")
    assert line.startswith("evalkit: a fault of evalkit")


def test_a_reader_that_has_gone_ends_it_without_a_word(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", sys.stdout)
    with pytest.raises(SystemExit), errors_in_a_line():
        raise BrokenPipeError
    assert capsys.readouterr().err == ""


def test_scores_of_a_later_evalkit_are_refused_and_kept(refused, tmp_path):
    file = tmp_path / "ratings.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    line = refused("scores", "export", tmp_path / "all.csv", tmp_path)
    assert "found 99: a later evalkit made them" in line
