"""The runner's task: one condition in one experiment, at one value."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from evalkit.profiling.experiments import n_repeats
from evalkit.provenance import environment, environment_digest
from evalkit.records import code_digest, in_words, record_key
from evalkit.restorers import Plan, parse_condition, plan_restorer, restorers
from evalkit.restorers._routing import MOSTLY_FACES
from evalkit.study.experiment import of_records
from evalkit.study.looks import facts_of
from evalkit.study.run_folder import Run
from evalkit.study.worker import ALIGNED
from evalkit.tables import LOOKS

SERIES = "evalkit.study.worker:series_cell"

LEAST_SHARED = 6
"""Runs from which their median has an interval, and more than one process shares them:
see `evalkit.stats.median_interval`."""


def warm_times_s(cell: pd.DataFrame) -> dict[int, float]:
    """The times of the warm runs of a cell, by their numbers."""
    # asked of each source again: a frame of the warm ones takes twenty times as long
    runs = zip(cell["phase"], cell["run"], cell["wall_time_s"], strict=True)
    return {int(run): time_s for phase, run, time_s in runs if phase == "warm"}


def deciding(facts: Mapping[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """What decides of the facts: of a folder's share only on which side it lies."""
    return {
        name: {
            fact: float(value >= MOSTLY_FACES) if fact == "folder_faces" else value
            for fact, value in values.items()
        }
        for name, values in facts.items()
    }


