import json
import os
import shlex
import sys
import time

import numpy as np
import psutil
import pytest

from evalkit import cli
from evalkit.errors import (
    CancelledError,
    EvalkitError,
    OutOfMemoryError,
    SettingError,
    UnknownNameError,
)
from evalkit.restorers import (
    command,
    condition_name,
    load_restorer,
    parse_condition,
    plan_restorer,
)

SCRIPT = """
import sys, time
from pathlib import Path
import cv2
picture = cv2.imread(sys.argv[1], cv2.IMREAD_UNCHANGED)
cv2.imwrite(sys.argv[2], cv2.resize(255 - picture, None, fx=2, fy=2, interpolation=0))
"""


@pytest.fixture
def script(tmp_path):
    """``script(text)``: a command that runs a script of that text, accepted."""

    def write(text=SCRIPT, more=""):
        path = tmp_path / "someones restorer.py"
        path.write_text(text, encoding="utf-8")
        words = shlex.join([sys.executable, str(path)])
        typed = f"{words} {{in}} {{out}} {more}".strip()
        command.accept([typed])
        return f"command:{typed}"

    return write


@pytest.fixture
def picture():
    return np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def test_a_program_restores_a_picture_and_its_memory_is_said(script, picture):
    made = load_restorer(script()).restore(picture)
    np.testing.assert_array_equal(made.image[::2, ::2], 255 - picture)
    assert made.image.shape == (12, 16, 3)
    (note,) = (n for n in made.notes if n.startswith("peak memory of the program"))
    assert float(note.split(": ")[1].removesuffix(" MiB")) > 10
    assert made.stages_s.keys() == {"write", "program", "read"}


def test_the_peak_memory_is_that_of_the_programs_children(script, picture):
    child = "held = bytearray(300 * 2**20); import time; time.sleep(1)"
    text = (
        SCRIPT + f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}])"
    )
    made = load_restorer(script(text)).restore(picture)
    (note,) = (n for n in made.notes if n.startswith("peak memory of the program"))
    assert float(note.split(": ")[1].removesuffix(" MiB")) > 300


def test_no_shell_reads_the_arguments(script, picture, tmp_path):
    condition = script(more="'; touch trapped' $HOME `touch trapped` > trapped")
    load_restorer(condition).restore(picture)
    assert not list(tmp_path.rglob("trapped"))


@pytest.mark.slow
def test_a_program_that_takes_too_long_is_ended_with_all_that_it_started(
    script, picture, tmp_path
):
    text = (
        "import subprocess, sys, time\n"
        "print('loading', flush=True)\n"
        "wait = [sys.executable, '-c', 'import time; time.sleep(99)']\n"
        "child = subprocess.Popen(wait)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(99)\n"
    )
    slow = load_restorer(script(text), timeout_s=5)
    with pytest.raises(EvalkitError, match=r"after 5 s.*timeout_s.*loading"):
        slow.restore(picture)
    child = int((tmp_path / "pid").read_text(encoding="utf-8"))
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie"


def test_it_can_be_cancelled(script, picture):
    start = time.monotonic()
    answers = iter([False, False])
    with pytest.raises(CancelledError):
        load_restorer(script("import time; time.sleep(99)")).restore(
            picture, cancel=lambda: next(answers, True)
        )
    assert time.monotonic() - start < 60


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        (
            "print('no such model: x'); exit(3)",
            EvalkitError,
            "exit code 3.*no such model",
        ),
        ("exit('vkAllocateMemory failed')", OutOfMemoryError, "out of memory"),
        ("pass", EvalkitError, "made no picture: expected one at {out}, found 0"),
    ],
)
def test_a_failure_is_an_error_with_the_programs_last_words(
    text, kind, told, script, picture
):
    with pytest.raises(kind, match=told):
        load_restorer(script(text)).restore(picture)


def test_a_picture_of_another_name_or_format_beside_it_is_taken(script, picture):
    text = SCRIPT.replace("sys.argv[2],", "sys.argv[2].replace('.png', '_4x.bmp'),")
    assert load_restorer(script(text)).restore(picture).image.shape == (12, 16, 3)


def test_a_program_that_nobody_here_has_named_never_runs(tmp_path, picture):
    typed = f'{sys.executable} -c \'open("trapped", "w")\' {{in}} {{out}}'
    for name in (f"command:{typed}", condition_name(f"command:{typed}")):
        with pytest.raises(SettingError, match=r"only where you name it yourself"):
            load_restorer(name)
    command.accept([typed.replace("trapped", "another")])
    with pytest.raises(SettingError, match=r"accept: \[command\]"):
        load_restorer(f"command:{typed}")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("program -i {in}", "expected {in} and {out} among the arguments"),
        ("no-such-program-here {in} {out}", "there is no program .*no-such-program"),
        ("program 'that does not end {in} {out}", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_work_is_refused_before_anything_runs(typed, told):
    if "quotation" not in told:
        command.accept([typed])
    with pytest.raises(SettingError, match=told):
        plan_restorer(f"command:{typed}")
    with pytest.raises(UnknownNameError, match="command:<command>"):
        plan_restorer("command")


def test_a_condition_is_named_by_the_script_or_a_label_and_runs_by_that_name(
    script, picture
):
    typed = script()
    name = condition_name(typed, timeout_s=60)
    assert name == "command:someones restorer@timeout_s=60"
    made = load_restorer(**parse_condition(name)).restore(picture)
    assert made.image.shape == (12, 16, 3)
    other = script(more="-n another-model")
    with pytest.raises(SettingError, match="call one of the two otherwise"):
        condition_name(other)
    assert condition_name(other, label="another") == "command:another"
    assert plan_restorer("command:another").requested["command"].endswith("model")


def test_what_is_recorded_names_no_path_and_changes_with_the_script(script, tmp_path):
    before = dict(plan_restorer(script()).resolved)
    assert str(tmp_path) not in json.dumps(before)
    assert before["arguments"] == ["someones restorer.py", "{in}", "{out}"]
    assert plan_restorer(script(SCRIPT + "#")).resolved != before


def test_parameters_load_the_same_again(script):
    parameters = json.loads(json.dumps(load_restorer(script()).parameters))
    assert load_restorer(**parameters).parameters == parameters


def test_only_restore_and_compare_accept_what_is_typed(monkeypatch):
    typed = f"command:{sys.executable} {{in}} {{out}}@timeout_s=5"

    def accepted(*arguments):
        monkeypatch.setenv(command.VARIABLE, '["inherited"]')
        cli._accept_commands([*arguments])
        return json.loads(os.environ.get(command.VARIABLE, "[]"))

    whole = f"{sys.executable} '{{in}}' '{{out}}'"
    for name in ("restore", "compare"):
        assert accepted(name, "a.png", "--with", typed) == [whole]
        assert accepted(name, f"--with={typed}") == [whole]
        assert accepted(name, "--params", "of-others.json") == []
    for name in ("serve", "collect", "rate", "study"):
        assert accepted(name, "--with", typed) == []
