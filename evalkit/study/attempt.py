"""The computation of one cell in a process of its own, and the records of its runs."""

import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from evalkit.errors import INTERRUPTED
from evalkit.profiling.isolation import run_cell
from evalkit.records import Cell
from evalkit.restorers import without_arguments
from evalkit.study.interrupted import find_fault
from evalkit.study.measurement import Measurement, warm_times_s
from evalkit.study.run_folder import Run

TIMEOUT_S = 3600.0
"""A cell that takes longer for each of its runs is recorded as a time-out."""


OF_PICTURE = (
    *("run", "phase", "started_at", "outcome", "error", "notes"),
    *("output_sha256", "output_width_px", "output_height_px"),
)
"""What a run says that is no cost; see `evalkit.restorers.RestorerSpec`."""


def keep_new(run: Run, record: Mapping[str, Any]) -> None:
    """Put a record on the disk, unless it is there."""
    if not run.records.has(Cell(*(record[name] for name in Cell._fields))):
        run.records.append([record])


def attempt(
    what: Measurement,
    row: Mapping[str, Any],
    key: str,
    cell: pd.DataFrame,
    *,
    keep: Callable[[Run, dict[str, Any]], None] = keep_new,
    **arguments: Any,
) -> str:
    """Run one cell, in as many processes as it has; keep each run's record as it ends.

    Parameters
    ----------
    what
        What is measured.
    row, key
        The source, from the table `evalkit.tables.IMAGES`, and its key.
    cell
        The records of the cell so far.
    keep
        Takes each record.
    **arguments
        More arguments of the measurement's function than its own.

    Returns
    -------
    str
        The outcome; behind it the error, if there was one.

    """
    target = what.target(row, cell)
    facts = what.facts(row, key) | {"output": target}
    latest = _latest_output(what.run, facts) if target and len(cell) else None
    runs: list[dict[str, Any]] = []
    times_s = warm_times_s(cell)
    # runs of the cell's processes before the one that is at work
    before = {"cold": 0, "warm": 0}

    def take(columns: dict[str, Any]) -> None:
        notes = [without_places(note, what.run) for note in columns.get("notes") or []]
        columns = columns | {"notes": notes}
        if not what.plan.spec.makes_pictures:
            columns = {k: v for k, v in columns.items() if k in OF_PICTURE}
        columns = columns | {"run": columns["run"] + before[columns["phase"]]}
        runs.append(columns)
        if columns["phase"] == "warm" and "experiment" not in columns:
            times_s[columns["run"]] = columns["wall_time_s"]
        if latest and latest != (key, columns["output_sha256"]):
            # made anew, and not the picture of the newest record
            columns = columns | {"run": columns["run"] + int(cell["run"].max())}
        keep(what.run, facts | columns)

    def start_each(**more: Any) -> dict[str, Any]:
        """Start the processes whose runs are missing, one after the other."""
        for _ in range(what.n_processes):
            before["warm"], n_warm = what.part(times_s)
            cold = [*cell.loc[cell["phase"] == "cold", "run"]]
            cold += [run["run"] for run in runs if run["phase"] == "cold"]
            before["cold"] = int(max(cold)) if before["warm"] else 0
            ended = start(what, row, take, n_warm=n_warm, **arguments, **more)
            if ended["outcome"] != "ok" or what.has_all(times_s):
                break
        return ended

    if target is None:
        ended = start_each()
    else:
        # a file is there only if its record is: see `holds`
        path = what.run.path / target
        staged = path.with_name(f".{path.name}")
        try:
            path.unlink(missing_ok=True)
        except OSError as error:  # read-only, say
            ended = {"started_at": _now(), "outcome": INTERRUPTED}
            ended |= {"error": f"{type(error).__name__}: {error}"}
        else:
            ended = start_each(target=str(staged))
            if runs and ended["outcome"] != INTERRUPTED:
                staged.replace(path)
            staged.unlink(missing_ok=True)
    if ended["outcome"] != "ok":
        # after what an interrupted attempt may have left already
        phase = "warm" if runs or len(cell) else "cold"
        failed = {"run": 1 + max(times_s, default=0), "phase": phase}
        keep(what.run, {**facts, **ended, **failed, "output": None})
    return in_short(ended)


def in_short(ended: Mapping[str, Any]) -> str:
    """How a cell ended, in one line."""
    return ": ".join(filter(None, (ended["outcome"], ended["error"])))


def _latest_output(run: Run, facts: Mapping[str, Any]) -> tuple[str, str] | None:
    """Key and output of the newest record like these facts, whatever the code."""
    records = run.records.read()
    names = ("condition", "source", "source_sha256", "experiment")
    for name in names:
        records = records[records[name] == facts[name]]
    return tuple(records[["key", "output_sha256"]].iloc[-1])


def start(
    what: Measurement,
    row: Mapping[str, Any],
    take: Callable[[dict[str, Any]], None],
    **arguments: Any,
) -> dict[str, Any]:
    """Start the cell's process, hand on its runs, say how it ended.

    Returns
    -------
    dict
        ``started_at``, ``outcome`` and ``error``, as columns of ``records``.

    """
    started_at = _now()
    if pd.notna(row["error"]):
        return {"started_at": started_at, "outcome": "error", "error": row["error"]}
    result = run_cell(
        what.function,
        {
            "condition": what.condition,
            "source": row["source"],
            "path": row["path"],
            "sha256": None if pd.isna(row["sha256"]) else row["sha256"],
            "kind": row["kind"],
            "target": None,
            "n_warm": what.n_warm,
            **({"may_be_slow": True} if what.n_warm is None else {}),
            **what.facts_of_file(row),
            **what.arguments,
            **arguments,
        },
        on_message=take,
        timeout_s=TIMEOUT_S * what.n_runs,
        start_method="spawn" if what.device.startswith("cuda") else "forkserver",
        preload=what.preload,
    )
    # a run with a limit of its own has set the alarm: see `evalkit.study.worker`
    is_late = result.exit_code == -signal.SIGALRM
    outcome = "timeout" if is_late else result.outcome
    ended = {"started_at": started_at, "outcome": outcome, "error": result.error}
    reason = (
        find_fault(what.run.path, row["path"])
        if outcome in ("error", "crash")
        else None
    )
    if reason:
        ended |= {"outcome": INTERRUPTED, "error": f"{result.error}; {reason}"}
    if ended["error"]:
        ended["error"] = without_places(ended["error"], what.run)
    return ended


def without_places(text: str, run: Run) -> str:
    """A text without the places of the run folder and of the reader's files."""
    return without_arguments(text).replace(f"{run.path.absolute()}/", "")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
