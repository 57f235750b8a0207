"""Which cells are missing, and their computation in processes of their own."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from evalkit.profiling.isolation import run_cell
from evalkit.provenance import environment, environment_digest
from evalkit.records import code_digest, record_key
from evalkit.restorers import Plan, restorers
from evalkit.study._run import Run

CELL = "evalkit.study._cells:restore_cell"
TIMEOUT_S = 3600.0
"""A cell that takes longer is recorded as a time-out."""


class Cells:
    """The cells of one condition in one experiment: one a source.

    Parameters
    ----------
    run
        Holds what has been computed.
    condition
        A condition's name.
    plan
        What it loads.
    experiment
        ``quality`` keeps its outputs, others do not.
    n_warm
        Runs after the cold one.

    """

    def __init__(
        self, run: Run, condition: str, plan: Plan, experiment: str, *, n_warm: int
    ) -> None:
        self.run, self.condition, self.plan = run, condition, plan
        self.experiment, self.n_warm = experiment, n_warm
        found = environment()
        self.machine = str(found["machine"]["machine"])
        self._environment = environment_digest(found)
        self._code = code_digest([plan.spec.build.__module__])
        modules = {spec.build.__module__ for spec in restorers().values()}
        modules.add(CELL.partition(":")[0])
        self._preload = (*plan.spec.preload, *sorted(modules))

    def compute(self, images: pd.DataFrame, say: Callable[[str], None]) -> pd.DataFrame:
        """Compute what is missing, say what happens, return all of it.

        A cell that failed is not tried again: its record stands until the source,
        the weights, the setting or the restorer's code change.
        """
        rows = images.to_dict("records")
        keys = {row["source"]: self._key(row) for row in rows}
        done = self._mine(keys.values())
        missing = [row for row in rows if not self._is_complete(row, done, keys)]
        say(
            f"{self.condition}: {len(rows) - len(missing)} of {len(rows)} sources "
            f"already there, {len(missing)} to compute"
        )
        for index, row in enumerate(missing):
            start = time.perf_counter()
            there = done[done["key"] == keys[row["source"]]]
            outcome = self._compute(row, keys[row["source"]], there)
            say(
                f"  {index + 1}/{len(missing)} {row['source']}: {outcome}, "
                f"{time.perf_counter() - start:.1f} s"
            )
        return self._mine(keys.values())

    def _key(self, row: Mapping[str, Any]) -> str:
        return record_key(
            source_sha256=row["sha256"],
            weights_sha256=[weights.sha256 for weights in self.plan.weights],
            setting=self.plan.resolved,
            restorer=self.plan.spec.name,
            code_sha256=self._code,
        )

    def _mine(self, keys: Any) -> pd.DataFrame:
        records = self.run.records.read()
        return records[
            records["key"].isin(list(keys))
            & (records["experiment"] == self.experiment)
            & (records["machine"] == self.machine)
        ].reset_index(drop=True)

    def _is_complete(
        self, row: Mapping[str, Any], done: pd.DataFrame, keys: Mapping[str, str]
    ) -> bool:
        there = done[done["key"] == keys[row["source"]]]
        if (there["outcome"] != "ok").any():
            return True
        if len(there) < 1 + self.n_warm:
            return False
        target = self._target(row)
        return target is None or (self.run.path / target).is_file()

    def _target(self, row: Mapping[str, Any]) -> str | None:
        if self.experiment != "quality":
            return None
        path = self.run.output_path(self.condition, row["source"])
        return path.relative_to(self.run.path).as_posix()

    def _compute(self, row: Mapping[str, Any], key: str, there: pd.DataFrame) -> str:
        """Run one cell; keep each run's record as it ends; return the outcome."""
        facts = {
            "study": self.run.name,
            "experiment": self.experiment,
            "key": key,
            "machine": self.machine,
            "condition": self.condition,
            "restorer": self.plan.spec.name,
            "setting": dict(self.plan.resolved),
            "source": row["source"],
            "source_sha256": row["sha256"],
            "weights_sha256": self.plan.weights[0].sha256
            if self.plan.weights
            else None,
            "weights_kind": self.plan.weights_kind,
            "environment": self._environment,
        }
        known = set(zip(there["run"], there["phase"], strict=True))

        def keep(found: Mapping[str, Any]) -> None:
            if (found["run"], found["phase"]) not in known:
                self.run.records.append([facts | dict(found)])

        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        if pd.notna(row["error"]):
            outcome, error, n_runs = "error", row["error"], 0
        else:
            outcome, error, n_runs = self._run_cell(row, keep)
        if outcome != "ok":
            keep(
                {
                    "run": max(n_runs, 1),
                    "phase": "warm" if n_runs else "cold",
                    "started_at": started_at,
                    "outcome": outcome,
                    "error": error,
                }
            )
        return outcome if outcome == "ok" else f"{outcome}: {error}"

    def _run_cell(
        self, row: Mapping[str, Any], keep: Callable[[Mapping[str, Any]], None]
    ) -> tuple[str, str | None, int]:
        n_runs = 0
        target = self._target(row)
        uses_cuda = str(self.plan.resolved.get("device", "cpu")).startswith("cuda")

        def take(found: Mapping[str, Any]) -> None:
            nonlocal n_runs
            n_runs += 1
            keep({**found, "output": target})

        result = run_cell(
            CELL,
            {
                "condition": self.condition,
                "source": row["source"],
                "path": row["path"],
                "kind": row["kind"],
                "target": str(self.run.path / target) if target else None,
                "n_warm": self.n_warm,
            },
            on_message=take,
            timeout_s=TIMEOUT_S,
            start_method="spawn" if uses_cuda else "forkserver",
            preload=self._preload,
        )
        return result.outcome, result.error, n_runs
