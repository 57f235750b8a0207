"""Which cells of a measurement are missing, and their computation one by one."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evalkit.profiling.nvml import check_alone, device_index
from evalkit.records import is_open
from evalkit.restorers.outputs import joined_in_words
from evalkit.study.attempt import attempt
from evalkit.study.interrupted import count_interrupted
from evalkit.study.kept import holds, take_same_bytes
from evalkit.study.measurement import Measurement
from evalkit.study.progress import tell_progress
from evalkit.tables import FAILURES

Compute = Callable[[Measurement, Mapping[str, Any], str, pd.DataFrame], str]
"""Computes one cell, keeps its records, returns its outcome: see `attempt`."""

WRITTEN = ["key", "source", "output", "output_sha256"]
JUDGED = ["key", "source", "experiment", "value", "machine"]
JUDGED += ["run", "phase", "outcome", "wall_time_s"]
"""The columns by which an output is found again, and by which a cell is whole."""


def compute(
    what: Measurement,
    images: pd.DataFrame,
    say: Callable[[str], None],
    compute_cell: Compute = attempt,
) -> pd.DataFrame:
    """Compute what is missing of a measurement, say what happens, return all of it.

    Only ``evalkit study --retry`` tries a cell that failed again: its record stands
    until the source, the weights, the setting or the restorer's code change. A cell
    that was interrupted is tried again. What was computed of the same bytes under
    another name is taken from there, with a note.

    Parameters
    ----------
    what
        What is measured.
    images
        Rows of `evalkit.tables.IMAGES`.
    say
        Gets each line that tells what happens.
    compute_cell
        Computes each cell that is missing.

    Raises
    ------
    StudyError
        The machine interrupted three cells one after the other.
    GpuBusyError
        It would time something on a GPU that others use; see `Run.allow_busy`.

    """
    if what.experiment != "quality" and not what.plan.spec.makes_pictures:
        say(f"{what.title()}: no cost, since its pictures were made elsewhere")
        return what.run.records.read().head(0)
    run, rows = what.run, images.to_dict("records")
    if what.plan.spec.takes_names:
        names = [row["source"] for row in rows if pd.isna(row["error"])]
        what = replace(what, arguments={**what.arguments, "others": names})
        if what.experiment == "quality":
            for line in joined_in_words(what.plan, names):
                say(line)
    keys = {row["source"]: what.key(row) for row in rows}
    records = _standing(what)
    missing = _missing_of(what, rows, keys, records)
    if take_same_bytes(what, missing, keys, records, say):
        records = _standing(what)
        missing = _missing_of(what, missing, keys, records)
    copies = _copies(what, missing, keys)
    open_keys = {keys[row["source"]] for row in missing}
    cells = what.cells_of(records[records["key"].isin(open_keys)])
    say(
        f"{what.title()}: {len(rows) - len(missing)} of {len(rows)} sources "
        f"already there, {len(missing) - len(copies)} to compute"
    )
    if missing and what.experiment != "quality":
        index = device_index(what.device)
        for note in check_alone(index, allow_busy=run.allow_busy):
            say(note)
    for number, row in enumerate(missing, 1):
        tell_progress(picture=number, of=len(missing))
        start, source = time.perf_counter(), row["source"]
        if source in copies and take_same_bytes(
            what, [row], keys, _standing(what), say
        ):
            continue
        cell = cells.get((keys[source], source), records.head(0))
        outcome = compute_cell(what, row, keys[source], cell)
        say(
            f"  {number}/{len(missing)} {source}: {outcome}, "
            f"{time.perf_counter() - start:.1f} s"
        )
        count_interrupted(run.interrupted, outcome)
    records = run.records.read()
    asked = {(key, name) for name, key in keys.items()}
    named = zip(records["key"], records["source"], strict=True)
    is_asked = np.array([cell in asked for cell in named], bool)
    return what.of_this(records[is_asked]).reset_index(drop=True)


def _standing(what: Measurement) -> pd.DataFrame:
    """The records of the run without those of cells that are to be tried again."""
    records = what.run.records.read()
    is_retried = [
        is_open(record) and (record["outcome"] not in FAILURES or what.retries_failures)
        for record in records.to_dict("records")
    ]
    return records[~np.array(is_retried, bool)]


def _copies(
    what: Measurement, missing: Sequence[Mapping[str, Any]], keys: Mapping[str, str]
) -> set[str]:
    """The sources that have the same bytes as another one before them."""
    if what.plan.spec.takes_names:
        return set()
    names = [row["source"] for row in missing if pd.isna(row["error"])]
    first = {keys[name]: name for name in reversed(names)}
    return set(names) - set(first.values())


def _missing_of(
    what: Measurement,
    rows: Iterable[dict[str, Any]],
    keys: Mapping[str, str],
    records: pd.DataFrame,
) -> list[dict[str, Any]]:
    """The rows of sources whose cell is not whole, its output included."""
    # a frame a cell takes as long as it has columns
    with_output = records.loc[records["output"].notna(), WRITTEN]
    records = records.loc[records["key"].isin(keys.values()), JUDGED]
    cells = what.cells_of(records)
    by_name = dict(iter(with_output.groupby(["key", "source"], sort=False)))
    by_file = dict(iter(with_output.groupby("output", sort=False)))
    missing, nothing = [], records.head(0)
    for row in rows:
        name = keys[row["source"]], row["source"]
        cell = cells.get(name, nothing)
        is_whole = what.is_whole(cell)
        has_output = what.keeps_outputs and len(cell)
        if is_whole and has_output and (cell["outcome"] == "ok").all():
            written = by_name[name]
            file = written["output"].iloc[-1]
            is_whole = holds(what.run, by_file[file], written)
        if not is_whole:
            missing.append(row)
    return missing
