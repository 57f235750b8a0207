"""What an experiment is, and the one way to find those that there are."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalkit.discover import discover
from evalkit.study.run_folder import Run
from evalkit.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROOM = "evalkit.experiments"
"""The room of experiments. It lies above this one, so it is imported by its name."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How often is measured, on which sources, in which order.

    See `evalkit.experiments.measure_experiment`.
    """

    repeats: int
    n_sources: int
    seed: int
    say: Callable[[str], None]


Measure = Callable[[Any, Run, str, pd.DataFrame, Sequence[Any], Sampling], pd.DataFrame]
"""Measures a condition on pictures (`IMAGES`) at values; returns the records.

Its first argument is the experiment itself. What is there is not measured again.
"""

Draw = Callable[[pd.DataFrame, pd.DataFrame], "Figure"]
"""Draws records of an experiment and its table."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment: what it varies, and how that is measured, summarised and drawn.

    Attributes
    ----------
    name
        Its name in study.yaml, and in its records where `records` is empty.
    values, values_on_cpu
        What it tries where there is a GPU, and where there is none; the same if empty.
    axis
        What its values are, on the axis of a figure; empty for the name.
    measure
        See `Measure`.
    summarise
        Writes the table of all its records in the run, and returns it.
    table
        The table that `summarise` writes.
    draw
        See `Draw`.
    figure
        The name of that figure; experiments with one name have one figure.
    is_of_pictures
        Whether its values are how many pictures a call restores.
    has_floor
        Whether the table ``floors`` has its times and memory.
    records
        The experiments of its records, the column ``experiment``.
    notebook
        The notebook that measures it.
    parameters
        That notebook's parameters for so many repeats, 0 if the study leaves it out.
    is_asked_for
        Whether study.yaml names it. The cost of one picture is always measured.
    failure_is_result
        Whether it asks how much fails, so that nothing is tried again.

    """

    name: str
    measure: Measure
    summarise: Callable[[Run], pd.DataFrame]
    table: Table
    draw: Draw
    figure: str
    values: Sequence[Any] = ()
    values_on_cpu: Sequence[Any] = ()
    axis: str = ""
    is_of_pictures: bool = False
    has_floor: bool = False
    records: tuple[str, ...] = ()
    notebook: str = "30_cost"
    parameters: Callable[[int], Mapping[str, Any]] = lambda _: {}
    is_asked_for: bool = True
    failure_is_result: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What the column ``experiment`` has for it."""
        return self.records or (self.name,)

    def n_pictures(self, value: Any) -> int:
        """How many pictures a call restores at that value."""
        return int(value) if self.is_of_pictures else 1


@cache
def experiments() -> Mapping[str, Experiment]:
    """Every experiment by its name."""
    return discover(importlib.import_module(ROOM), Experiment)


def asked_for() -> list[str]:
    """The names that study.yaml may have, those of one notebook together."""
    entries = sorted(experiments().values(), key=attrgetter("notebook"))
    return [entry.name for entry in entries if entry.is_asked_for]


def of_records() -> Mapping[str, Experiment]:
    """Every experiment by each name that the column ``experiment`` has for it."""
    return {name: entry for entry in experiments().values() for name in entry.names}


def by_notebook(names: Sequence[str], repeats: int) -> dict[str, dict[str, Any]]:
    """What a study of these experiments asks of each notebook that measures some.

    ``experiments`` are those it measures, in alphabetical order; ``parameters`` are
    the values that they give to its parameters.
    """
    notebooks: dict[str, dict[str, Any]] = {}
    for name, entry in sorted(experiments().items()):
        nothing: dict[str, Any] = {"experiments": [], "parameters": {}}
        notebook = notebooks.setdefault(entry.notebook, nothing)
        notebook["experiments"] += [name] * (name in names)
        notebook["parameters"] |= entry.parameters(repeats if name in names else 0)
    return notebooks
