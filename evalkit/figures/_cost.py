"""Figures of cost: every raw time, and peak memory, of each condition and source."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from evalkit.figures._style import FAINT, INK, TEXT_PT, new_figure, wrap, write_beside

WIDTH_PX, NAME_PX, VALUE_PX = 1400, 380, 300
ROW_PX, LINE_PX, HEAD_PX, FOOT_PX = 80, 20, 76, 120
NAME_PT = 8.5
LOGARITHMIC_FROM = 10.0
"""The ratio of largest to smallest value from which the axis is logarithmic."""

RANDOM = "random weights: cost only"
BARS = {
    "peak_rss_mib": ("peak RSS of the process", "0.75", ""),
    "cuda_reserved_peak_mib": ("reserved by torch on the GPU", "1.0", "////"),
    "nvml_process_peak_mib": ("of the process by NVML", "0.45", ""),
}
ROW = ["condition", "source", "machine"]
"""What a line of marks is of: runs on unlike machines are never drawn as one."""

FLOOR_NOTE = "dotted: least that the arithmetic allows"
PARTS = {
    "start_rss_mib": ("process at its start", "0.55"),
    "loaded_rss_mib": ("added by loading", "0.75"),
    "peak_rss_mib": ("added by running, to the peak", "0.92"),
}
"""What a process's memory is made of: each as the grey of what it adds."""


def wall_times(
    records: pd.DataFrame,
    cost: pd.DataFrame | None = None,
    machine: str | None = None,
    floors: pd.DataFrame | None = None,
) -> Figure:
    """Every raw wall time as a mark, one line of marks for each `ROW`.

    Circles are warm runs, triangles cold ones. The upright stroke is the median of
    the warm runs, with its value at the right. Runs that failed are counted there.

    Parameters
    ----------
    records
        Table `evalkit.tables.RECORDS`, of one experiment.
    cost
        Table `evalkit.tables.COST`, for the interval of the median: a horizontal bar.
        None for no interval.
    machine
        Named in the title; None for the machines in `records`.
    floors
        Table `evalkit.tables.FLOORS`, for the least time that the arithmetic allows: a
        dotted upright stroke. None for no such line.

    """
    rows = _rows(records)
    ok = records[(records["outcome"] == "ok") & records["wall_time_s"].notna()]
    title = f"Wall time of one picture, s, on {_machines(records, machine)}"
    figure, axes = _frame(rows, title, _sizes(cost))
    drawn = ok["wall_time_s"].tolist()
    ratios = _ratios(ok)
    has_interval, times_floor = False, []
    for y, row in enumerate(rows.itertuples()):
        runs = _of(ok, row)
        for phase, marker in (("cold", "^"), ("warm", "o")):
            times = runs.loc[runs["phase"] == phase, "wall_time_s"].astype(float)
            axes.plot(
                times,
                y + spread(len(times), 0.22),
                marker,
                markerfacecolor="none",
                markeredgecolor=INK if phase == "warm" else FAINT,
                markersize=5,
            )
        warm = runs.loc[runs["phase"] == "warm", "wall_time_s"].to_numpy(float)
        interval = _interval(cost, row)
        has_interval |= interval is not None
        if len(warm):
            axes.plot([np.median(warm)] * 2, [y - 0.32, y + 0.32], color=INK, lw=2)
        if interval:
            axes.plot(interval, [y, y], color="0.6", lw=6, alpha=0.6, zorder=0.5)
        n_failed = len(_of(records, row)) - len(runs)
        place = "" if pd.isna(row.machine) else row.machine
        ratio = ratios.get((row.condition, row.source, place))
        write_beside(axes, y, _summary(warm, interval, n_failed, ratio))
        times_floor += _floor_line(axes, y, row, floors, "wall time")
    _scale(axes, np.array(drawn + times_floor, float), "wall time of one call, s")
    marks = {
        "○ warm run": (ok["phase"] == "warm").any(),
        "△ cold run": (ok["phase"] == "cold").any(),
        "| median of the warm runs": (ok["phase"] == "warm").any(),
        "grey bar: its interval": has_interval,
        FLOOR_NOTE: bool(times_floor),
    }
    _note(figure, "   ".join(mark for mark, is_drawn in marks.items() if is_drawn))
    return figure


def _ratios(ok: pd.DataFrame) -> dict[tuple[object, ...], float]:
    """How many times the fastest condition of its restorer each `ROW` takes."""
    warm = ok[ok["phase"] == "warm"].astype({"wall_time_s": float})
    warm["machine"] = warm["machine"].fillna("")
    medians = warm.groupby([*ROW, "restorer"])["wall_time_s"].median()
    of_restorer = medians.groupby(["source", "machine", "restorer"])
    ratios = (medians / of_restorer.transform("min"))[of_restorer.transform("size") > 1]
    return {tuple(row): float(ratio) for (*row, _), ratio in ratios.items()}


