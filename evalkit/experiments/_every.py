"""Any experiment by its name: measured, summarised, drawn."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalkit.errors import UnknownNameError
from evalkit.experiments._sweep import summarise_experiments
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.study.experiment import Sampling, experiments
from evalkit.study.run_folder import Run
from evalkit.tables import EXPERIMENTS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def measure_experiment(
    run: Run,
    experiment: str,
    condition: str,
    images: pd.DataFrame,
    *,
    values: Sequence[Any] = (),
    repeats: int = 0,
    n_sources: int = 1,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Measure one condition in one experiment, at each of its values.

    A sweep varies one thing and times each value as `measure_cost` does. A value
    that the restorer or this machine does not have is said and left out.

    Parameters
    ----------
    run
        Gets the records of the experiment.
    experiment
        One of `evalkit.study.experiment.experiments`.
    condition, images, n_sources, repeats, say
        As in `evalkit.experiments.measure_cost`.
    values
        They are tried in a shuffled order; empty for those of the experiment, fewer
        and smaller on a CPU.
    seed
        The seed of that order and of the sources'.

    Returns
    -------
    DataFrame
        Records of the experiment (`evalkit.tables.RECORDS`).

    Raises
    ------
    UnknownNameError
        No such experiment.

    """
    if experiment not in experiments():
        raise UnknownNameError("experiment", experiment, experiments())
    entry = experiments()[experiment]
    plan = plan_restorer(**parse_condition(condition))
    on_cpu = plan.resolved.get("device", "cpu") == "cpu"
    values = values or (on_cpu and entry.values_on_cpu) or entry.values
    how = Sampling(repeats=repeats, n_sources=n_sources, seed=seed, say=say)
    return entry.measure(entry, run, condition, images, values, how)


def summarise_named(run: Run, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Make the tables of these experiments, and of the plain cost beside sweeps.

    Returns
    -------
    dict
        The tables by their names; all are also written to the run's tables.

    """
    steps: dict[Callable[[Run], pd.DataFrame], str]
    steps = {summarise_experiments: EXPERIMENTS.name}
    for name in names:
        steps[experiments()[name].summarise] = experiments()[name].table.name
    return {table: summarise(run) for summarise, table in steps.items()}


def draw_named(
    run: Run,
    condition: str,
    names: Iterable[str],
    tables: Mapping[str, pd.DataFrame],
) -> "dict[str, Figure]":
    """Draw the figures of these experiments, by their names (`Experiment.figure`).

    Parameters
    ----------
    run, condition
        The run and the condition whose records are drawn.
    names
        Names of experiments; those of one figure are in it together.
    tables
        As `summarise_named` returns them.

    """
    entries = {experiments()[name].figure: experiments()[name] for name in names}
    drawn = {}
    for figure, entry in entries.items():
        records = run.at_hand(*entry.names)
        records = records[records["condition"] == condition]
        drawn[figure] = entry.draw(records, tables[entry.table.name])
    return drawn
