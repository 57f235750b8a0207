"""The steps that notebooks call: prepare, restore, measure, compare, conclude."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from evalkit.provenance import environment
from evalkit.records import Cell
from evalkit.restorers import shortened
from evalkit.study.kept import remove_strays
from evalkit.study.measurement import Measurement
from evalkit.study.parameters import check_given_cells
from evalkit.study.run_folder import Run, open_run, write_text
from evalkit.study.runner import compute
from evalkit.tables import RECORDS


def begin(notebook: str, run_dir: str, *, allow_busy: bool = False) -> Run:
    """Check a notebook's parameters, and open its run folder.

    A file or a command in its conditions is called by its short name from then on, as
    `condition_name` has it: what a run folder holds goes to others.

    Parameters
    ----------
    notebook
        Its name without suffix.
    run_dir
        Its parameter of that name; empty for ``runs/adhoc``.
    allow_busy
        See `Run`.

    Raises
    ------
    StudyError
        A parameter that the notebook does not declare, or of another type.

    """
    ipython = sys.modules.get("IPython")  # which a notebook's kernel has imported
    shell = ipython.get_ipython() if ipython else None
    if shell is not None:
        check_given_cells(notebook, shell.user_ns["In"])
        shorten_conditions(shell.user_ns)
    return replace(open_run(run_dir), allow_busy=allow_busy)


def shorten_conditions(namespace: dict[str, Any]) -> None:
    """Call files and commands in ``condition`` and ``conditions`` by short names."""
    if "condition" in namespace:
        namespace["condition"] = shortened(namespace["condition"])
    if "conditions" in namespace:
        namespace["conditions"] = [shortened(n) for n in namespace["conditions"]]


def close_records(run: Run, *, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Write ``records.parquet``, and how the time since ``make study`` began was spent.

    Model time is loading and restoring in the workers; ``timing.json`` has it.
    Outputs of pictures that are not there any more are removed and named.

    Returns
    -------
    dict
        ``started_at`` (ISO 8601, UTC), ``total_s``, ``model_s``, ``n_records``; empty
        for a folder that notebooks filled by hand.

    """
    for folder in ("outputs", "sources"):
        remove_strays(run, run.path / folder, say)
    run.records.write_parquet()
    file = run.path / "timing.json"
    if not file.is_file():
        return {}
    started_at = json.loads(file.read_text(encoding="utf-8"))["started_at"]
    records = run.records.read()
    records = records[records["started_at"] >= started_at]
    # of two pictures of the same bytes one was measured, and both have its records
    measured = records.drop_duplicates([n for n in Cell._fields if n != "source"])
    passed = datetime.now(UTC) - datetime.fromisoformat(started_at)
    timing = {
        "started_at": started_at,
        "total_s": passed.total_seconds(),
        "model_s": float(measured[["load_time_s", "wall_time_s"]].sum().sum()),
        "n_records": len(records),
    }
    write_text(file, json.dumps(timing))
    return timing


def record_environment(run: Run) -> dict[str, Any]:
    """Write ``environment.json``: machine, versions and commit, no host or user."""
    facts = environment()
    text = json.dumps(facts, indent=1, sort_keys=True)
    write_text(run.path / "environment.json", text)
    return facts


def restore(
    run: Run,
    condition: str,
    images: pd.DataFrame,
    *,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Restore every source under one condition that is not restored yet.

    Each source is a cell in a process of its own. Its record is on the disk before
    the next one begins. A restorer whose weights are random makes no picture here.

    Parameters
    ----------
    run
        Gets ``outputs/`` and records of the experiment ``quality``.
    condition
        A condition's name.
    images
        Table `evalkit.tables.IMAGES`.
    say
        Gets one line for every cell.

    Returns
    -------
    DataFrame
        Records of this condition and these sources (`evalkit.tables.RECORDS`).

    """
    what = Measurement(run, condition, "quality", keeps_outputs=True)
    if what.plan.weights_kind == "random":
        say(f"{condition}: no picture is made with random weights; see 30_cost")
        return RECORDS.frame([])
    # on a CPU the kernel knows the peak, and a monitor takes half a second a cell
    is_watched = what.device.startswith("cuda") or what.plan.spec.starts_programs
    what = replace(what, arguments={"is_watched": is_watched})
    records = compute(what, images, say)
    folder = run.output_path(condition, "any").parent
    remove_strays(run, folder, say, records["output"].dropna())
    return records
