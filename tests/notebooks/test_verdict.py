"""The verdicts of `90_verdict` by itself are those that it gives at a study's end."""

import json

from evalkit.article import evaluate
from evalkit.experiments import summarise_floors
from evalkit.imagesets import prepare
from evalkit.paths import SHIPPED
from evalkit.study import open_run, record_environment
from evalkit.tables import IMAGES, VERDICTS


def run_cells(run_dir):
    notebook = json.loads(
        (SHIPPED / "notebooks" / "90_verdict.ipynb").read_text("utf-8")
    )
    names = {"__name__": "notebook"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), names)
            if "parameters" in cell["metadata"].get("tags", []):
                names["run_dir"] = str(run_dir)


def test_the_notebook_by_itself_says_what_the_study_says(tmp_path):
    alone, whole = (open_run(str(tmp_path / name)) for name in ("alone", "whole"))
    for run in (alone, whole):
        run.write(IMAGES, prepare("quick"))
    record_environment(whole)  # as 00_environment does, and 60_compare:
    summarise_floors(whole)
    run_cells(alone.path)
    expected = evaluate(whole.path).set_index("claim")
    verdicts = alone.read(VERDICTS).set_index("claim")
    assert verdicts["verdict"].to_dict() == expected["verdict"].to_dict()
    assert verdicts.loc["G10", "verdict"] == "contradicted"
    assert (alone.path / "report.html").is_file()
