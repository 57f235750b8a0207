"""Sweeps: one thing is varied, each of its values is timed, all stand in one table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from evalkit import figures
from evalkit.errors import SettingError, UnknownNameError, WeightsError
from evalkit.experiments.cost import cost_of, repeated
from evalkit.profiling.experiments import highest_percentile, percentile_bound
from evalkit.restorers import condition_name, parse_condition, plan_restorer
from evalkit.study.experiment import Draw, Experiment, Measure, Sampling, of_records
from evalkit.study.groups import GROUP, choose, first_failure, newest
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import Run
from evalkit.study.runner import compute
from evalkit.tables import EXPERIMENTS, RECORDS, Table


def measure_sweep(
    entry: "Sweep",
    run: Run,
    condition: str,
    images: pd.DataFrame,
    values: Sequence[Any],
    how: Sampling,
) -> pd.DataFrame:
    """Time each of the values; see `evalkit.experiments.measure_experiment`."""
    chosen = choose(images, how.n_sources, how.seed)
    parts = [RECORDS.frame([])]
    for index in np.random.default_rng(how.seed).permutation(len(values)):
        value = values[index]
        try:
            what = _measurement(entry, run, condition, value, how.repeats)
        except (SettingError, UnknownNameError, WeightsError) as error:
            how.say(f"{entry.name} {value}: not for {condition} here: {error}")
            continue
        parts.append(compute(what, entry.prepare(run, chosen, value), how.say))
    return pd.concat(parts, ignore_index=True)


def _measurement(
    entry: "Sweep", run: Run, condition: str, value: Any, repeats: int
) -> Measurement:
    """What is measured at one value; an error if the restorer does not have it."""
    how = repeated(repeats)
    experiment, *beside = entry.names
    settings = parse_condition(condition)
    if entry.setting:
        settings[entry.setting] = value
        condition = condition_name(**settings)
    plan, recorded = plan_restorer(**settings), None if beside else value
    if entry.setting:
        recorded = plan.resolved.get(entry.setting)
    return Measurement(
        run,
        condition,
        experiment,
        None if recorded is None else str(recorded),
        n_warm=how["n_warm"],
        n_processes=how["n_processes"],
        arguments=how["arguments"] | entry.arguments(value),
        beside=tuple(beside),
        keeps_outputs=entry.keeps_outputs and plan.weights_kind != "random",
    )


def summarise_experiments(run: Run) -> pd.DataFrame:
    """One row for each value of each sweep, and for the plain cost beside them.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.EXPERIMENTS`, also written to the run's tables.

    """
    entries = {
        name: entry
        for name, entry in of_records().items()
        if entry.table is EXPERIMENTS and name == entry.names[0]
    }
    quality = run.quality().set_index(["condition", "source"])["output_sha256"]
    rows = []
    records = newest(run, "cost", *entries)
    for names, cell in records.groupby(GROUP, sort=False, dropna=False):
        row = dict(zip(GROUP, names, strict=True))
        row["base_source"] = cell["base_source"].iloc[0]
        is_made = pd.notna(row["base_source"])
        expected = quality.get((row["condition"], row["source"]))
        row |= cost_of(cell, None if is_made else expected)
        entry = entries.get(row["experiment"])
        n_pictures = entry.n_pictures(row["value"]) if entry else 1
        row |= _spread_of(cell, n_pictures, row["wall_time_s"])
        if isinstance(entry, Sweep):
            row |= {"axis": entry.axis or entry.name, **entry.columns(run, row, cell)}
            if entry.setting:
                settings = parse_condition(row["condition"])
                settings.pop(entry.setting, None)
                row["base_condition"] = condition_name(**settings)
        rows.append(row)
    return run.keep(EXPERIMENTS, sorted(rows, key=_order))


def _spread_of(
    cell: pd.DataFrame, n_pictures: int, median_s: float | None
) -> dict[str, Any]:
    ok = cell[cell["outcome"] == "ok"]
    times_s = ok.loc[ok["phase"] == "warm", "wall_time_s"].to_numpy(float)
    percent = int(highest_percentile(len(times_s)) or 0)
    columns = {
        "failure": first_failure(cell.drop(ok.index)),
        "per_picture_s": median_s and median_s / n_pictures,
        "pictures_per_s": median_s and n_pictures / median_s,
        **ok[["output_width_px", "output_height_px"]].max(),
    }
    if percent >= 50:
        bound_s = percentile_bound(times_s, percent)
        columns |= {"percentile": percent, "percentile_s": bound_s}
    return columns


def _order(row: Mapping[str, Any]) -> tuple[str, str, int, str]:
    """By experiment and restorer, then by value: 8 before 16."""
    value = "" if pd.isna(row["value"]) else row["value"]
    return row["experiment"], row["restorer"], len(value), value


@dataclass(frozen=True, kw_only=True)
class Sweep(Experiment):
    """An experiment whose values are timed as the plain cost is, in the same table.

    Attributes
    ----------
    setting
        The condition's setting that it varies; empty for none.
    arguments
        Arguments of `evalkit.study.worker.series_cell`, for a value.
    prepare
        Makes the sources for a value from the pictures.
    columns
        More columns of the table, from a row and the records of its cell.
    keeps_outputs
        Whether `columns` needs the pictures; none is kept of random weights.

    """

    measure: Measure = measure_sweep
    summarise: Callable[[Run], pd.DataFrame] = summarise_experiments
    table: Table = EXPERIMENTS
    draw: Draw = lambda _, table: figures.sweeps(table)
    figure: str = "sweeps"
    has_floor: bool = True
    setting: str = ""
    arguments: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    prepare: Callable[[Run, pd.DataFrame, Any], pd.DataFrame] = (
        lambda _run, images, _value: images
    )
    columns: Callable[[Run, Mapping[str, Any], pd.DataFrame], Mapping[str, Any]] = (
        lambda *_: {}
    )
    keeps_outputs: bool = False
