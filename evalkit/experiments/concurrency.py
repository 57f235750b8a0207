"""Several instances on one device: what they make together, and how many fit."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from evalkit import figures
from evalkit.profiling.budget import total_mib
from evalkit.profiling.concurrency import run_together
from evalkit.provenance import machine
from evalkit.stats.bootstrap import median_interval
from evalkit.study.attempt import attempt, in_short
from evalkit.study.experiment import Experiment
from evalkit.study.groups import choose, condition_facts, newest
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import CELL, Run
from evalkit.study.runner import compute
from evalkit.tables import CONCURRENCY, INTERRUPTED, RECORDS

INSTANCES = (1, 2, 3, 4, 6, 8)
GATED = "evalkit.experiments._limited:gated_cell"
GAIN = 1.1
"""So many times the throughput are worth more instances, or batches in their place."""


def measure_concurrency(
    run: Run,
    condition: str,
    images: pd.DataFrame,
    *,
    instances: Sequence[int] = INSTANCES,
    repeats: int = 5,
    n_sources: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Run several processes of one condition on one device, at once.

    Each loads, restores a source once, waits for the others, and restores it
    `repeats` times more. When one fails, the others go on.

    Parameters
    ----------
    run
        Gets records of ``concurrency``, all of a group at its end. Their value is
        the group's number of instances.
    condition, images, say
        As in `evalkit.study.restore`.
    instances
        How many at once, each number in turn.
    repeats
        Warm runs of each instance.
    n_sources
        The first sources of the table; 0 for all.
    seed
        Of the order of these numbers and of the sources, which are shuffled.

    Returns
    -------
    DataFrame
        Records of these groups (`evalkit.tables.RECORDS`).

    """
    chosen = choose(images, n_sources, seed)
    found = [RECORDS.frame([])]
    for n in np.random.default_rng(seed).permutation(instances):
        what = Measurement(
            run,
            condition,
            "concurrency",
            str(n),
            n_warm=repeats,
            function=GATED,
        )
        found.append(compute(what, chosen, say, _run_group))
    return pd.concat(found, ignore_index=True)


def _run_group(
    what: Measurement, row: Mapping[str, Any], key: str, there: pd.DataFrame
) -> str:
    """Run the instances of one cell, and keep the records of all of them at once."""

    def instance(
        number: int, barrier: str, is_ready: Callable[[], None]
    ) -> list[dict[str, Any]]:
        kept = list[dict[str, Any]]()

        def keep(_: Run, record: dict[str, Any]) -> None:
            if record["outcome"] == INTERRUPTED:  # whatever comes takes its place
                record |= {"run": 1, "phase": "cold"}
            kept.append(record | {"instance": number + 1})
            is_ready()

        attempt(what, row, key, there, keep=keep, barrier=barrier)
        return kept

    instances = run_together(int(str(what.value)), instance)
    records = [record for kept in instances for record in kept]
    for record in records:
        if record["outcome"] == INTERRUPTED:  # of a group, all or nothing is known
            what.run.records.append([record])
            return in_short(record)
    what.run.records.append(records)
    n_ok = sum(kept[-1]["outcome"] == "ok" for kept in instances)
    return f"{n_ok} of {len(instances)} instances ok"


def summarise_concurrency(run: Run) -> pd.DataFrame:
    """Throughput, latency and memory of each number of instances.

    Throughput counts the warm pictures of all instances from the start of the first to
    the end of the last. Memory is what the device had more of than before, by NVML;
    where there is none, the peak resident sets added up.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.CONCURRENCY`, also written to the run's tables.

    """
    records = newest(run, "concurrency")
    here = machine()["machine"]
    rows = []
    for names, cell in records.groupby([*CELL, "value"], sort=False):
        n = int(str(names[-1]))
        row = dict(zip(CELL, names[:-1], strict=True)) | {"n_instances": n}
        if row["machine"] == here:
            setting = json.loads(cell["setting"].iloc[-1])
            row["memory_total_mib"] = total_mib(setting.get("device", "cpu"))
        rows.append(row | _together(cell, n))
    frame = CONCURRENCY.frame(rows).sort_values([*CELL, "n_instances"])
    one = frame[frame["n_instances"] == 1].set_index(CELL)["throughput_per_s"]
    alone = one.reindex(pd.MultiIndex.from_frame(frame[CELL])).to_numpy()
    frame["speedup"] = frame["throughput_per_s"] / alone
    run.write(CONCURRENCY, frame)
    return frame.reset_index(drop=True)