def _sizes(cost: pd.DataFrame | None) -> dict[str, str]:
    """The size of each source, where it is known."""
    if cost is None:
        return {}
    known = cost.dropna(subset=["source_width_px", "source_height_px"])
    return {
        row.source: f"{row.source_width_px}x{row.source_height_px} px"
        for row in known.itertuples()
    }


def memory(
    cost: pd.DataFrame,
    machine: str | None = None,
    floors: pd.DataFrame | None = None,
    parts: pd.DataFrame | None = None,
) -> Figure:
    """Peak memory as bars, by condition and source; what is unknown has no bar.

    Parameters
    ----------
    cost
        Table `evalkit.tables.COST`.
    machine
        Named in the title; None for the machines in `cost`.
    floors
        As in `wall_times`, for the bytes that must coexist.
    parts
        Table `evalkit.tables.MEMORY`: a bar of the process is then stacked of what it
        held at its start, what loading added and what running added.

    """
    rows = _rows(cost)
    measures = [name for name in BARS if cost[name].notna().any()]
    title = f"Peak memory, MiB, on {_machines(cost, machine)}"
    figure, axes = _frame(rows, title, _sizes(cost))
    has_floor = False
    for y, row in enumerate(rows.itertuples()):
        costs = _of(cost, row)
        texts = []
        height = 0.7 / max(1, len(measures))
        for index, name in enumerate(measures):
            label, grey, hatch = BARS[name]
            value = costs[name].max()
            texts.append("not measured" if pd.isna(value) else f"{value:,.0f} MiB")
            stack = _stack(parts, row) if name == "peak_rss_mib" else []
            drawn = stack or [(0.0 if pd.isna(value) else float(value), label, grey)]
            left = 0.0
            for wide, said, shade in drawn:
                axes.barh(
                    y - 0.35 + height * (index + 0.5),
                    wide,
                    height,
                    left=left,
                    facecolor=shade,
                    edgecolor=INK,
                    linewidth=0.8,
                    hatch=hatch,
                    label=said,
                )
                left += wide
        write_beside(axes, y, "\n".join(texts) or "not measured")
        has_floor |= bool(_floor_line(axes, y, row, floors, "peak memory"))
    axes.set_xlim(left=0)
    label = "peak memory, MiB" + (f"   {FLOOR_NOTE}" if has_floor else "")
    axes.set_xlabel(label, fontsize=TEXT_PT)
    handles, labels = axes.get_legend_handles_labels()
    told = dict(zip(labels, handles, strict=True))
    if len(told) > 1:  # one kind of bar is what the axis says
        figure.legend(
            told.values(),
            told.keys(),
            loc="lower center",
            ncols=len(told),
            fontsize=TEXT_PT,
            frameon=False,
        )
    return figure


def _stack(
    parts: pd.DataFrame | None, row: tuple[object, ...]
) -> list[tuple[float, str, str]]:
    """What each part adds, MiB, its name and its grey; empty where it is not known."""
    held = None if parts is None else _of(parts, row).dropna(subset=list(PARTS))
    if held is None or held.empty:
        return []
    ends = held[list(PARTS)].astype(float).max().cummax()
    added = ends.diff().fillna(ends.iloc[0])
    return [(added[name], *PARTS[name]) for name in PARTS]


def _floor_line(
    axes: Axes,
    y: float,
    row: tuple[object, ...],
    floors: pd.DataFrame | None,
    quantity: str,
) -> list[float]:
    """Draw the floor of one row of the plain cost; return it, if it is known."""
    if floors is None:
        return []
    # what only moves bytes has a floor a thousand times under any time
    of_networks = floors[floors["operations_tflop"] > 0]
    of_row = _of(of_networks[of_networks["experiment"] == "cost"], row)
    values: list[float] = (
        of_row.loc[of_row["quantity"] == quantity, "floor"].dropna().tolist()
    )
    axes.vlines(values, y - 0.42, y + 0.42, color=INK, lw=1.6, ls=(0, (1, 1.2)))
    return values


def _rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns `ROW`, the kind of weights, and the machine's name where it tells."""
    rows = frame.drop_duplicates(ROW)[[*ROW, "weights_kind"]].reset_index(drop=True)
    is_one = frame["machine"].nunique() < 2
    return rows.assign(place="" if is_one else rows["machine"].fillna("not recorded"))


def _of(frame: pd.DataFrame, row: tuple[object, ...]) -> pd.DataFrame:
    _, condition, source, machine, *_ = row
    machines = frame["machine"]
    of_machine = machines.isna() if pd.isna(machine) else machines == machine
    is_it = (frame["condition"] == condition) & (frame["source"] == source)
    return frame[is_it & of_machine.fillna(value=False)]


