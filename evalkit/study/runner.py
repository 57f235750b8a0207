"""Which cells are missing, and their computation in processes of their own."""

import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from evalkit.profiling.isolation import run_cell
from evalkit.profiling.nvml import check_alone, device_index
from evalkit.provenance import environment, environment_digest
from evalkit.records import Cell, code_digest, in_words, is_open, record_key
from evalkit.restorers import parse_condition, plan_restorer, restorers
from evalkit.study.interrupted import count_interrupted, find_fault
from evalkit.study.kept import holds, take_same_bytes
from evalkit.study.progress import tell
from evalkit.study.run_folder import Run
from evalkit.study.worker import ALIGNED
from evalkit.tables import FAILURES, INTERRUPTED

SERIES = "evalkit.study.worker:series_cell"
TIMEOUT_S = 3600.0
"""A cell that takes longer for each of its runs is recorded as a time-out."""


class Cells:
    """The cells of one condition in one experiment: one a source.

    Parameters
    ----------
    run
        Holds what has been computed.
    condition, experiment, value
        See `evalkit.tables.RECORDS`.
    n_warm
        Runs after the cold ones.
    arguments
        More arguments of `function`.
    keeps_outputs
        Whether outputs go to the run's ``outputs/``, under the condition's name.

    """

    retries_failures = True
    """Whether ``evalkit study --retry`` tries again what failed."""

    function = SERIES
    """Called in the cell's process as ``name(emit, *, condition, source, path, sha256,
    kind, target, n_warm, **arguments)``."""

    beside: tuple[str, ...] = ()
    """More experiments that the cell's process makes records of."""

    def __init__(
        self,
        run: Run,
        condition: str,
        experiment: str,
        value: str | None = None,
        *,
        n_warm: int,
        arguments: Mapping[str, Any] = MappingProxyType({}),
        keeps_outputs: bool = False,
    ) -> None:
        self.run, self.condition = run, condition
        self.plan = plan_restorer(**parse_condition(condition))
        self.device = str(self.plan.resolved.get("device", "cpu"))
        self.experiment, self.value, self.n_warm = experiment, value, n_warm
        self.arguments, self.keeps_outputs = dict(arguments), keeps_outputs
        found = environment()
        self.machine = str(found["machine"]["machine"])
        self._environment = environment_digest(found)
        self._code = code_digest(self.plan.modules)
        modules = {spec.build.__module__ for spec in restorers().values()}
        modules.add(SERIES.partition(":")[0])
        self.preload = (
            *self.plan.spec.preload,
            *self.plan.preload,
            *sorted(modules),
        )

    def compute(self, images: pd.DataFrame, say: Callable[[str], None]) -> pd.DataFrame:
        """Compute what is missing, say what happens, return all of it.

        A cell that failed is not tried again, but by ``evalkit study --retry``: its
        record stands until the source, the weights, the setting or the restorer's code
        change. One that was interrupted is. What was computed of the same bytes under
        another name is taken from there, with a note.

        Raises
        ------
        StudyError
            The machine interrupted three cells one after the other.
        GpuBusyError
            It would time something on a GPU that others use; see `Run.allow_busy`.

        """
        rows = images.to_dict("records")
        keys = {row["source"]: self._key(row) for row in rows}
        records = self._standing()
        missing = self._missing_of(rows, keys, records)
        if take_same_bytes(self, missing, keys, records, say):
            records = self._standing()
            missing = self._missing_of(missing, keys, records)
        what = self.condition
        if self.experiment not in ("quality", "cost"):
            what = f"{in_words(self.experiment, self.value)}, {what}"
        copies = self._copies(missing, keys)
        say(
            f"{what}: {len(rows) - len(missing)} of {len(rows)} sources "
            f"already there, {len(missing) - len(copies)} to compute"
        )
        if missing and self.experiment != "quality":
            index = device_index(self.device)
            for note in check_alone(index, allow_busy=self.run.allow_busy):
                say(note)
        for number, row in enumerate(missing, 1):
            tell(picture=number, of=len(missing))
            start, source = time.perf_counter(), row["source"]
            if source in copies:
                records = self._standing()
                if take_same_bytes(self, [row], keys, records, say):
                    continue
            there = self.mine(records, source, keys[source])
            outcome = self._compute(row, keys[source], there)
            say(
                f"  {number}/{len(missing)} {source}: {outcome}, "
                f"{time.perf_counter() - start:.1f} s"
            )
            count_interrupted(self.run.interrupted, outcome)
        records = self.run.records.read()
        records = records[records["key"].isin(keys.values())]
        parts = [self.mine(records, name, key) for name, key in keys.items()]
        return pd.concat([records.head(0), *parts]).sort_index().reset_index(drop=True)

    def _standing(self) -> pd.DataFrame:
        """The records of the run but those of cells that are to be tried again."""
        records = self.run.records.read()
        again = [self._is_open(record) for record in records.to_dict("records")]
        return records[~np.array(again, bool)]

    def _copies(
        self, missing: Sequence[Mapping[str, Any]], keys: Mapping[str, str]
    ) -> set[str]:
        """Those whose bytes another of them has, which comes first."""
        if self.plan.spec.takes_names:
            return set()
        names = [row["source"] for row in missing if pd.isna(row["error"])]
        first = {keys[name]: name for name in reversed(names)}
        return set(names) - set(first.values())

    def _is_open(self, record: Mapping[Any, Any]) -> bool:
        is_failure = record["outcome"] in FAILURES
        return is_open(record) and (self.retries_failures or not is_failure)

    def _key(self, row: Mapping[str, Any]) -> str:
        # whether the whole picture is one face is told with each call
        aligned = {"aligned": True} if row["kind"] == ALIGNED else {}
        return record_key(
            source_sha256=row["sha256"],
            weights_sha256=[weights.sha256 for weights in self.plan.weights],
            setting={**self.plan.resolved, **aligned},
            restorer=self.plan.spec.name,
            code_sha256=self._code,
        )

    def _missing_of(
        self,
        rows: Iterable[dict[str, Any]],
        keys: Mapping[str, str],
        records: pd.DataFrame,
    ) -> list[dict[str, Any]]:
        """The rows of sources whose cell is not whole, its output included."""
        with_output = records[records["output"].notna()]
        records = records[records["key"].isin(keys.values())]
        missing = []
        for row in rows:
            key, source = keys[row["source"]], row["source"]
            there = self.mine(records, source, key)
            is_whole = self._is_complete(row, there)
            if is_whole and self.keeps_outputs and (there["outcome"] == "ok").all():
                made = with_output[
                    (with_output["key"] == key) & (with_output["source"] == source)
                ]
                is_whole = holds(self.run, with_output, made)
            if not is_whole:
                missing.append(row)
        return missing

    def mine(
        self, records: pd.DataFrame, source: str, key: str, *beside: str
    ) -> pd.DataFrame:
        """The records of one cell."""
        of_value = records["value"].isna()
        if self.value is not None:
            of_value = records["value"] == self.value
        return records[
            (records["key"] == key)
            & (records["source"] == source)
            & records["experiment"].isin([self.experiment, *beside])
            & of_value
            & (records["machine"] == self.machine)
        ]

    def _is_complete(self, _row: Mapping[str, Any], there: pd.DataFrame) -> bool:
        if (there["outcome"] != "ok").any():
            return True
        return not there.empty and (there["phase"] == "warm").sum() >= self.n_warm

    def target(self, row: Mapping[str, Any], there: pd.DataFrame) -> str | None:
        """Where the output goes, below the run folder: where its records say."""
        if not self.keeps_outputs:
            return None
        if there["output"].notna().any():
            return str(there["output"].dropna().iloc[-1])
        path = self.run.output_path(self.condition, row["source"])
        return path.relative_to(self.run.path).as_posix()

    def _facts(self, row: Mapping[str, Any], key: str) -> dict[str, Any]:
        """What all records of a cell share."""
        own = self.plan.weights[0].sha256 if self.plan.weights else None
        return {
            "study": self.run.name,
            "experiment": self.experiment,
            "value": self.value,
            "instance": None,
            "key": key,
            "machine": self.machine,
            "condition": self.condition,
            "restorer": self.plan.spec.name,
            "setting": dict(self.plan.resolved),
            "source": row["source"],
            "source_sha256": row["sha256"],
            "base_source": row.get("base_source"),
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
        target = self.target(row, there)
        facts = self._facts(row, key) | {"output": target}
        shown = self._shown(facts) if target and len(there) else None
        runs: list[Any] = []

        def take(found: dict[str, Any]) -> None:
            runs.append(found)
            if shown and shown != (key, found["output_sha256"]):
                # made anew, and not the picture that the records would tell of
                found = found | {"run": found["run"] + int(there["run"].max())}
            self._keep(facts, found)

        if target is None:
            ended = self.start(row, take)
        else:
            # a file is there only if its record is: see `holds`
            path = self.run.path / target
            staged = path.with_name(f".{path.name}")
            try:
                path.unlink(missing_ok=True)
            except OSError as error:  # read-only, say
                ended = {"started_at": _now(), "outcome": INTERRUPTED}
                ended |= {"error": f"{type(error).__name__}: {error}"}
            else:
                ended = self.start(row, take, target=str(staged))
                if runs and ended["outcome"] != INTERRUPTED:
                    staged.replace(path)
                staged.unlink(missing_ok=True)
        if ended["outcome"] != "ok":
            # behind what an attempt that was interrupted may have left already
            phases = [run["phase"] for run in runs], there["phase"].tolist()
            n_warm = max(phase.count("warm") for phase in phases)
            failed = {"run": n_warm + 1, "phase": "warm" if any(phases) else "cold"}
            self._keep(facts, {**ended, **failed, "output": None})
        return ": ".join(filter(None, (ended["outcome"], ended["error"])))

    def _shown(self, facts: Mapping[str, Any]) -> tuple[str, str] | None:
        """Key and output of the newest record like these facts, whatever the code."""
        records = self.run.records.read()
        names = ("condition", "source", "source_sha256", "experiment")
        for name in names:
            records = records[records[name] == facts[name]]
        return tuple(records[["key", "output_sha256"]].iloc[-1])

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
        started_at = _now()
        if pd.notna(row["error"]):
            return {"started_at": started_at, "outcome": "error", "error": row["error"]}
        result = run_cell(
            self.function,
            {
                "condition": self.condition,
                "source": row["source"],
                "path": row["path"],
                "sha256": None if pd.isna(row["sha256"]) else row["sha256"],
                "kind": row["kind"],
                "target": None,
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
        found = {"started_at": started_at, "outcome": outcome, "error": result.error}
        reason = (
            find_fault(self.run.path, row["path"])
            if outcome in ("error", "crash")
            else None
        )
        if reason:
            found |= {"outcome": INTERRUPTED, "error": f"{result.error}; {reason}"}
        return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
