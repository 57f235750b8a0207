"""Several instances on one device: their throughput together, and how many fit."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from evalkit import figures
from evalkit.errors import INTERRUPTED
from evalkit.profiling.budget import total_mib
from evalkit.profiling.concurrency import run_together
from evalkit.profiling.experiments import REPEATS
from evalkit.provenance import machine
from evalkit.stats.bootstrap import median_interval
from evalkit.study.attempt import attempt, in_short
from evalkit.study.experiment import Experiment
from evalkit.study.groups import choose, condition_facts, newest
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import CELL, Run
from evalkit.study.runner import compute
from evalkit.tables import CONCURRENCY, RECORDS

INSTANCES = (1, 2, 3, 4, 6, 8)
GATED = "evalkit.study.worker:gated_cell"
GAIN = 1.1
"""So many times the throughput are worth more instances, or batches in their place."""

OF_WAY = (
    *("n_instances", "n_pictures", "gain", "outcome", "memory_mib"),
    *("memory_total_mib", "memory_kind", "gpu_busy_percent"),
)


def measure_concurrency(
    run: Run,
    condition: str,
    images: pd.DataFrame,
    *,
    instances: Sequence[int] = INSTANCES,
    repeats: int = 0,
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
        How many run at once, each number in turn.
    repeats
        Warm runs of each instance; 0 for 7.
    n_sources
        The first sources of the table; 0 for all.
    seed
        The seed of the order of these numbers and of the sources.

    Returns
    -------
    DataFrame
        Records of these groups (`evalkit.tables.RECORDS`).

    """
    chosen = choose(images, n_sources, seed)
    parts = [RECORDS.frame([])]
    for n in np.random.default_rng(seed).permutation(instances):
        what = Measurement(
            run,
            condition,
            "concurrency",
            str(n),
            n_warm=repeats or REPEATS,
            function=GATED,
        )
        parts.append(compute(what, chosen, say, _run_group))
    return pd.concat(parts, ignore_index=True)


def _run_group(
    what: Measurement, row: Mapping[str, Any], key: str, cell: pd.DataFrame
) -> str:
    """Run the instances of one cell, and keep the records of all of them at once."""

    def instance(
        number: int, barrier: str, is_ready: Callable[[], None]
    ) -> list[dict[str, Any]]:
        series = list[dict[str, Any]]()

        def keep(_: Run, record: dict[str, Any]) -> None:
            if record["outcome"] == INTERRUPTED:  # whatever comes takes its place
                record |= {"run": 1, "phase": "cold"}
            series.append(record | {"instance": number + 1})
            is_ready()

        attempt(what, row, key, cell, keep=keep, barrier=barrier)
        return series

    instances = run_together(int(str(what.value)), instance)
    records = [record for series in instances for record in series]
    for record in records:
        if record["outcome"] == INTERRUPTED:  # of a group, all or nothing is known
            what.run.records.append([record])
            return in_short(record)
    what.run.records.append(records)
    n_ok = sum(series[-1]["outcome"] == "ok" for series in instances)
    return f"{n_ok} of {len(instances)} instances ok"


def summarise_concurrency(run: Run) -> pd.DataFrame:
    """Throughput, latency and memory of each number of instances.

    Throughput is the sum of each instance's own, from the start of its first warm
    picture to the end of its last, so that one which is done early does not count as
    idle. The interval of its ratio to that of one instance is what those of the median
    latencies allow, and that ratio itself; null below 6 runs. Memory is what NVML saw
    the device lose; without a GPU it is the sum of the peak resident sets.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.CONCURRENCY`, also written to the run's tables.

    """
    records = newest(run, "concurrency")
    machine_name = machine()["machine"]
    rows = []
    for names, cell in records.groupby([*CELL, "value"], sort=False):
        n = int(str(names[-1]))
        row = dict(zip(CELL, names[:-1], strict=True)) | {"n_instances": n}
        if row["machine"] == machine_name:
            setting = json.loads(cell["setting"].iloc[-1])
            row["memory_total_mib"] = total_mib(setting.get("device", "cpu"))
        rows.append(row | _together(cell, n))
    frame = CONCURRENCY.frame(rows).sort_values([*CELL, "n_instances"])
    single = frame[frame["n_instances"] == 1].set_index(CELL)
    alone = single.reindex(pd.MultiIndex.from_frame(frame[CELL])).set_index(frame.index)
    frame["speedup"] = frame["throughput_per_s"] / alone["throughput_per_s"]
    for side, other in (("low", "high"), ("high", "low")):
        alone_s = alone[f"latency_{side}_s"] * frame["n_ok"]
        bound = alone_s / frame[f"latency_{other}_s"]
        # instances that are not alike: the sum of each one's own lies beyond the median
        outer = {"low": np.fmin, "high": np.fmax}[side]
        frame[f"speedup_{side}"] = outer(bound, frame["speedup"]).where(bound.notna())
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
    columns = {
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
        columns |= failed.iloc[0][["outcome", "error"]]
    if len(warm):
        starts = warm["started_at"].map(datetime.fromisoformat)
        ends = starts + pd.to_timedelta(latencies, unit="s")
        passed = ends.groupby(instance).max() - starts.groupby(instance).min()
        rates = warm.groupby("instance").size() / passed.dt.total_seconds()
        columns["throughput_per_s"] = rates.sum()
    return columns


def advise_concurrency(
    concurrency: pd.DataFrame, experiments: pd.DataFrame
) -> pd.DataFrame:
    """Ways to restore more pictures at once; the simplest that gains most is the best.

    Parameters
    ----------
    concurrency
        Table `evalkit.tables.CONCURRENCY`; what is like its last row counts.
    experiments
        Table `evalkit.tables.EXPERIMENTS`, for batches of the same.

    Returns
    -------
    DataFrame
        A row for each number of instances, then for each of pictures in a batch:
        ``n_instances, n_pictures``, ``gain`` (pictures in a time over those of one
        instance with one picture; null where an instance failed), ``outcome,
        memory_mib, memory_total_mib, memory_kind, gpu_busy_percent`` of instances, and
        ``is_best`` of the first row within a factor of `GAIN` of the largest gain.
        No row is the best where one instance alone did not work.

    """
    cell = concurrency[CELL].tail(1)
    beside = concurrency.merge(cell).sort_values("n_instances", ignore_index=True)
    worked = beside["n_ok"] == beside["n_instances"]
    beside = beside.assign(n_pictures=1, gain=beside["speedup"].where(worked))
    batches = experiments[experiments["experiment"] == "batch"].merge(cell)
    rate, n_pictures = batches["pictures_per_s"], batches["value"].astype("Int64")
    gain = rate / rate[n_pictures == 1].max()
    batches = pd.DataFrame({"n_instances": 1, "n_pictures": n_pictures, "gain": gain})
    batches = batches[n_pictures > 1].dropna().sort_values("n_pictures")
    ways = pd.concat([beside, batches], ignore_index=True)[list(OF_WAY)]
    gains = ways["gain"].astype(float)
    alone = gains[(ways["n_instances"] == 1) & (ways["n_pictures"] == 1)]
    is_good = (gains * GAIN >= gains.max()) & alone.notna().any()
    return ways.assign(is_best=is_good & (is_good.cumsum() == 1))


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