def _machines(frame: pd.DataFrame, machine: str | None) -> str:
    names = sorted(frame["machine"].dropna().unique())
    return machine or "; ".join(names) or "machine not recorded"


def _frame(
    rows: pd.DataFrame, title: str, sizes: dict[str, str]
) -> tuple[Figure, Axes]:
    """A figure with a line for each of `rows`: names at the left, room at the right."""
    n_rows = max(1, len(rows))
    names = [_name(row, sizes) for row in rows.itertuples()]
    n_lines = max((name.count("\n") + 1 for name in names), default=1)
    row_px = max(ROW_PX, LINE_PX * (n_lines + 1))
    height = HEAD_PX + row_px * n_rows + FOOT_PX
    figure = new_figure(WIDTH_PX, height)
    width = (WIDTH_PX - NAME_PX - VALUE_PX) / WIDTH_PX
    left, bottom = NAME_PX / WIDTH_PX, FOOT_PX / height
    axes = figure.add_axes((left, bottom, width, row_px * n_rows / height))
    axes.set_ylim(n_rows - 0.5, -0.5)
    axes.set_yticks(range(len(rows)), names, parse_math=False)
    axes.tick_params(axis="y", length=0, labelsize=NAME_PT)
    axes.tick_params(axis="x", labelsize=TEXT_PT)
    axes.spines[["top", "right", "left"]].set_visible(False)
    for y in range(1, n_rows):
        axes.axhline(y - 0.5, color="0.85", linewidth=0.8)
    if rows.empty:
        axes.text(0.5, 0, "no run", ha="center", va="center", fontsize=TEXT_PT)
    figure.text(
        16 / WIDTH_PX,
        1 - 16 / height,
        "\n".join(wrap(title, WIDTH_PX - 40, 10, 2, bold=True)),
        fontsize=10,
        fontweight="bold",
        va="top",
        color=INK,
        parse_math=False,
    )
    return figure, axes


def _name(row: tuple[object, ...], sizes: dict[str, str]) -> str:
    _, condition, source, _, weights_kind, place = row
    size = sizes.get(str(source))
    told = f"{source}, {size}" if size else str(source)
    lines = [
        *wrap(str(condition), NAME_PX - 20, NAME_PT, 2),
        *wrap(told, NAME_PX - 20, NAME_PT, 1),
        *(wrap(str(place), NAME_PX - 20, NAME_PT, 1) if place else []),
    ]
    return "\n".join([*lines, RANDOM] if weights_kind == "random" else lines)


def spread(n: int, most: float) -> np.ndarray:
    """Offsets that keep equal marks apart, the same at every call."""
    return np.asarray(most * np.sin(2.4 * np.arange(n)))


def _interval(
    cost: pd.DataFrame | None, row: tuple[object, ...]
) -> tuple[float, float] | None:
    if cost is None:
        return None
    intervals = _of(cost, row)[["wall_time_low_s", "wall_time_high_s"]].dropna()
    for low, high in intervals.to_numpy(float):
        return float(low), float(high)
    return None


def _summary(
    warm: np.ndarray,
    interval: tuple[float, float] | None,
    n_failed: int,
    ratio: float | None,
) -> str:
    lines = []
    if len(warm):
        lines.append(f"{np.median(warm):.3g} s, {len(warm)} runs")
    if ratio is not None:
        is_least = ratio == 1
        lines.append(
            "fastest of its restorer" if is_least else f"{ratio:.2g} x as long"
        )
    if interval:
        lines.append(f"[{interval[0]:.3g}, {interval[1]:.3g}]")
    elif len(warm) > 1:
        lines.append(f"range {warm.min():.3g} to {warm.max():.3g}")
    if n_failed:
        lines.append(f"{n_failed} failed")
    return "\n".join(lines) or "no warm run"


def _scale(axes: Axes, values: np.ndarray, label: str) -> None:
    if len(values) and values.min() > 0:
        if values.max() / values.min() >= LOGARITHMIC_FROM:
            axes.set_xscale("log")
            # three decades have room for more ticks than one in each
            subs = (1, 2, 5) if values.max() / values.min() < 1000 else (1,)
            axes.xaxis.set_major_locator(LogLocator(subs=subs))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(axis="x", which="major", color="0.88")
            label += " (logarithmic)"
        else:
            axes.set_xlim(0, 1.05 * values.max())
    axes.set_xlabel(label, fontsize=TEXT_PT)


def _note(figure: Figure, text: str) -> None:
    figure.text(0.5, 0.01, text, ha="center", va="bottom", fontsize=TEXT_PT, color=INK)
