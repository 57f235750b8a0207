"""The step that Snakemake runs: what it gives its kernel, and what it tells."""

import json
import os
import subprocess
import sys

import pytest

from evalkit.errors import StudyError
from evalkit.study import notebooks as _notebooks
from evalkit.study.progress import FILE


@pytest.fixture
def told(tmp_path, monkeypatch):
    file = tmp_path / "told.jsonl"
    file.touch()
    monkeypatch.setenv(FILE, str(file))
    monkeypatch.delenv("OPENCV_FOR_THREADS_NUM", raising=False)
    monkeypatch.delenv("EVALKIT_STEP", raising=False)
    return lambda: [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_a_step_tells_its_name_and_limits_opencv_to_its_threads(
    tmp_path, monkeypatch, told
):
    seen = {}
    monkeypatch.setattr(_notebooks, "run_notebook", lambda *_: seen.update(os.environ))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    given = {"run_dir": "/r", "condition": "lanczos"}
    _notebooks.run_step("20_restore", tmp_path / "out.ipynb", given)
    name = "20_restore lanczos"
    assert told() == [{"step": name, "begins": True}, {"step": name, "ends": True}]
    count = "import cv2, torch; print(cv2.getNumThreads(), torch.get_num_threads())"
    threads = subprocess.check_output([sys.executable, "-c", count], env=seen)
    assert threads.split() == [b"1", b"1"]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (StudyError("30_cost stopped: x"), "30_cost stopped: x"),
        (RuntimeError("Kernel died"), "30_cost stopped: RuntimeError('Kernel died')"),
    ],
)
def test_a_step_that_fails_tells_why(tmp_path, monkeypatch, told, error, says):
    def fail(*_):
        raise error

    monkeypatch.setattr(_notebooks, "run_notebook", fail)
    with pytest.raises(type(error)):
        _notebooks.run_step("30_cost", tmp_path / "out.ipynb", {})
    assert told()[-1] == {"step": "30_cost", "error": says}
