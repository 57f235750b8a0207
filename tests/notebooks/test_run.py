"""Every notebook runs by itself under papermill, from any folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from evalkit.paths import SHIPPED
from evalkit.study import declared_parameters
from evalkit.study.experiment import asked_for, by_notebook

PAPERMILL = [sys.executable, "-m", "papermill", "--no-progress-bar"]
OF_30_COST = by_notebook(asked_for(), 1)["30_cost"]["experiments"]
SLOW = {"20_restore", "30_cost", "40_stability", "50_backends"}
SLOW |= {"10_images", "60_compare", "70_rate", "80_scores", "90_verdict"}
NOTEBOOKS = [
    pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in SLOW))
    for path in sorted((SHIPPED / "notebooks").glob("*.ipynb"))
]


def papermill(notebook: Path, folder: Path, *arguments: str):
    return subprocess.run(
        [*PAPERMILL, str(notebook), "out.ipynb", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def outputs(folder: Path) -> str:
    cells = json.loads((folder / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    return json.dumps([c["outputs"] for c in cells if c["cell_type"] == "code"])


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_runs_by_itself_on_two_tiny_pictures(notebook, album, tmp_path):
    takes_images = "images" in declared_parameters(notebook.stem)
    arguments = ["-p", "images", str(album)] if takes_images else []
    if notebook.stem == "50_backends":
        arguments += ["-p", "network", "realesrgan-animevideo-x4"]
        arguments += ["-p", "longest_px", "40"]
    if notebook.stem == "20_restore":
        arguments += ["-p", "condition", "realesrgan-animevideo-x4"]
    if notebook.stem in ("30_cost", "40_stability"):
        arguments += ["-p", "condition", "lanczos"]
    if notebook.stem in ("60_compare", "70_rate"):
        arguments += ["-y", "conditions: [lanczos, bicubic]"]
    done = papermill(notebook, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (Path(os.environ["EVALKIT_RUNS"]) / "adhoc").is_dir()
    assert "Traceback" not in outputs(tmp_path)
    if notebook.stem in ("40_stability", "50_backends"):
        cells = nbformat.read(tmp_path / "out.ipynb", 4)["cells"]
        (said,) = cells[-1]["outputs"]
        assert re.search(r"\d", said["data"]["text/plain"])
        assert "<table" not in said["data"]["text/html"]


def test_an_error_of_ours_is_its_sentence_and_the_cell_has_failed():
    mistake = "import evalkit\nevalkit.load_restorer('lancsoz')"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(mistake)])
    with pytest.raises(CellExecutionError, match="did you mean lanczos"):
        NotebookClient(notebook).execute()
    (output,) = notebook["cells"][0]["outputs"]
    assert output["output_type"] == "error"
    said, where = output["traceback"]
    assert said.startswith("UnknownNameError: unknown restorer 'lancsoz'")
    assert where == "  line 2 of a cell: evalkit.load_restorer('lancsoz')"


@pytest.mark.slow
def test_papermill_with_a_misspelt_parameter_is_refused(tmp_path):
    notebook = SHIPPED / "notebooks" / "30_cost.ipynb"
    done = papermill(notebook, tmp_path, "-p", "conditon", "lanczos")
    assert done.returncode != 0
    assert "30_cost has no parameter 'conditon'" in done.stderr
    assert "condition: str" in done.stderr
    cells = json.loads((tmp_path / "out.ipynb").read_text(encoding="utf-8"))["cells"]
    shown = [o for c in cells for o in c.get("outputs", []) if "traceback" in o]
    (lines,) = [output["traceback"] for output in shown]
    assert len(lines) == 2  # the sentence and the cell's line, without all calls
    assert lines[0].startswith("StudyError: 30_cost has no parameter 'conditon'")


@pytest.mark.soak
def test_every_experiment_of_30_cost_makes_its_tables_on_a_cpu(album, tmp_path):
    notebook = SHIPPED / "notebooks" / "30_cost.ipynb"
    given = ["-p", "images", str(album), "-p", "condition", "realesrgan-animevideo-x4"]
    given += ["-p", "trace", "True", "-y", f"experiments: {OF_30_COST}"]
    done = papermill(notebook, tmp_path, *given)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = Path(os.environ["EVALKIT_RUNS"]) / "adhoc" / "tables"
    tables = {path.stem.partition("-")[0] for path in folder.glob("*.csv")}
    others = {"memory", "experiments", "timeline"}
    assert tables == {"images", "cost"} | others
