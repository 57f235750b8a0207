"""Figures of experiments: sweeps, series of runs, memory over time."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator

from evalkit.figures._style import FAINT, INK, TEXT_PT, new_figure, wrap
from evalkit.records import in_words

WIDTH_PX, PANEL_PX = 1400, 330
MARKS = "osD^vX"
LEGEND_COLUMNS, LEGEND_PX, TITLE_PX = 2, 600, 620
"""Columns of a legend across the figure, the room of a name and of a panel's title."""

LEGEND_LINE_PX, LEGEND_LINES = 25, 2
"""Height of a line of a legend, and how many have room without more."""

LEGEND = {"fontsize": TEXT_PT, "frameon": False}
BANDS = ("0.96", "0.86")
LEAST_SHARE = 0.012
"""A stage with less of the time has no room for its name."""


def sweeps(experiments: pd.DataFrame) -> Figure:
    """Time for a picture and peak memory against what was varied.

    Parameters
    ----------
    experiments
        Table `evalkit.tables.EXPERIMENTS`. Experiments of one value have no panel; a
        value that failed is a cross.

    """
    varied = experiments[experiments["value"].notna()]
    kinds = [part for _, part in varied.groupby("experiment", sort=False)]
    parts = [_in_lines(part) for part in kinds if part["value"].nunique() > 1]
    n_lines = [part.groupby(whose(part)).ngroups for part in parts]
    n_legend = math.ceil(max(n_lines, default=0) / LEGEND_COLUMNS)
    title = "what it costs, by what is varied"
    figure, panels = _panels(max(1, len(parts)), title, n_legend=n_legend)
    for part, (left, right) in zip(parts, panels, strict=False):
        name, values = part["axis"].iloc[0], part["value"].unique()
        on_gpu = part["nvml_process_peak_mib"].notna().any()
        memory = "nvml_process_peak_mib" if on_gpu else "peak_rss_mib"
        left.set_ylabel("s for a picture")
        right.set_ylabel("GPU memory, MiB" if on_gpu else "peak RSS, MiB")
        for axes, column in ((left, "per_picture_s"), (right, memory)):
            _lines(axes, part, column)
            axes.set_xticks(range(len(values)), values)
            axes.set_xlabel(name, fontsize=TEXT_PT)
        above = {"bbox_to_anchor": (0, 1), "ncols": LEGEND_COLUMNS, **LEGEND}
        literal(left.legend(loc="lower left", **above))
    return figure


def _in_lines(part: pd.DataFrame) -> pd.DataFrame:
    """Rows of one experiment by value, which `whose` groups to lines through all."""
    values = sorted(part["value"].unique(), key=lambda value: (len(value), value))
    part = part.assign(
        axis=part["axis"].fillna(part["experiment"]),
        condition=part["base_condition"].fillna(part["condition"]),
        source=part["base_source"].fillna(part["source"]),
        at=part["value"].map(values.index),
    )
    return part.sort_values("at", kind="stable")


