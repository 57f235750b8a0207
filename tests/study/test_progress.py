"""What a study shows of its progress: one line, whatever its steps are called."""

import json
import os
import pty
import subprocess
import sys
import time

import pytest

from evalkit.study import progress as _progress
from evalkit.study.progress import (
    FILE,
    LOG,
    MESSAGES,
    STEP,
    Progress,
    follow,
    tell_progress,
)

FOLLOW = """
import subprocess, sys
from pathlib import Path
from evalkit.study.progress import follow
run = Path(sys.argv[1])
with subprocess.Popen([sys.executable, "-c", sys.argv[2]], cwd=run) as process:
    follow(process, run, print)
"""


@pytest.fixture
def run(tmp_path):
    for name in (LOG, MESSAGES):
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def steps(*told, code=0, log=""):
    """A program that tells this, as Snakemake and its steps do, and ends."""
    lines = "".join(json.dumps(facts) + "\n" for facts in told)
    return (
        f"import sys, time; open({LOG!r}, 'w').write({log!r}); "
        f"open({MESSAGES!r}, 'a').write({lines!r}); time.sleep(0.5); sys.exit({code})"
    )


def followed(run, program):
    said = []
    with subprocess.Popen([sys.executable, "-c", program], cwd=run) as process:
        follow(process, run, said.append)
    return said


def begun(name):
    return {"step": name, "begins": True}


def test_a_step_tells_where_it_is_and_nobody_else_does(run, monkeypatch):
    tell_progress(begins=True)
    assert (run / MESSAGES).read_bytes() == b""
    monkeypatch.setenv(FILE, str(run / MESSAGES))
    monkeypatch.setenv(STEP, "20_restore outputs:ü")
    tell_progress(picture=1, of=2)
    told = json.loads((run / MESSAGES).read_text(encoding="utf-8"))
    assert told == {"step": "20_restore outputs:ü", "picture": 1, "of": 2}


def test_the_line_says_step_picture_and_time_left(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    progress = Progress()
    assert progress.line() == ""
    progress.take(begun("10_images"))
    assert progress.line() == "step 1, 10_images"
    with monkeypatch.context() as patch:
        patch.setenv("EVALKIT_LANG", "zh")
        assert progress.line() == "步骤 1，10_images"
    progress.total = 9
    progress.take({"step": "10_images", "ends": True})
    progress.take(begun("20_restore lanczos"))
    for picture in (1, 2, 3):
        clock[0] += 30.0
        progress.take({"step": "20_restore lanczos", "picture": picture, "of": 7})
        told = progress.line()
    # 5 of 7 are left at 30 s each
    assert told == "step 2 of 9, 20_restore lanczos: picture 3 of 7, about 2 min left"
    clock[0] += 5 * 30.0
    assert progress.line() == "step 2 of 9, 20_restore lanczos: picture 3 of 7"
    # the next experiment of the same step counts its pictures anew
    progress.take({"step": "20_restore lanczos", "picture": 1, "of": 2})
    assert progress.line() == "step 2 of 9, 20_restore lanczos: picture 1 of 2"


def test_of_steps_side_by_side_the_one_heard_of_last_is_shown():
    progress = Progress()
    progress.take(begun("60_compare"))
    progress.take(begun("70_rate"))
    assert progress.line() == "step 2, 70_rate"
    progress.take({"step": "70_rate", "ends": True})
    assert progress.line() == "step 1, 60_compare"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.2, "1 s"), (89, "89 s"), (91, "2 min"), (5399, "90 min"), (9000, "2 h")],
)
def test_time_is_rounded_as_a_person_would(seconds, told):
    assert _progress.rounded_time(seconds) == told


def test_without_a_terminal_a_line_is_said_when_a_step_begins(run):
    told = [begun("10_images"), {"step": "10_images", "ends": True}]
    told += [begun("20_restore lanczos")]
    told += [{"step": "20_restore lanczos", "picture": n, "of": 9} for n in range(1, 9)]
    table = "job      count\n-----  -------\nstudy        1\ntotal        3\n"
    assert followed(run, steps(*told, log=table)) == [
        "step 1 of 2, 10_images",
        "step 2 of 2, 20_restore lanczos",
    ]


def test_a_failed_and_a_killed_step_are_told_in_a_line_each(run, capfd):
    error = "30_cost stopped: ValueError: no\n  see \x1b[31mred\x1b[0m"
    told = [begun("30_cost"), {"step": "30_cost", "error": error}, begun("70_rate")]
    followed(run, steps(*told, code=1))
    assert capfd.readouterr().err.splitlines() == [
        r"evalkit: 30_cost stopped: ValueError: no see \x1b[31mred\x1b[0m",
        "evalkit: 70_rate was killed",
    ]


def test_on_a_terminal_it_is_one_line_that_fits_whatever_a_step_is_called(run):
    name = "20_restore outputs:\x1b[2J\u202e\n" + "图" * 200
    told = [begun(name), {"step": name, "picture": 3, "of": 7}]
    reader, terminal = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", FOLLOW, str(run), steps(*told)],
        env={**os.environ, "COLUMNS": "68"},
        stdout=terminal,
    ):
        os.close(terminal)
        shown = b""
        while data := _read(reader):
            shown += data
    os.close(reader)
    text = shown.decode()
    assert "\n" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    lines = [line for line in text.split("\r") if line.strip()]
    # 67 columns, of which a Chinese letter takes two
    name = r"20_restore outputs:\x1b[2J\u202e " + "图" * 5
    assert lines == [f"step 1, {name}: picture 3 of 7"]
    assert text.endswith(f"\r{' ' * 67}\r")  # nothing of it stays


def _read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # EIO: the other side has ended
        return b""


def test_a_half_written_line_is_waited_for(run):
    program = (
        f"import time; told = open({MESSAGES!r}, 'a', buffering=1); "
        """told.write('{"step": "10_im'); told.flush(); time.sleep(0.4); """
        """told.write('ages", "begins": true}\\n'); time.sleep(0.2)"""
    )
    assert followed(run, program) == ["step 1, 10_images"]
