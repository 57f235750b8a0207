"""Notebooks are thin, committed without outputs, and run by themselves."""

import ast
import json
import re
import subprocess
from pathlib import Path

import pytest

from evalkit.paths import SHIPPED, runs_dir
from evalkit.study import run_study

NOTEBOOKS = sorted((SHIPPED / "notebooks").glob("*.ipynb"))
MAX_LINES = 12

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def code_cells(path: Path) -> list[dict]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@every_notebook
def test_thin(path):
    for cell in code_cells(path):
        source = "".join(cell["source"])
        assert len(source.splitlines()) <= MAX_LINES, source
        assert not re.search(r"^(def|class|for|while) ", source, re.MULTILINE), source


@every_notebook
def test_committed_without_outputs(path):
    for cell in code_cells(path):
        assert not cell["outputs"]
        assert cell["execution_count"] is None


@every_notebook
def test_parameters_have_a_type_a_literal_and_a_comment(path):
    (cell,) = [
        c for c in code_cells(path) if "parameters" in c["metadata"].get("tags", [])
    ]
    for line in cell["source"]:
        assert re.fullmatch(r"\w+: \S+ = .+  # \S.*\n?", line), line
        ast.literal_eval(line.split(" = ", 1)[1].split("  #")[0])


@every_notebook
def test_begins_with_its_question_and_ends_with_an_answer(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    first = "".join(cells[0]["source"])
    assert re.match(rf"# {path.stem[:2]} · ", first)
    for word in ("Question", "Reads", "Writes", "Takes"):
        assert f"**{word}.**" in first
    prose = [c for c in cells if c["cell_type"] == "markdown"]
    assert "".join(prose[-1]["source"]).startswith("## Answer")


@every_notebook
def test_a_styled_table_is_escaped(path):
    for cell in code_cells(path):
        source = "".join(cell["source"])
        assert source.count(".style") == source.count('.style.format(escape="html")')
        assert "HTML(" not in source


@pytest.fixture
def planned_steps(album, tmp_path, monkeypatch) -> str:
    """What Snakemake would run of a study with experiments of every notebook."""
    file = tmp_path / "all.yaml"
    file.write_text(
        "name: all\nconditions: [lanczos]\n"
        "experiments: [batch, stability, budget, concurrency, backends]\n",
        encoding="utf-8",
    )
    commands = []

    def stop(command, **_):
        commands.append(command)
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr("evalkit.study.graph.subprocess.Popen", stop)
        with pytest.raises(InterruptedError):
            run_study(file, images=str(album), say=lambda _: None)
    run = next(iter(runs_dir().glob("all*")))
    done = subprocess.run(
        [*commands[0], "--dry-run", "--printshellcmds"],
        cwd=run,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_every_notebook_has_a_rule_in_the_graph(planned_steps):
    left_out = [p for p in NOTEBOOKS if f" {p.stem} notebooks/" not in planned_steps]
    by_hand = [p for p in NOTEBOOKS if of_evalkit(p).get("by_hand")]
    assert left_out == by_hand, (
        "write a rule in the Snakefile, or in the notebook's metadata which it comes "
        'after: {"evalkit": {"after": ["60_compare"]}}; or, where it is for people to '
        'play with, {"evalkit": {"by_hand": true}}'
    )


def of_evalkit(path: Path) -> dict:
    """What a notebook's metadata say to evalkit."""
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return metadata.get("evalkit", {})
