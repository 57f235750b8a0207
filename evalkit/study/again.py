"""What the next study tries again, and the notebooks that do it."""

from collections.abc import Iterable

import pandas as pd

from evalkit.errors import INTERRUPTED
from evalkit.paths import file_name
from evalkit.provenance import machine
from evalkit.restorers import parse_condition
from evalkit.study.experiment import of_records
from evalkit.study.groups import GROUP, attempts
from evalkit.study.run_folder import Run
from evalkit.tables import FAILURES, IMAGES


def step_name(condition: str) -> str:
    """A condition in the names of notebooks: Snakemake reads braces as wildcards."""
    return file_name(condition).translate(str.maketrans("{}", "()"))


def interrupted(run: Run) -> pd.DataFrame:
    """The records of what the machine ended and no newer record replaced."""
    records = _without_result(run)
    return records[records["outcome"] == INTERRUPTED]


def failed(run: Run, before: str) -> pd.DataFrame:
    """The records of what failed before that time (ISO 8601, UTC) and need not have.

    Pictures that cannot be read and experiments whose result is a failure are left out.
    """
    records, images = _without_result(run), run.read(IMAGES)
    is_failed = records["outcome"].isin(FAILURES)
    is_failed &= records["started_at"].fillna("") < before
    is_failed &= ~records["source"].isin(images.loc[images["error"].notna(), "source"])
    excused = [name for name, e in of_records().items() if e.failure_is_result]
    return records[is_failed & ~records["experiment"].isin(excused)]


def _without_result(run: Run) -> pd.DataFrame:
    """The newest records of this machine that are not ok."""
    records = attempts(run)
    records = records[records["outcome"] != "ok"]
    if records.empty:
        return records
    return records[records["machine"] == machine()["machine"]]


def executed_notebooks(
    run: Run, records: pd.DataFrame, conditions: Iterable[str]
) -> list[str]:
    """The notebooks that compute these records, below the run folder.

    An experiment that varies a setting has those of all conditions of its restorer.
    """
    names = {name: parse_condition(name)["name"] for name in conditions}
    notebooks = {name: entry.notebook for name, entry in of_records().items()}
    notebooks["quality"] = "20_restore"
    files = set()
    for record in records.to_dict("records"):
        step = notebooks.get(record["experiment"])
        if step == "50_backends":
            paths = (run.path / "notebooks").glob(f"{step}-*.ipynb")
            files |= {f"notebooks/{file.name}" for file in paths}
        files |= {
            f"notebooks/{step}-{step_name(name)}.ipynb"
            for name, restorer in names.items()
            if restorer == record["restorer"] and step != "50_backends"
        }
    return sorted(file for file in files if (run.path / file).is_file())


def what_is_left(run: Run, before: str) -> list[str]:
    """What to tell whoever started the study at that time, in a line each."""
    lost, failures = interrupted(run), failed(run, before)
    lines = []
    if len(lost):
        lines.append(
            f"{_cells(lost)} interrupted by the machine: {lost['error'].iloc[0]}; run "
            "it again to have them"
        )
    if len(failures):
        lines.append(
            f"{_cells(failures)} left failed by earlier runs and not tried again; "
            "evalkit study --retry does"
        )
    return lines


def _cells(records: pd.DataFrame) -> str:
    n = len(records.drop_duplicates(GROUP))
    return f"{n} cell was" if n == 1 else f"{n} cells were"
