"""Which cells are missing, and their computation in processes of their own."""

import signal
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from evalkit.profiling.isolation import run_cell
from evalkit.profiling.nvml import check_alone, device_index
from evalkit.provenance import environment, environment_digest
from evalkit.records import Cell, code_digest, record_key
from evalkit.restorers import parse_condition, plan_restorer, restorers
from evalkit.study._progress import tell
from evalkit.study._run import CELL, Run, with_newest_key
from evalkit.tables import IMAGES

SERIES = "evalkit.study._series:series_cell"
GROUP = ["experiment", *CELL]
"""What a row of a summary stands for."""

RESIZED = r"@(\d+)px$"
"""Ends the name of a source that was resized to this longest side."""

TIMEOUT_S = 3600.0
"""A cell that takes longer for each of its runs is recorded as a time-out."""


class Cells:
    """The cells of one condition in one experiment: one a source.

    Parameters
    ----------
    run
        Holds what has been computed.
    condition, experiment
        See `evalkit.tables.RECORDS`.
    n_warm
        Runs after the cold ones.
    arguments
        More arguments of `function`.
    keeps_outputs
        Whether outputs go to the run's ``outputs/``, under the condition's name.

    """

    function = SERIES
    """Called in the cell's process as ``name(emit, *, condition, source, path, kind,
    target, n_warm, **arguments)``."""

    def __init__(
        self,
        run: Run,
        condition: str,
        experiment: str,
        *,
        n_warm: int,
        arguments: Mapping[str, Any] = MappingProxyType({}),
        keeps_outputs: bool = False,
    ) -> None:
        self.run, self.condition = run, condition
        self.plan = plan_restorer(**parse_condition(condition))
        self.device = str(self.plan.resolved.get("device", "cpu"))
        self.experiment, self.n_warm = experiment, n_warm
        self.arguments, self.keeps_outputs = dict(arguments), keeps_outputs
        found = environment()
        self.machine = str(found["machine"]["machine"])
        self._environment = environment_digest(found)
        self._code = code_digest(self.plan.modules)
        modules = {spec.build.__module__ for spec in restorers().values()}
        modules.add(SERIES.partition(":")[0])
        self.preload = (*self.plan.spec.preload, *sorted(modules))

    def compute(self, images: pd.DataFrame, say: Callable[[str], None]) -> pd.DataFrame:
        """Compute what is missing, say what happens, return all of it.

        A cell that failed is not tried again: its record stands until the source,
        the weights, the setting or the restorer's code change.

        Raises
        ------
        GpuBusyError
            It would time something on a GPU that others use; see `Run.allow_busy`.

        """
        rows = images.to_dict("records")
        keys = {row["source"]: self._key(row) for row in rows}
        done = self._mine(keys.values())
        there = {name: done[done["key"] == key] for name, key in keys.items()}
        missing = [r for r in rows if not self._is_complete(r, there[r["source"]])]
        plain = self.experiment in ("quality", "cost")
        what = self.condition if plain else f"{self.experiment}, {self.condition}"
        say(
            f"{what}: {len(rows) - len(missing)} of {len(rows)} sources "
            f"already there, {len(missing)} to compute"
        )
        if missing and self.experiment != "quality":
            index = device_index(self.device)
            for note in check_alone(index, allow_busy=self.run.allow_busy):
                say(note)
        for number, row in enumerate(missing, 1):
            tell(picture=number, of=len(missing))
            start, source = time.perf_counter(), row["source"]
            outcome = self._compute(row, keys[source], there[source])
            say(
                f"  {number}/{len(missing)} {source}: {outcome}, "
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

    def _is_complete(self, row: Mapping[str, Any], there: pd.DataFrame) -> bool:
        if (there["outcome"] != "ok").any():
            return True
        if there.empty or (there["phase"] == "warm").sum() < self.n_warm:
            return False
        target = self._target(row)
        return target is None or (self.run.path / target).is_file()

    def _target(self, row: Mapping[str, Any]) -> str | None:
        if not self.keeps_outputs:
            return None
        path = self.run.output_path(self.condition, row["source"])
        return path.relative_to(self.run.path).as_posix()

    def _facts(self, row: Mapping[str, Any], key: str) -> dict[str, Any]:
        """What all records of a cell share."""
        own = self.plan.weights[0].sha256 if self.plan.weights else None
        return {
            "study": self.run.name,
            "experiment": self.experiment,
            "key": key,
            "machine": self.machine,
            "condition": self.condition,
            "restorer": self.plan.spec.name,
            "setting": dict(self.plan.resolved),
            "source": row["source"],
            "source_sha256": row["sha256"],
            "weights_sha256": own,
            "weights_kind": self.plan.weights_kind,
            "environment": self._environment,
        }

    def _keep(self, facts: Mapping[str, Any], found: Mapping[str, Any]) -> None:
        """Put a run's record on the disk, unless it is there."""
        record = {**facts, **found}
        if not self.run.records.has(Cell(*(record[name] for name in Cell._fields))):
            self.run.records.append([record])

    def _compute(self, row: Mapping[str, Any], key: str, there: pd.DataFrame) -> str:
        """Run one cell; keep each run's record as it ends; return the outcome."""
        facts = self._facts(row, key) | {"output": self._target(row)}
        runs: list[Any] = []

        def take(found: dict[str, Any]) -> None:
            runs.append(found)
            self._keep(facts, found)

        ended = self.start(row, take)
        if ended["outcome"] != "ok":
            # behind what an attempt that was interrupted may have left already
            phases = [run["phase"] for run in runs], there["phase"].tolist()
            n_warm = max(phase.count("warm") for phase in phases)
            failed = {"run": n_warm + 1, "phase": "warm" if any(phases) else "cold"}
            self._keep(facts, {**ended, **failed, "output": None})
        return ": ".join(filter(None, (ended["outcome"], ended["error"])))

    def start(
        self,
        row: Mapping[str, Any],
        take: Callable[[dict[str, Any]], None],
        **more: Any,
    ) -> dict[str, Any]:
        """Start the cell's process, hand on its runs, say how it ended.

        Returns
        -------
        dict
            ``started_at``, ``outcome`` and ``error``, as columns of ``records``.

        """
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        if pd.notna(row["error"]):
            return {"started_at": started_at, "outcome": "error", "error": row["error"]}
        target = self._target(row)
        result = run_cell(
            self.function,
            {
                "condition": self.condition,
                "source": row["source"],
                "path": row["path"],
                "kind": row["kind"],
                "target": str(self.run.path / target) if target else None,
                "n_warm": self.n_warm,
                **self.arguments,
                **more,
            },
            on_message=take,
            timeout_s=TIMEOUT_S * (1 + self.n_warm),
            start_method="spawn" if self.device.startswith("cuda") else "forkserver",
            preload=self.preload,
        )
        # a run with a limit of its own has set the alarm: see `_series`
        is_late = result.exit_code == -signal.SIGALRM
        outcome = "timeout" if is_late else result.outcome
        return {"started_at": started_at, "outcome": outcome, "error": result.error}


def choose(images: pd.DataFrame, n_sources: int, seed: int) -> pd.DataFrame:
    """The first sources, or all for 0, in an order shuffled by the seed."""
    chosen = images.head(n_sources) if n_sources else images
    return chosen.sample(frac=1, random_state=np.random.default_rng(seed))


def newest(run: Run, *experiments: str) -> pd.DataFrame:
    """Records of experiments, by the beginning of their names, of the pictures at hand.

    Cells of code, weights or pictures that have changed since are left out. A source
    that was resized counts as the picture it was made of.
    """
    records = run.records.read()
    images = run.read(IMAGES)
    names = records["source"].str.replace(RESIZED, "", regex=True)
    is_here = records["source_sha256"].isin(images["sha256"])
    is_here |= (names != records["source"]) & names.isin(images["source"])
    records = records[records["experiment"].str.startswith(experiments) & is_here]
    return with_newest_key(records, GROUP)


def first_failure(failed: pd.DataFrame) -> str | None:
    """Outcome and error of the first of these records; None if there is none."""
    for record in failed.to_dict("records"):
        return f"{record['outcome']}: {record['error']}"
    return None
