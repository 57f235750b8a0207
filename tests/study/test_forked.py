"""Steps that are forked from one process: as they would be by themselves."""

import json
import os
import socket
import subprocess
import sys
import time
from unittest.mock import Mock

import psutil
import pytest

from evalkit.study import forked, job

STEP = "00_environment"


@pytest.fixture
def start_job(tmp_path):
    """Start the job of a step; with what the study tells it in its environment."""
    folder = tmp_path / "run" / "notebooks"
    folder.mkdir(parents=True)
    parameters = json.dumps({"run_dir": str(folder.parent)})
    jobs = []

    def start(variables, name=STEP):
        command = [sys.executable, "-I", "-S", job.__file__, name]
        command += [str(folder / f"{name}.ipynb"), parameters]
        streams = {"stderr": subprocess.PIPE, "text": True}
        jobs.append(
            subprocess.Popen(command, env={**os.environ, **variables}, **streams)
        )
        return jobs[-1]

    yield start
    for each in jobs:
        each.kill()
        each.wait()


@pytest.fixture
def steps():
    with forked.steps_socket() as steps:
        steps.start()
        yield steps
        steps.shutdown()


def wait_until(is_true):
    end = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < end, "still not so"
        time.sleep(0.02)


def test_its_notebook_is_executed_in_a_kernel_of_its_own(steps, start_job, tmp_path):
    # more than a pipe holds
    first = start_job({**steps.variables, "LONG": "x" * 120_000})
    assert first.communicate()[1] == ""
    assert first.returncode == 0
    text = (tmp_path / "run" / "notebooks" / f"{STEP}.ipynb").read_text("utf-8")
    assert all(
        cell["execution_count"]
        for cell in json.loads(text)["cells"]
        if cell["cell_type"] == "code"
    )


def test_its_error_is_a_line_of_the_jobs_and_its_status(steps, start_job):
    failed = start_job(steps.variables, "no_such_step")
    message = failed.communicate()[1]
    assert message.startswith("evalkit: ")
    assert "no_such_step" in message
    assert message.count("\n") == 1
    assert failed.returncode == 1


def test_a_job_that_is_killed_takes_step_and_kernel_along(steps, start_job):
    def processes():
        return set(psutil.Process().children(recursive=True))

    before = processes()
    killed = start_job(steps.variables)
    wait_until(lambda: len(processes() - before) >= 3)  # job, step and kernel
    killed.kill()
    killed.communicate()
    wait_until(lambda: len(processes() - before) <= 1)  # the server may be new


@pytest.mark.parametrize("listener", ["/no/such/socket", None])
def test_where_no_study_listens_it_is_the_step_itself(start_job, tmp_path, listener):
    alone = start_job({job.VARIABLE: listener} if listener else {}, "no_such_step")
    message = alone.communicate()[1]
    assert "no_such_step" in message
    assert alone.returncode == 1


def test_where_a_package_is_missing_it_is_the_step_itself(
    steps, start_job, monkeypatch
):
    monkeypatch.setattr(forked, "PRELOADED", "evalkit.study.no_such_module")
    alone = start_job(steps.variables, "no_such_step")
    message = alone.communicate()[1]
    assert "no_such_module" in message
    assert "the step starts an interpreter" in message
    assert message.splitlines()[-1].startswith("evalkit: ")


def test_a_folder_too_deep_for_a_socket_is_said_by_none(monkeypatch, tmp_path):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with forked.steps_socket() as steps:
        assert steps is None


def test_what_is_loaded_already_keeps_to_the_steps_threads():
    program = (
        "from evalkit.study import preloaded; preloaded._limit_threads(1); "
        "import cv2, threadpoolctl; pools = threadpoolctl.threadpool_info(); "
        "print(cv2.getNumThreads(), *{pool['num_threads'] for pool in pools})"
    )
    environ = {**os.environ, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, env=environ, text=True).split() == ["1"] * 2


KERNEL = """
import sys
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook
from evalkit.study import preloaded

kernel = {"kernel_manager_class": preloaded.manager_of(preloaded.Kernel())}
codes = [
    "import matplotlib.pyplot as plt; plt.plot([1, 2]);",
    "figure = plt.figure(); plt.plot([1]); plt.close(); figure",
    "from evalkit.figures import contact_sheet; import numpy as np\\n"
    "contact_sheet({'a': np.zeros((9, 9, 3), 'uint8')})",
    "import pandas; pandas.DataFrame({'a': [1]})",
    "import warnings; warnings.warn('beware')",
    "import os; print(os.getcwd())",
]
notebook = new_notebook(cells=[new_code_cell(code) for code in codes])
NotebookClient(notebook, **(kernel if sys.argv[1:] else {})).execute()
for cell in notebook.cells:
    for output in cell.outputs:
        shown = sorted(output.get("data", [])) or output["text"].split("py:")[-1]
        print(output["output_type"], shown)
"""


@pytest.mark.slow
def test_a_forked_kernel_shows_what_a_fresh_one_shows(tmp_path):
    command = [sys.executable, "-c", KERNEL]
    fresh, forked_one = (
        subprocess.check_output([*command, *more], cwd=tmp_path, text=True)
        for more in ([], ["forked"])
    )
    assert fresh.count("image/png") == 3
    assert forked_one == fresh


def test_a_job_that_ended_before_its_end_was_waited_for_is_no_fault(steps):
    ended, theirs = socket.socketpair()
    ended.close()
    handler = forked._Job.__new__(forked._Job)
    handler.request = ended
    worker = Mock()
    handler._end(worker)
    theirs.close()
    worker.stop.assert_called_once_with()
