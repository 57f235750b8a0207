"""Stability: many runs of one condition, and how each of them ends."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from evalkit import figures
from evalkit.profiling.experiments import (
    SLOW_REPEATS,
    Interval,
    failure_rate,
    most_cold,
    slope,
)
from evalkit.records import SERIES
from evalkit.study.attempt import in_short, keep_new, start
from evalkit.study.experiment import Experiment
from evalkit.study.groups import GROUP, choose, condition_facts, first_failure, newest
from evalkit.study.interrupted import count_interrupted
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import Run
from evalkit.study.runner import compute
from evalkit.tables import STABILITY

PLAIN, FRESH = SERIES


def measure_stability(
    run: Run,
    condition: str,
    images: pd.DataFrame,
    *,
    n_runs: int = 50,
    batch: int = 1,
    fresh: bool = False,
    seed: int = 0,
    n_sources: int = 1,
    timeout_s: float = 600.0,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Restore a source many times in a row, and record how each time ended.

    A run that fails (out of memory, killed, hanging) ends its process and is a record;
    the series goes on in a new process, whose first run is cold.

    Parameters
    ----------
    run
        Gets records of `PLAIN` or `FRESH`; their value is `batch`, null for 1.
    condition, images, say
        As in `evalkit.study.restore`.
    n_runs
        Runs in a row; a larger number later adds to those that are there.
    batch
        Copies of the picture in each run.
    fresh
        Whether each run has a process of its own.
    seed, n_sources
        As in `evalkit.experiments.measure_cost`.
    timeout_s
        The limit of one run, the first of a process with the loading.

    Returns
    -------
    DataFrame
        Records of this series, one row a run (`evalkit.tables.RECORDS`).

    """
    arguments = {
        "batch": batch,
        "max_warm_up": most_cold(n_runs),
        "timeout_s": timeout_s,
    }
    what = Measurement(
        run,
        condition,
        FRESH if fresh else PLAIN,
        str(batch) if batch > 1 else None,
        runs=range(1, n_runs + 1),
        arguments=arguments,
    )
    return compute(what, choose(images, n_sources, seed), say, _go_on)


def _go_on(
    what: Measurement, row: Mapping[str, Any], key: str, cell: pd.DataFrame
) -> str:
    """Run what is missing of one cell; after a failure go on in a new process."""
    facts, outcomes = what.facts(row, key), Counter[str]()
    missing = sorted({*(what.runs or ())} - set(cell["run"]))
    while missing:
        runs = missing[:1] if what.experiment == FRESH else missing
        completed: list[Any] = []

        def take(columns: dict[str, Any], completed: list[Any] = completed) -> None:
            completed.append(columns)
            keep_new(what.run, facts | columns)

        ended = start(what, row, take, runs=runs)
        n_done = len(completed)
        outcomes["ok"] += n_done
        if n_done:
            count_interrupted(what.run.interrupted, "ok")
        if ended["outcome"] != "ok" and n_done < len(runs):
            failed = {"run": runs[n_done], "phase": "warm" if n_done else "cold"}
            keep_new(what.run, {**facts, **ended, **failed})
            outcomes[ended["outcome"]] += 1
            count_interrupted(what.run.interrupted, in_short(ended))
            n_done += 1
        missing = missing[n_done:]
    return ", ".join(f"{n} {outcome}" for outcome, n in outcomes.items() if n)


def summarise_stability(run: Run) -> pd.DataFrame:
    """One row for each series: failures, equality of outputs, leak, drift, heat.

    Slopes are of the warm runs, each process at a level of its own (see
    `evalkit.profiling.experiments.slope`); a series of fresh processes has no slope of
    memory.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.STABILITY`, also written to the run's tables.

    """
    records = newest(run, PLAIN, FRESH)
    quality = run.quality().set_index(["condition", "source"])["output_sha256"]
    rows = []
    for names, series in records.groupby(GROUP, sort=False, dropna=False):
        row = dict(zip(GROUP, names, strict=True))
        expected = quality.get((row["condition"], row["source"]))
        rows.append(row | _summary(series.sort_values("run"), expected))
    return run.keep(STABILITY, rows)


