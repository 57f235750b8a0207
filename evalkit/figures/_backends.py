"""Back ends beside each other: every raw time, memory, agreement."""

import json
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.figures._cost import RANDOM
from evalkit.figures._style import (
    FAINT,
    INK,
    TEXT_PT,
    new_figure,
    printable,
    wrap,
    write_beside,
)

REFERENCE = "PyTorch, upstream"
FILLS = {
    REFERENCE: ("0.55", ""),
    "tuned": ("0.75", ""),
    "ONNX Runtime": ("0.92", ""),
    "ncnn": ("1", "////"),
}


def backends(table: pd.DataFrame) -> Figure:
    """Bars of the median warm time and of memory, and a circle for every raw time.

    Where nothing was timed, the reason stands in the place of the bars.

    Parameters
    ----------
    table
        Table `evalkit.tables.BACKENDS`, of one network and picture.

    """
    rows = table.to_dict("records")
    figure = new_figure(1400, 220 + 62 * len(rows))
    figure.set_layout_engine("constrained")
    times, memory = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    names = [printable(_name(row)) for row in rows]
    times.set_yticks(range(len(rows)), names, parse_math=False)
    times.set_ylim(len(rows) - 0.5, -0.5)
    for y, row in enumerate(rows):
        if pd.isna(row["wall_time_s"]):
            reason = "\n".join(wrap(_why_not(row), 560, TEXT_PT, 2))
            write_beside(times, y, reason, x=0)
            continue
        raw, seconds = json.loads(row["wall_times_s"]), row["wall_time_s"]
        is_other = row["backend"] != REFERENCE and pd.notna(row["speed_up"])
        ratio = f", {row['speed_up']:.2g}x" if is_other else ""
        if ratio and pd.notna(row["speed_up_low"]):
            ratio += f" [{row['speed_up_low']:.2g}, {row['speed_up_high']:.2g}]"
        _bar(times, y, row["backend"], seconds)
        times.plot(raw, [y] * len(raw), "o", mec=INK, mfc="none", ms=5)
        write_beside(times, y, f"{seconds:.3g} s{ratio}", x=max(raw))
        if pd.notna(mib := row["memory_mib"]):
            more = f", {-row['memory_saved_percent']:+.0f} %" if is_other else ""
            _bar(memory, y, row["backend"], mib)
            write_beside(memory, y, f"{mib:,.0f} MiB{more}", x=mib)
    meters = table["memory_meter"].dropna().unique()
    _finish(times, "time of one picture, s: bar, median of warm runs; ○, each")
    _finish(memory, "peak memory, MiB\n" + "; ".join(meters))
    machines = table["machine"].dropna().unique()
    heads = [rows[0]["network"], rows[0]["source"], *machines]
    heads += [RANDOM] * bool((table["weights_kind"] == "random").any())
    title = "\n".join(wrap(", ".join(heads), 1360, 10, 2, bold=True))
    figure.suptitle(title, fontsize=10, fontweight="bold", parse_math=False)
    note = "x and %: against PyTorch of equal precision if it was timed, else in fp32"
    figure.supxlabel(f"{note}; dB: PSNR from PyTorch in fp32", fontsize=TEXT_PT)
    return figure


def _name(row: dict[str, Any]) -> str:
    decibels = row["psnr_db"]
    agreement = "" if pd.isna(decibels) else f", {decibels:.1f} dB"
    agreement = agreement.replace("inf dB", "same output")
    precision = row["precision"].partition(",")[0]
    is_bordered = pd.notna(row["border_px"]) and row["border_px"] > 0
    border = ", ncnn's border" if is_bordered else ""
    return f"{row['backend']}{border}\n{row['device']}, {precision}{agreement}"


def _why_not(row: dict[str, Any]) -> str:
    reason = "its output is another" if pd.isna(row["error"]) else row["error"]
    return f"not timed: {reason}"


def _bar(axes: Axes, y: int, backend: str, value: float) -> None:
    grey, hatch = FILLS[backend]
    axes.barh(y, value, 0.6, facecolor=grey, hatch=hatch, edgecolor=FAINT, lw=0.8)


def _finish(axes: Axes, label: str) -> None:
    axes.set_xlim(0, 1.4 * max(axes.dataLim.x1, 1e-9))
    axes.set_xlabel(label, fontsize=TEXT_PT)
    axes.tick_params(labelsize=TEXT_PT)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color="0.93")