def _lines(axes: Axes, part: pd.DataFrame, column: str) -> None:
    for number, (names, rows) in enumerate(part.groupby(whose(part), sort=False)):
        y = rows[column].to_numpy(float, na_value=np.nan)
        grey = ("0.1", "0.45", "0.7")[(number + number // len(MARKS)) % 3]
        (label,) = wrap(", ".join(names), LEGEND_PX, TEXT_PT, 1)
        mark = MARKS[number % len(MARKS)]
        axes.plot(rows["at"], y, marker=mark, color=grey, label=label)
        failed = rows.loc[rows["n_failed"].fillna(0) > 0, "at"]
        axes.plot(failed, np.zeros(len(failed)), "x", color=INK, markersize=8)
    is_known = part[column].notna().any()
    axes.set_ylim(0, 1.15 * float(part[column].max()) if is_known else 1)


def whose(frame: pd.DataFrame) -> list[str]:
    """The columns that name one series of rows; the machine where there are several."""
    is_one = frame["machine"].nunique() < 2
    return ["condition", "source"] if is_one else ["condition", "source", "machine"]


def series(records: pd.DataFrame) -> Figure:
    """Time and peak memory of each run in turn, and the outcomes of failed ones.

    Parameters
    ----------
    records
        Table `evalkit.tables.RECORDS`, of stability series.

    """
    kinds = ["experiment", "value", *whose(records)]
    groups = list(records.groupby(kinds, sort=False, dropna=False))
    title = "runs in a row   ○ warm   △ cold   × failed"
    figure, panels = _panels(max(1, len(groups)), title)
    for ((experiment, batch, *cell), runs), (left, right) in zip(
        groups, panels, strict=False
    ):
        names = [in_words(experiment, batch), *cell]
        on_gpu = runs["nvml_process_peak_mib"].notna().any()
        memory = "nvml_process_peak_mib" if on_gpu else "peak_rss_mib"
        write_title(left, names)
        left.set_ylabel("wall time, s")
        right.set_ylabel("GPU memory, MiB" if on_gpu else "peak RSS, MiB")
        failed = runs[runs["outcome"] != "ok"]
        for axes, column in ((left, "wall_time_s"), (right, memory)):
            for phase, mark in (("cold", "^"), ("warm", "o")):
                part = runs[runs["phase"] == phase]
                y = part[column].to_numpy(float, na_value=np.nan)
                axes.plot(part["run"], y, mark, mfc="none", color=INK, markersize=4)
            axes.set_xlabel("run", fontsize=TEXT_PT)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_xlim(0, int(runs["run"].max()) + 1)
            from_zero(axes)  # a few KiB more would look like a leak
            for record in failed.to_dict("records"):
                _failed(axes, record["run"], record["outcome"])
    return figure


def from_zero(axes: Axes) -> None:
    """Begin the upright axis at 0, and leave room for the marks at its top."""
    axes.set_ylim(0, 1.08 * axes.get_ylim()[1])


def write_title(axes: Axes, names: Sequence[str], pad: float | None = None) -> None:
    """Write what a panel shows, in one line over its left end."""
    (title,) = wrap(" · ".join(names), TITLE_PX, TEXT_PT, 1)
    axes.set_title(title, fontsize=TEXT_PT, loc="left", pad=pad, parse_math=False)


def literal(legend: Legend) -> None:
    """Take the names in a legend for names, also with dollar signs in them."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def _failed(axes: Axes, run: int, outcome: str) -> None:
    across = axes.get_xaxis_transform()
    axes.plot([run], [0.04], "x", color=INK, transform=across, clip_on=False)
    axes.axvline(run, color="0.8", linewidth=0.8, zorder=0)
    axes.text(
        run, 0.12, outcome, transform=across, rotation=90, ha="center", fontsize=TEXT_PT
    )


def timeline(samples: pd.DataFrame) -> Figure:
    """Memory over time, with the stages of loading and of each run as bands.

    Parameters
    ----------
    samples
        Table `evalkit.tables.TIMELINE`.

    """
    kinds = list(samples.groupby(whose(samples), sort=False))
    figure, panels = _panels(max(1, len(kinds)), "memory over time", n_columns=1)
    for (names, rows), (axes,) in zip(kinds, panels, strict=False):
        time_s = rows["time_s"].to_numpy(float)
        write_title(axes, names, pad=50)
        axes.set(ylabel="MiB", xlim=(0, time_s[-1]))
        axes.set_xlabel("time since loading began, s", fontsize=TEXT_PT)
        lines = {"rss_mib": ("RSS", "-"), "process_mib": ("process on GPU", "--")}
        for column, (label, style) in lines.items():
            if rows[column].notna().any():
                y = rows[column].to_numpy(float, na_value=np.nan)
                axes.plot(time_s, y, style, color=INK, label=label)
        from_zero(axes)
        axes.legend(loc="lower right", **LEGEND)
        _bands(axes, rows["stage"].fillna("").to_numpy(), time_s)
    return figure


def _bands(axes: Axes, stages: np.ndarray, time_s: np.ndarray) -> None:
    starts = [0, *(np.flatnonzero(stages[1:] != stages[:-1]) + 1), len(stages) - 1]
    for number, (first, last) in enumerate(pairwise(starts)):
        if not stages[first]:
            continue
        begin, end = time_s[first], time_s[last]
        axes.axvspan(begin, end, color=BANDS[number % 2], linewidth=0, zorder=0)
        if end - begin >= LEAST_SHARE * (time_s[-1] - time_s[0]):
            axes.text(
                (begin + end) / 2,
                1.02,
                stages[first],
                transform=axes.get_xaxis_transform(),
                rotation=40,
                fontsize=TEXT_PT - 1,
                color=FAINT,
            )


def _panels(
    n_rows: int, title: str, n_columns: int = 2, n_legend: int = 0
) -> tuple[Figure, list[list[Axes]]]:
    """Rows of panels, with room for a legend of `n_legend` lines above each."""
    more_px = LEGEND_LINE_PX * max(0, n_legend - LEGEND_LINES)
    height = 90 + (PANEL_PX + more_px) * n_rows + (0 if n_columns > 1 else 60)
    figure = new_figure(WIDTH_PX, height)
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    figure.subplots_adjust(
        left=0.07,
        right=0.985,
        top=1 - ((110 if n_columns > 1 else 170) + more_px) / height,
        bottom=70 / height,
        hspace=0.55 + 1.55 * more_px / (PANEL_PX - 110),
        wspace=0.18,
    )
    for axes in grid.flat:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=TEXT_PT)
        axes.yaxis.label.set_fontsize(TEXT_PT)
    figure.text(
        16 / WIDTH_PX, 1 - 16 / height, title, fontsize=10, weight="bold", va="top"
    )
    return figure, grid.tolist()
