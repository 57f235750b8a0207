"""A subject's wish to be forgotten reaches every file of a run; the rest is said."""

import sqlite3
import subprocess
import sys

import pytest
from answers import fill, scores

from evalkit.comparisons import analyse_scores
from evalkit.errors import UnknownNameError
from evalkit.report import write_report
from evalkit.study import forget_subject, open_run, ratings_store
from evalkit.study.run_folder import write_text
from evalkit.tables import IMAGES

NAME = "zebra-unique-9"


@pytest.fixture
def run(tmp_path):
    """A run with tables and a report of two subjects."""
    import pandas as pd

    found = open_run(str(tmp_path / "run"))
    found.write(IMAGES, IMAGES.frame([]))
    panel = pd.DataFrame({"subject": [NAME, "s02"] * 2, "score": [1, 2, 3, 4]})
    panel["condition"] = ["bicubic", "bicubic", "lanczos", "lanczos"]
    fill(ratings_store(found), scores(panel.assign(is_repeat=False)))
    analyse_scores(found, say=lambda _: None)
    write_report(found.path)
    for name in ("70_rate", "80_scores", "90_verdict"):
        write_text(found.path / "notebooks" / f"{name}.ipynb", f'"{NAME}"')
    for name in (f"{NAME}-part-1-of-2", "s02"):
        write_text(found.path / "rating" / "packs" / f"{name}.html", "sealed")
    return found


def bytes_of(run) -> bytes:
    files = [path for path in run.path.rglob("*") if path.is_file()]
    return b"".join(path.name.encode() + path.read_bytes() for path in files)


def test_nothing_of_a_subject_is_left_in_a_run_that_is_served(run):
    server = ratings_store(run)
    assert len(server.scores()) == 4
    assert NAME.encode() in (run.path / "tables" / "scores_subjects.csv").read_bytes()
    write_text(run.path / "mine.txt", f"ask {NAME} again, not {NAME}9")
    write_text(run.path / "other.txt", f"{NAME}9")
    removed, left = forget_subject(run, NAME)
    (run.path / "other.txt").unlink()
    names = {path.name for path in removed}
    assert {"scores_mos.csv", "scores_subjects.md", "report.html"} <= names
    assert {"70_rate.ipynb", "80_scores.ipynb", f"{NAME}-part-1-of-2.html"} <= names
    assert "s02.html" not in names
    assert left[0] == f"mine.txt names {NAME}"
    assert "exported, copied, packed or sent" in left[-1]
    (run.path / "mine.txt").unlink()
    assert NAME.encode() not in bytes_of(run)
    assert len(server.scores()) == 2
    assert len(analyse_scores(run, say=lambda _: None)["scores_subjects"]) == 1
    with pytest.raises(UnknownNameError, match=NAME):
        forget_subject(run, NAME)


def test_the_command_says_what_it_removed_and_what_it_cannot_reach(run):
    write_text(run.path / "study.yaml", "name: run\nrating: {subjects: 2}\n")
    command = [sys.executable, "-m", "evalkit.cli", "scores", "delete", "s02"]
    done = subprocess.run(
        [*command, str(run.path)], check=True, capture_output=True, text=True
    )
    assert done.stdout == "s02 is deleted\n"
    assert "Removed; evalkit study makes them anew: " in done.stderr
    assert "begins an empty session that is called s02 again" in done.stderr
    assert "delete those by hand" in done.stderr


def test_letters_of_a_picture_are_no_name(run):
    write_text(run.path / "notebooks" / "10_images.ipynb", f"{'A' * 60}/s02+")
    write_text(run.path / "notebooks" / "20_restore.ipynb", "runs/s02/")
    _, left = forget_subject(run, "s02")
    assert left[0] == "notebooks/20_restore.ipynb names s02"
    assert "names" not in " ".join(left[1:])


def test_a_reader_who_holds_an_older_state_is_told(run, monkeypatch):
    monkeypatch.setattr("evalkit.rating._database.WAIT_S", 0.1)
    file = run.path / "ratings.sqlite"
    with sqlite3.connect(file, isolation_level=None) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM subjects").fetchall()
        _, left = forget_subject(run, NAME)
        reader.execute("COMMIT")
    assert "ratings.sqlite-wal still holds it" in left[0]