@dataclass(frozen=True, eq=False)
class Measurement:
    """One condition in one experiment, at one value: one cell for each source.

    Attributes
    ----------
    run
        Holds what has been computed.
    condition, experiment, value
        See `evalkit.tables.RECORDS`.
    n_warm
        Runs after the cold ones; None for as many as
        `evalkit.profiling.experiments.n_repeats` says.
    n_processes
        Fresh processes that share these runs, where there are at least `LEAST_SHARED`:
        the cost of a picture differs from process to process, too. `run` counts on.
    runs
        In place of `n_warm`: the runs' numbers, cold ones included. Each of them has a
        record in a whole cell, however it ended.
    arguments
        More arguments of `function`.
    function
        The cell's process calls it as ``name(emit, *, condition, source, path, sha256,
        kind, target, n_warm, **arguments)``.
    beside
        More experiments that the cell's process makes records of.
    keeps_outputs
        Whether outputs go to the run's ``outputs/``, under the condition's name.

    """

    run: Run
    condition: str
    experiment: str
    value: str | None = None
    _: KW_ONLY
    n_warm: int | None = 0
    n_processes: int = 1
    runs: Sequence[int] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    function: str = SERIES
    beside: tuple[str, ...] = ()
    keeps_outputs: bool = False

    @property
    def retries_failures(self) -> bool:
        """Whether ``evalkit study --retry`` tries again what failed."""
        entry = of_records().get(self.experiment)
        return entry is None or not entry.failure_is_result

    @cached_property
    def plan(self) -> Plan:
        """The condition's restorer with its weights, not loaded."""
        return plan_restorer(**parse_condition(self.condition))

    @property
    def device(self) -> str:
        """``cpu``, or one of the GPUs, as ``cuda:0``."""
        return str(self.plan.resolved.get("device", "cpu"))

    @property
    def n_runs(self) -> int:
        """How many a whole cell has at least, with one cold run."""
        return 1 + self._n_all({}) if self.runs is None else len(self.runs)

    def _n_all(self, times_s: Mapping[int, float]) -> int:
        return n_repeats([times_s[run] for run in sorted(times_s)], self.n_warm)

    def has_all(self, times_s: Mapping[int, float]) -> bool:
        """Whether a cell with warm runs of these times, by their numbers, has all."""
        return len(times_s) >= self._n_all(times_s)

    def part(self, times_s: Mapping[int, float]) -> tuple[int, int]:
        """Which warm runs the next process has: after how many of them, and how many.

        `times_s` are the times of those that there are, by their numbers.
        """
        n_all = self._n_all(times_s)
        if self.n_processes == 1 or n_all < LEAST_SHARED:
            return 0, n_all
        n_first = -(-n_all // self.n_processes)
        n_before = min(len(times_s), n_all - 1) // n_first * n_first
        return n_before, min(n_first, n_all - n_before)

    @property
    def machine(self) -> str:
        """The name of the machine that measures."""
        return str(self._environment["machine"]["machine"])

    @cached_property
    def _environment(self) -> dict[str, Any]:
        return environment()

    @property
    def preload(self) -> tuple[str, ...]:
        """The modules that a server of the cells' processes imports first."""
        modules = {spec.build.__module__ for spec in restorers().values()}
        modules.add(SERIES.partition(":")[0])
        return (*self.plan.spec.preload, *self.plan.preload, *sorted(modules))

    def title(self) -> str:
        """What is measured, as people read it."""
        if self.experiment in ("quality", "cost"):
            return self.condition
        return f"{in_words(self.experiment, self.value)}, {self.condition}"

    def key(self, row: Mapping[str, Any]) -> str:
        """The column ``key`` of the records of a source (row of `IMAGES`)."""
        # whether the whole picture is one face is told with each call
        call: dict[str, Any] = {"aligned": True} if row["kind"] == ALIGNED else {}
        # where an output's name begins with both, it is the longer one's
        others = (n for n in self.arguments.get("others", ()) if n != row["source"])
        if longer := sorted(n for n in others if n.startswith(row["source"])):
            call["others"] = longer
        return record_key(
            source_sha256=row["sha256"],
            weights_sha256=[weights.sha256 for weights in self.plan.weights],
            setting={**self.plan.recorded, **call, **deciding(self.facts_of_file(row))},
            restorer=self.plan.spec.name,
            code_sha256=self._code,
        )

    def facts_of_file(self, row: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """``facts``: what a restorer takes that is not in the picture; else empty."""
        from evalkit.restorers.auto import takes_facts  # late: it brings detectors

        if not takes_facts(self.plan):
            return {}
        base = row.get("base_source")
        facts = self._facts.reindex([row["source"] if pd.isna(base) else base])
        known = facts.iloc[0].dropna()
        return {"facts": dict(known)} if len(known) else {}

    @cached_property
    def _facts(self) -> pd.DataFrame:
        return facts_of(self.run.usable, self.run.read(LOOKS))

    @cached_property
    def _code(self) -> str:
        return code_digest(self.plan.modules)

    def records_of(
        self, records: pd.DataFrame, source: str, key: str, *beside: str
    ) -> pd.DataFrame:
        """The records of one source's cell; those of experiments `beside` it, too."""
        records = records[(records["key"] == key) & (records["source"] == source)]
        return self.of_this(records, *beside)

    def cells_of(self, records: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
        """The records of each cell, by key and source.

        `records_of` each source would look through all of them for each.
        """
        cells = self.of_this(records).groupby(["key", "source"], sort=False)
        return {(str(key), str(source)): cell for (key, source), cell in cells}

    def of_this(self, records: pd.DataFrame, *beside: str) -> pd.DataFrame:
        """The records of this measurement; those of experiments `beside` it, too."""
        of_value = records["value"].isna()
        if self.value is not None:
            of_value = records["value"] == self.value
        return records[
            records["experiment"].isin([self.experiment, *beside])
            & of_value
            & (records["machine"] == self.machine)
        ]

    def is_whole(self, cell: pd.DataFrame) -> bool:
        """Whether these records of a cell are all that it is to have."""
        if self.runs is not None:
            return set(self.runs) <= set(cell["run"])
        if (cell["outcome"] != "ok").any():
            return True
        return not cell.empty and self.has_all(warm_times_s(cell))

    def target(self, row: Mapping[str, Any], cell: pd.DataFrame) -> str | None:
        """Where the output goes, below the run folder: where its records say."""
        if not self.keeps_outputs:
            return None
        if cell["output"].notna().any():
            return str(cell["output"].dropna().iloc[-1])
        path = self.run.output_path(self.condition, row["source"])
        return path.relative_to(self.run.path).as_posix()

    def facts(self, row: Mapping[str, Any], key: str) -> dict[str, Any]:
        """What all records of a source's cell share."""
        weights = self.plan.weights
        return {
            "study": self.run.name,
            "experiment": self.experiment,
            "value": self.value,
            "instance": None,
            "key": key,
            "machine": self.machine,
            "condition": self.condition,
            "restorer": self.plan.spec.name,
            "setting": self.plan.recorded,
            "source": row["source"],
            "source_sha256": row["sha256"],
            "base_source": row.get("base_source"),
            "weights_sha256": weights[0].sha256 if weights else None,
            "weights_kind": self.plan.weights_kind,
            "environment": environment_digest(self._environment),
        }