def _together(cell: pd.DataFrame, n: int) -> dict[str, Any]:
    instance = cell["instance"]
    failed = cell[cell["outcome"] != "ok"].sort_values("started_at")
    warm = cell[(cell["outcome"] == "ok") & (cell["phase"] == "warm")]
    latencies = warm["wall_time_s"].to_numpy(float)
    low, high = median_interval(latencies)
    by_nvml = cell["nvml_device_delta_mib"].max()
    rss_mib = cell["peak_rss_mib"].groupby(instance).max().sum(min_count=n)
    on_gpu = pd.notna(by_nvml)
    found = {
        **condition_facts(cell),
        "n_ok": n - instance[failed.index].nunique(),
        "n_runs": len(warm),
        "outcome": "ok",
        "latency_s": np.median(latencies) if len(warm) else None,
        "latency_low_s": low,
        "latency_high_s": high,
        "memory_mib": by_nvml if on_gpu else rss_mib,
        "memory_kind": "nvml device delta" if on_gpu else "sum of peak RSS",
        # the last run of each tells its whole series
        "gpu_busy_percent": warm.groupby("instance")["gpu_busy_percent"].last().mean(),
    }
    if len(failed):
        found |= failed.iloc[0][["outcome", "error"]]
    if len(warm):
        starts = warm["started_at"].map(datetime.fromisoformat)
        ends = starts + pd.to_timedelta(latencies, unit="s")
        passed_s = (ends.max() - starts.min()).total_seconds()
        found["throughput_per_s"] = len(warm) / passed_s
    return found


def advise_concurrency(concurrency: pd.DataFrame, experiments: pd.DataFrame) -> str:
    """Which resource is used up first, and what to do: instances, batches, neither.

    Parameters
    ----------
    concurrency
        Table `evalkit.tables.CONCURRENCY`; what is like its last row counts.
    experiments
        Table `evalkit.tables.EXPERIMENTS`, for batches of the same.

    """
    if concurrency.empty:
        return "Instances beside each other have not been measured yet."
    same = (concurrency[CELL] == concurrency[CELL].iloc[-1]).all(axis=1)
    rows = concurrency[same].set_index("n_instances").sort_index()
    fitting = rows[rows["n_ok"] == rows.index]
    if 1 not in fitting.index:
        return "One instance alone did not work, or was not tried."
    speedup = fitting["speedup"].astype(float)
    n, best = fitting.index.max(), speedup.index[speedup * GAIN >= speedup.max()][0]
    if best < n:
        first = f"Computing is used up first, by {best} of the {n} instances that fit"
    elif n < rows.index.max():
        failure = rows.loc[rows.index > n, "outcome"].iloc[0]
        first = (
            f"Room is used up first: {n} instances fit, with more there is {failure}"
        )
    else:
        first = f"Nothing is used up by {n} instances, the most that were tried"
    most, busy = fitting.loc[n], fitting.loc[best, "gpu_busy_percent"]
    total = (
        f"{most['memory_total_mib']:,.0f}" if most.notna()["memory_total_mib"] else "?"
    )
    evidence = (
        f"{n} take {most['memory_mib']:,.0f} of {total} MiB, {most['memory_kind']}"
    )
    if pd.notna(busy):
        evidence += f"; with {best}, NVML's utilisation is {busy:.0f} %"
    gain, n_pictures = _batches(rows.iloc[0], experiments)
    choice = f"{best} instances" if best > 1 else "one instance"
    if gain >= GAIN * speedup[best]:
        choice = f"one instance with batches of {n_pictures}"
    batches = f"batches up to {gain:.2f}" if n_pictures else "batches not measured"
    return (
        f"{first} ({evidence}). Best is {choice}: more instances make up to "
        f"{speedup.max():.2f} times the pictures of one, {batches}."
    )


def _batches(row: pd.Series, experiments: pd.DataFrame) -> tuple[float, int]:
    """The best throughput of batches over that of single pictures, and its size."""
    same = (experiments[CELL] == row[CELL]).all(axis=1)
    is_batch = experiments["experiment"] == "batch"
    rates = experiments[same & is_batch].set_index("value")["pictures_per_s"]
    rates = rates.dropna().astype(float)
    if "1" not in rates.index or len(rates) < 2:
        return 1.0, 0
    return float(rates.max() / rates["1"]), int(rates.idxmax())


ENTRIES = (
    Experiment(
        name="concurrency",
        axis="instances",
        values=INSTANCES,
        measure=lambda _, run, condition, images, numbers, how: measure_concurrency(
            run, condition, images, instances=numbers, **vars(how)
        ),
        summarise=summarise_concurrency,
        table=CONCURRENCY,
        draw=lambda records, table: figures.instances(table, records),
        figure="instances",
        notebook="40_stability",
        parameters=lambda n: {"instances": [*INSTANCES] if n else []},
        failure_is_result=True,
    ),
)
