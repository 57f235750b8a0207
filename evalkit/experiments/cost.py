"""What one condition costs on the pictures of a study: times, memory, meters."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from evalkit import figures
from evalkit.experiments._floors import Rates
from evalkit.experiments._stages import median_stages, restore_time_s
from evalkit.profiling.experiments import most_cold
from evalkit.stats.bootstrap import median_coverage, median_interval
from evalkit.study.experiment import Experiment
from evalkit.study.groups import arithmetic, choose, condition_facts
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import CELL, Run
from evalkit.study.runner import compute
from evalkit.tables import COST, IMAGES


def measure_cost(
    run: Run,
    condition: str,
    images: pd.DataFrame,
    *,
    n_sources: int = 1,
    repeats: int = 0,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Time one condition: cold runs and warm runs of each source, in fresh processes.

    The device's rates, if they are not known, are measured then for `summarise_floors`.
    From 6 repeats on two processes share them. Each begins with a cold run; from 15
    repeats on its runs are cold until times are stable, at most a fifth of `repeats`
    after the first.

    Parameters
    ----------
    run
        Gets records of the experiment ``cost``.
    condition, images, say
        As in `restore`.
    n_sources
        The first sources of the table; 0 for all.
    repeats
        Warm runs of each source; 0 for 7, or 3 of a source that takes 5 s or more.
    seed
        The seed of the order of the sources, which ``started_at`` keeps.

    Returns
    -------
    DataFrame
        As in `restore`, one row a run.

    """
    what = Measurement(run, condition, "cost", **repeated(repeats))
    records = compute(what, choose(images, n_sources, seed), say)
    if precision := what.plan.resolved.get("precision"):
        kind = arithmetic(precision, records)
        # with the cores that the runs had: `make study` gives other steps fewer
        Rates(run)(what.machine, what.device, kind, what.preload)
    return records


def summarise_cost(run: Run) -> pd.DataFrame:
    """Make the cost table of all cost records of the pictures at hand.

    The median of the warm runs stands with its order-statistic interval, whose true
    coverage ``wall_time_spread`` says; below 6 runs it has none, and the spread is the
    range. Memory is the largest of all processes.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.COST`, also written to the run's tables.

    """
    images = run.read(IMAGES).set_index("source")
    quality = run.quality().set_index(["condition", "source"])["output_sha256"]
    rows = []
    for names, cell in run.cost().groupby(CELL, sort=False):
        row = dict(zip(CELL, names, strict=True))
        for side in ("width_px", "height_px"):
            row[f"source_{side}"] = images.loc[row["source"], side]
        expected = quality.get((row["condition"], row["source"]))
        rows.append(row | cost_of(cell, expected))
    return run.keep(COST, rows)


def cost_of(cell: pd.DataFrame, quality_sha256: str | None) -> dict[str, Any]:
    """What the records of a cell say, by columns of the table ``cost``."""
    ok = cell[cell["outcome"] == "ok"]
    notes = ok["notes"].iloc[-1] if len(ok) else pd.NA
    return {
        **condition_facts(cell),
        "n_runs": int((ok["phase"] == "warm").sum()),
        "n_processes": int(ok["load_time_s"].notna().sum()),
        "n_failed": len(cell) - len(ok),
        **times_of(ok),
        "stages_s": median_stages(ok[ok["phase"] == "warm"]),
        "peak_rss_mib": ok["peak_rss_mib"].max(),
        "cuda_reserved_peak_mib": ok["cuda_reserved_peak_mib"].max(),
        "nvml_process_peak_mib": ok["nvml_process_peak_mib"].max(),
        **meters_of(ok),
        "tf32": ok["tf32"].iloc[-1] if len(ok) else None,
        "same_as_quality": None
        if quality_sha256 is None
        else bool((ok["output_sha256"] == quality_sha256).all()),
        "notes": json.loads(notes) if pd.notna(notes) else None,
    }


def meters_of(ok: pd.DataFrame) -> dict[str, Any]:
    """Utilisation and power of the last warm series, whose last run tells all of it."""
    warm = ok[ok["phase"] == "warm"]
    if warm.empty:
        return {}
    last = warm.iloc[-1]
    energy_j = last["energy_j"] / last["wall_time_s"] * warm["wall_time_s"].median()
    names = ["gpu_busy_percent", "mean_power_w"]
    return {**last[names], "energy_j": energy_j}


def times_of(ok: pd.DataFrame) -> dict[str, float | None]:
    """The times of runs that ended ok, by columns of ``cost`` and ``backends``."""
    cold, warm = ok[ok["phase"] == "cold"], ok[ok["phase"] == "warm"]
    times = warm["wall_time_s"].to_numpy(float)
    low, high = median_interval(times)
    return {
        "cold_wall_time_s": _first(cold["wall_time_s"]),
        "load_time_s": _first(cold["load_time_s"]),
        "wall_time_s": float(np.median(times)) if len(times) else None,
        "wall_time_low_s": low,
        "wall_time_high_s": high,
        "wall_time_min_s": warm["wall_time_s"].min(),
        "wall_time_max_s": warm["wall_time_s"].max(),
        "wall_time_spread": spread_in_words(len(times)),
        "restore_time_s": restore_time_s(warm),
    }


def spread_in_words(n: int) -> str | None:
    """What the spread beside a median of `n` runs is; null where there is none."""
    if n < 2:
        return None
    coverage = median_coverage(n)
    if coverage is None:
        return f"range of {n} runs"
    return f"interval of the median, coverage {100 * coverage:.1f} %"


def repeated(repeats: int) -> dict[str, Any]:
    """How `Measurement` repeats the runs of a cell; 0 for the number of the default."""
    n_warm = repeats or None
    arguments = {"max_warm_up": most_cold(n_warm)}
    return {"n_warm": n_warm, "n_processes": 2, "arguments": arguments}


def _first(column: pd.Series) -> float | None:
    return float(column.iloc[0]) if column.notna().any() else None


ENTRIES = (
    Experiment(
        name="cost",
        measure=lambda _, run, condition, images, _values, how: measure_cost(
            run, condition, images, **vars(how)
        ),
        summarise=summarise_cost,
        table=COST,
        draw=lambda records, table: figures.wall_times(records, table),
        figure="cost",
        has_floor=True,
        is_asked_for=False,
    ),
)