def _summary(series: pd.DataFrame, quality_sha256: str | None) -> dict[str, Any]:
    ok = series[series["outcome"] == "ok"]
    failed = series.drop(ok.index)
    is_fresh = series["experiment"].iloc[0] == FRESH
    starts = series["load_time_s"].notna()  # the loading stands with the first run
    starts |= (series["outcome"] != "ok") & (series["phase"] == "cold")
    process = starts.astype(int).cumsum()
    timed = ok if is_fresh else ok[ok["phase"] == "warm"]
    outputs, rate = ok["output_sha256"], failure_rate(len(failed), len(series))
    is_same = None
    if quality_sha256 is not None and len(ok):
        is_same = bool((outputs == quality_sha256).all())
    throttled = sorted(series["throttle_reasons"].dropna().unique())
    return {
        **condition_facts(series),
        "n_runs": len(series),
        "n_processes": process.nunique(),
        "outcomes": dict(Counter(series["outcome"])),
        "first_failed_run": failed["run"].iloc[0] if len(failed) else None,
        "failure": first_failure(failed),
        "failure_rate": rate.value,
        "failure_low": rate.low,
        "failure_high": rate.high,
        "n_outputs": outputs.nunique() if len(ok) else None,
        "same_as_quality": is_same,
        "temperature_low_c": series["temperature_c"].min(),
        "temperature_high_c": series["temperature_c"].max(),
        "sm_clock_low_mhz": series["sm_clock_mhz"].min(),
        "sm_clock_high_mhz": series["sm_clock_mhz"].max(),
        "throttle_reasons": "; ".join(throttled) or None,
        **_growth(timed, process[timed.index], is_fresh=is_fresh),
    }


def _growth(
    timed: pd.DataFrame, process: pd.Series, *, is_fresh: bool
) -> dict[str, float | None]:
    """The slopes of time and, within processes, of memory."""
    median = timed["wall_time_s"].median()
    relative = 100 * timed["wall_time_s"] / median
    by_nvml = timed["nvml_process_peak_mib"]
    reserved = timed["cuda_reserved_peak_mib"]
    slopes = {"drift{}_percent": _slope(relative, None if is_fresh else process)}
    if not is_fresh:
        slopes["rss_slope{}_mib"] = _slope(timed["peak_rss_mib"], process)
        on_gpu = by_nvml if by_nvml.notna().any() else reserved
        slopes["gpu_slope{}_mib"] = _slope(on_gpu, process)
    columns: dict[str, float | None] = {"wall_time_s": median}
    for name, interval in slopes.items():
        if interval is not None:
            parts = zip(("", "_low", "_high"), interval, strict=True)
            columns |= {name.format(part): value for part, value in parts}
    return columns


def _slope(column: pd.Series, process: pd.Series | None) -> Interval | None:
    values = column.dropna()
    groups = None if process is None else process[values.index].to_numpy()
    return slope(values.to_numpy(float), groups)


ENTRIES = (
    Experiment(
        name="stability",
        records=SERIES,
        axis="pictures of a run's batch",
        values=(1, 5),
        measure=lambda _, run, condition, images, batches, how: pd.concat(
            [
                measure_stability(
                    run,
                    condition,
                    images,
                    n_runs=how.repeats or SLOW_REPEATS,
                    batch=batch,
                    seed=how.seed,
                    n_sources=how.n_sources,
                    say=how.say,
                )
                for batch in batches
            ]
        ),
        summarise=summarise_stability,
        table=STABILITY,
        draw=lambda records, _: figures.series(records),
        figure="series",
        notebook="40_stability",
        parameters=lambda n: {"n_runs": n, "n_fresh": n, "batch": 5},
    ),
)
