"""Figures of limits: memory budgets over picture size; instances on one device."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from evalkit.figures._cost import spread
from evalkit.figures._spread import (
    LEGEND,
    MARKS,
    _panels,
    from_zero,
    literal,
    whose,
    write_title,
)
from evalkit.figures._style import FAINT, INK, TEXT_PT, wrap


def frontier(budget: pd.DataFrame, asked_mib: int = 3072) -> Figure:
    """The smallest budget of memory over the picture's size, by condition and machine.

    The grey stroke below a mark ends at the largest budget that failed; a cross is the
    largest that was tried, where none works.

    Parameters
    ----------
    budget
        Table `evalkit.tables.BUDGET`.
    asked_mib
        Drawn as a line across.

    """
    limits = " and ".join(sorted(set(budget["limit"])))
    title = f"smallest memory budget that works (limit: {limits})   × none does"
    figure, ((axes,),) = _panels(1, title, n_columns=1)
    figure.set_figheight(1.7 * figure.get_figheight())
    figure.subplots_adjust(top=0.88, right=0.68, bottom=0.09)
    is_one = budget["machine"].nunique() < 2
    kinds = budget.groupby(["condition", "machine"], sort=False)
    for number, ((condition, machine), rows) in enumerate(kinds):
        rows = rows.set_index("longest_px").sort_index()
        rows = rows[["works_mib", "fails_mib", "largest_mib"]].astype(float)
        needs, fails, largest = (rows[name] for name in rows)
        mark, style = MARKS[number % len(MARKS)], ("-", "--", ":", "-.")[number % 4]
        who = condition if is_one else f"{condition}, {machine}"
        name = "\n".join(wrap(who, 330, TEXT_PT))
        axes.vlines(rows.index, fails.fillna(needs), needs, color="0.75", lw=4)
        axes.plot(
            needs,
            marker=mark,
            ls=style,
            color=INK,
            mfc="none",
            ms=7 + 2 * (number % 3),
            label=name,
        )
        axes.plot(largest[needs.isna()], "x", color=INK, ms=9)
    axes.axhline(asked_mib, color="0.6", zorder=0, label=f"{asked_mib:,} MiB")
    axes.set(xscale="log", yscale="log", ylabel="MiB (logarithmic)")
    axes.set_xticks(sorted(set(budget["longest_px"])))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7)))
    axes.minorticks_off()
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("longest side of the picture, px", fontsize=TEXT_PT)
    literal(axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), **LEGEND))
    return figure


def instances(concurrency: pd.DataFrame, records: pd.DataFrame) -> Figure:
    """Throughput, every raw latency and memory against the number of instances.

    Parameters
    ----------
    concurrency
        Table `evalkit.tables.CONCURRENCY`. A number that did not fit is a cross.
    records
        Table `evalkit.tables.RECORDS`, for the latencies.

    """
    kinds = list(concurrency.groupby(whose(concurrency), sort=False))
    title = "instances at once   ··· as many times one   × did not fit"
    figure, panels = _panels(max(1, len(kinds)), title, n_columns=3)
    figure.subplots_adjust(wspace=0.3)
    for (names, rows), (left, middle, right) in zip(kinds, panels, strict=False):
        rows = rows.set_index("n_instances").sort_index()
        rates = rows["throughput_per_s"].astype(float)
        unfit = rows.index[rows["n_ok"] < rows.index]
        write_title(left, names)
        left.set_ylabel("pictures per s, all together")
        middle.set_ylabel("s for a picture")
        right.set_ylabel(f"MiB, {rows['memory_kind'].iloc[0]}")
        left.plot(rows.index, rates.get(1, np.nan) * rows.index, ":", color=FAINT)
        left.plot(rates, marker="o", color=INK)
        is_same = records[whose(concurrency)] == list(names)
        _latencies(middle, records[is_same.all(axis=1)])
        right.bar(
            rows.index,
            rows["memory_mib"].astype(float),
            0.6,
            color="0.75",
            edgecolor=INK,
        )
        for axes in (left, middle, right):
            axes.plot(unfit, np.zeros(len(unfit)), "x", color=INK, ms=8, clip_on=False)
            axes.set_xlabel("instances", fontsize=TEXT_PT)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            from_zero(axes)
    return figure


def _latencies(axes: Axes, records: pd.DataFrame) -> None:
    is_it = records["experiment"] == "concurrency"
    warm = records[is_it & (records["phase"] == "warm")]
    for n, runs in warm.groupby(warm["value"].astype(int)):
        times = runs["wall_time_s"].dropna().to_numpy(float)
        places = n + spread(len(times), 0.2)
        axes.plot(places, times, "o", mfc="none", color=INK, ms=4)
        axes.plot([n - 0.3, n + 0.3], [np.median(times)] * 2, color=INK, lw=2)
