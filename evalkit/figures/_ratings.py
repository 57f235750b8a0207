"""Figures of ratings; each says how many subjects and sources stand behind it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.figures._style import FAINT, INK, TEXT_PT, new_figure, wrap, write_beside

WIDTH_PX, NAME_PX, ROW_PX, FRAME_PX = 1400, 400, 52, 220
GREYS = ("0.15", "0.4", "0.62", "0.8", "0.95")
"""The greys of the scores 1 to 5."""


def score_distribution(ratings: pd.DataFrame) -> Figure:
    """How often each condition got each score, as stacked bars with the counts.

    Parameters
    ----------
    ratings
        Columns ``subject, source, condition, score``; scores 1 to 5.

    """
    counts = pd.crosstab(ratings["condition"], ratings["score"].astype(int))
    counts = counts.reindex(columns=range(1, 6), fill_value=0)
    order = (counts * counts.columns).sum(axis=1) / counts.sum(axis=1)
    counts = counts.loc[order.sort_values().index]
    share = counts.div(counts.sum(axis=1), axis=0) * 100
    figure, (axes,) = _rows(list(counts.index), f"scores; {_size(ratings)}")
    left = np.zeros(len(counts))
    for score, grey in zip(counts, GREYS, strict=True):
        width = share[score].to_numpy()
        axes.barh(
            range(len(counts)),
            width,
            0.7,
            left,
            facecolor=grey,
            edgecolor=INK,
            linewidth=0.6,
            label=str(score),
        )
        for y, (n, start, wide) in enumerate(
            zip(counts[score], left, width, strict=True)
        ):
            if wide > 3:
                colour = "white" if float(grey) < 0.5 else INK
                place = (start + wide / 2, y)
                axes.annotate(
                    str(n), place, ha="center", va="center", color=colour, fontsize=7
                )
        left += width
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of scores, %; in the bars: how many", fontsize=TEXT_PT)
    _legend(figure, axes)
    return figure


def forest(mos: pd.DataFrame) -> Figure:
    """Mean opinion scores with their intervals, by kind of picture.

    Circles are means, lines their intervals over subjects and sources, diamonds the
    published scores.

    Parameters
    ----------
    mos
        Table `evalkit.tables.SCORES_MOS`, of one method of screening.

    """
    mos = mos.sort_values(["kind", "mos"]).reset_index(drop=True)
    names = [f"{row.condition}\n{row.kind}" for row in mos.itertuples()]
    size = f"{mos['n_subjects'].max()} subjects, {mos['n_sources'].max()} sources"
    figure, (axes,) = _rows(names, f"mean opinion scores; {size}")
    _intervals(axes, mos["mos"], mos["ci_low"], mos["ci_high"], "mean, interval")
    claimed = mos["claimed"].dropna()
    if len(claimed):
        axes.plot(
            claimed.astype(float),
            claimed.index,
            "D",
            mfc="white",
            mec=INK,
            ms=7,
            zorder=1.5,
            label="published",
        )
    for y, row in enumerate(mos.itertuples()):
        text = f"{row.mos:.2f}   {row.n_subjects} x {row.n_sources}"
        write_beside(axes, y, text)
    for y in mos.drop_duplicates("kind").index[1:]:
        axes.axhline(y - 0.5, color=FAINT, linewidth=0.8)
    axes.set_xlim(0.9, 5.1)
    axes.set_xlabel(
        "score, 1 bad to 5 excellent; at the right: mean, subjects x sources",
        fontsize=TEXT_PT,
    )
    _legend(figure, axes)
    return figure


def subjects(table: pd.DataFrame, n_sources: int) -> Figure:
    """Each subject's bias and inconsistency by the model of P.910, with intervals.

    Parameters
    ----------
    table
        Table `evalkit.tables.SCORES_SUBJECTS`.
    n_sources
        How many they scored.

    """
    title = (
        f"subjects by the model of P.910; {len(table)} subjects, {n_sources} sources"
    )
    rejected = table["rejected_by"]
    names = [
        f"{name}\nout by {by}" if pd.notna(by) else name
        for name, by in zip(table["subject"], rejected, strict=True)
    ]
    figure, panels = _rows(names, title, 2)
    for axes, name in zip(panels, ("bias", "inconsistency"), strict=True):
        _intervals(axes, table[name], table[f"{name}_low"], table[f"{name}_high"])
        axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    panels[0].set_xlabel("bias: above the panel is right of 0", fontsize=TEXT_PT)
    panels[1].set_xlabel("inconsistency: standard deviation", fontsize=TEXT_PT)
    return figure


def agreement(panel: pd.DataFrame, metrics: pd.DataFrame) -> Figure:
    """How far subjects agree with each other, and metrics with the panel.

    Parameters
    ----------
    panel
        Table `evalkit.tables.SCORES_PANEL`.
    metrics
        Table `evalkit.tables.SCORES_METRICS`; may be empty.

    """
    values = panel.set_index("quantity")
    names = [name for name in values.index if name.startswith(("Kripp", "ICC"))]
    among = values.loc[names, ["value", "low", "high"]].reset_index(drop=True)
    ranks = metrics.rename(columns={"srcc": "value"})[["value", "low", "high"]]
    rows = pd.concat([among, ranks], ignore_index=True).astype("Float64")
    labels = [*names, *(f"{name}\nSRCC with the panel" for name in metrics["metric"])]
    size = (
        f"{values.loc['subjects', 'value']:g} subjects, "
        f"{values.loc['sources', 'value']:g} sources"
    )
    figure, (axes,) = _rows(labels, f"agreement; {size}")
    _intervals(axes, rows["value"], rows["low"], rows["high"])
    for y, value in enumerate(rows["value"]):
        write_beside(axes, y, "not known" if pd.isna(value) else f"{value:.2f}")
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    axes.set_xlim(-1.05, 1.05)
    axes.set_xlabel(
        "1: full agreement; 0: chance; -1: the opposite order", fontsize=TEXT_PT
    )
    return figure


def win_matrix(wins: pd.DataFrame, choices: pd.DataFrame) -> Figure:
    """How often each condition (row) was chosen over each other (column), ties half.

    Parameters
    ----------
    wins
        As `evalkit.stats.win_matrix` makes it.
    choices
        Columns ``subject, source``, for their number.

    """
    total = wins + wins.T
    share = (100 * wins / total.where(total > 0)).astype(float)
    order = share.mean(axis=1).sort_values(ascending=False).index
    wins, share = wins.loc[order, order], share.loc[order, order]
    k = len(order)
    side = max(90, min(150, 900 // k))
    figure = new_figure(NAME_PX + side * k + 60, FRAME_PX + side * k + 100)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Greys", vmin=0, vmax=100, aspect="equal")
    for (y, x), value in np.ndenumerate(share.to_numpy()):
        if np.isfinite(value):
            n = wins.iloc[y, x] + wins.iloc[x, y]
            text = f"{value:.0f} %\n{wins.iloc[y, x]:g} of {n:g}"
            colour = "white" if value > 55 else INK
            axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=7)
    labels = ["\n".join(wrap(str(name), NAME_PX - 60, TEXT_PT, 3)) for name in order]
    style: dict[str, Any] = {"fontsize": TEXT_PT, "parse_math": False}
    axes.set_yticks(range(k), labels, **style)
    axes.set_xticks(range(k), labels, rotation=35, ha="right", **style)
    axes.tick_params(length=0)
    _title(figure, f"row chosen over column; {_size(choices)}")
    return figure


def _size(answers: pd.DataFrame) -> str:
    n_subjects, n_sources = answers["subject"].nunique(), answers["source"].nunique()
    return f"{n_subjects} subjects, {n_sources} sources"


def _rows(names: Sequence[str], title: str, n: int = 1) -> tuple[Figure, list[Axes]]:
    """`n` panels side by side, with one line for each name."""
    figure = new_figure(WIDTH_PX, FRAME_PX + ROW_PX * len(names))
    figure.set_layout_engine("constrained", w_pad=0.1)
    panels = list(figure.subplots(1, n, sharey=True, squeeze=False)[0])
    labels = ["\n".join(wrap(name, NAME_PX, TEXT_PT, 3)) for name in names]
    panels[0].set_yticks(range(len(names)), labels, fontsize=TEXT_PT, parse_math=False)
    panels[0].set_ylim(len(names) - 0.5, -0.5)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", labelsize=TEXT_PT)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.grid(axis="x", color="0.92")
        axes.set_axisbelow(True)
    _title(figure, title)
    return figure, panels


def _title(figure: Figure, text: str) -> None:
    figure.suptitle(text, fontsize=10, fontweight="bold", color=INK, parse_math=False)


def _intervals(
    axes: Axes, value: pd.Series, low: pd.Series, high: pd.Series, label: str = ""
) -> None:
    """A circle for each value and a line for its interval, where they are known."""
    points = np.stack(
        [s.astype("Float64").to_numpy(float, np.nan) for s in (value, low, high)]
    )
    y = np.arange(points.shape[1])
    axes.hlines(y, points[1], points[2], color=INK, linewidth=1.6)
    axes.plot(points[0], y, "o", color=INK, ms=5, zorder=3, label=label)


def _legend(figure: Figure, axes: Axes) -> None:
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=5,
        fontsize=TEXT_PT,
        frameon=False,
    )
