"""The charts of the report, as rows with bars: times, memory, scores, the frontier."""

from typing import Any

import pandas as pd

from evalkit.report._run_folder import RunFolder
from evalkit.report._text import number, plain_rows, with_bounds
from evalkit.tables import MEMORY, SCORES_MOS
from evalkit.texts import text

BEST_SCORE = 5
PARTS = ("start_rss_mib", "loaded_rss_mib", "peak_rss_mib")

LEFT_PX, TOP_PX, WIDE_PX, HIGH_PX = 60, 20, 540, 220
"""Where the points of the frontier stand in its picture of 640x300 px."""


def charts(folder: RunFolder) -> list[dict[str, Any]]:
    """Each with ``title``, ``legend`` and ``rows``; none that would be empty.

    A row has ``name``, ``value``, ``beside``, ``is_random`` and ``bars``, which are
    pairs of left edge and width in percent.
    """
    timed = folder.timed
    sizes = timed.drop_duplicates("source").to_dict("records")
    drawn = [_times(folder, timed[timed["source"] == s["source"]], s) for s in sizes]
    drawn += [_memory(folder, s) for s in sizes]
    return [chart for chart in [*drawn, _scores(folder)] if chart["rows"]]


def _title(folder: RunFolder, key: str, size: dict[str, Any]) -> str:
    pixels = "{source_width_px}x{source_height_px}".format(**size)
    language = folder.language
    return text(f"report.chart.{key}", language, source=size["source"], size=pixels)


def _times(
    folder: RunFolder, timed: pd.DataFrame, size: dict[str, Any]
) -> dict[str, Any]:
    """Medians, and how many times the fastest condition of the same restorer."""
    fastest = timed.groupby("restorer", dropna=False)["wall_time_s"].transform("min")
    n_of = timed.groupby("restorer", dropna=False)["wall_time_s"].transform("size")
    most, rows = timed["wall_time_s"].max(), []
    for row, least, n in zip(timed.to_dict("records"), fastest, n_of, strict=True):
        ratio, beside = row["wall_time_s"] / least, ""
        if n > 1 and ratio > 1:
            beside = text(
                "report.chart.ratio.of", folder.language, ratio=number(ratio, digits=2)
            )
        elif n > 1:
            beside = text("report.chart.fastest", folder.language)
        rows.append(
            {
                "name": row["condition"],
                "value": number(row["wall_time_s"], "s"),
                "beside": beside,
                "is_random": row["weights_kind"] == "random",
                "bars": [(0, _percent(row["wall_time_s"], most))],
            }
        )
    return {"title": _title(folder, "times", size), "legend": (), "rows": rows}


def _memory(folder: RunFolder, size: dict[str, Any]) -> dict[str, Any]:
    """What the process held at its start, what loading added, what running added."""
    held = folder.in_order(folder.of_here(folder.read(MEMORY)))
    machine = folder.environment.get("machine", {}).get("machine")
    held = held[(held["source"] == size["source"]) & (held["machine"] == machine)]
    held = held.dropna(subset=list(PARTS))
    most, rows = held["peak_rss_mib"].max(), []
    for row in held.to_dict("records"):
        start, loaded, peak = (_percent(row[part], most) for part in PARTS)
        bars = [(0, start), (start, max(0, loaded - start)), (loaded, peak - loaded)]
        rows.append(
            {
                "name": row["condition"],
                "value": " / ".join(number(row[part], digits=4) for part in PARTS),
                "beside": "",
                "is_random": row["condition"] in folder.random_conditions,
                "bars": [(left, max(0, wide)) for left, wide in bars],
            }
        )
    names = ("start", "loaded", "peak")
    legend = [text(f"report.chart.{name}", folder.language) for name in names]
    return {"title": _title(folder, "memory", size), "legend": legend, "rows": rows}


def _mos(folder: RunFolder) -> pd.DataFrame:
    mos = folder.of_here(folder.read(SCORES_MOS)).dropna(subset=["mos"])
    mos = mos[(mos["method"] == "none") & (mos["kind"] == "all")]
    return folder.in_order(mos)


def _scores(folder: RunFolder) -> dict[str, Any]:
    rows = []
    for row in plain_rows(_mos(folder)):
        low, high = row["ci_low"] or row["mos"], row["ci_high"] or row["mos"]
        left, right = (_percent(score - 1, BEST_SCORE - 1) for score in (low, high))
        middle = _percent(row["mos"] - 1, BEST_SCORE - 1)
        rows.append(
            {
                "name": row["condition"],
                "value": with_bounds(row["mos"], row["ci_low"], row["ci_high"]),
                "beside": "",
                "is_random": False,
                "bars": [(left, right - left), (middle - 0.4, 0.8)],
            }
        )
    title = text("report.chart.scores", folder.language)
    return {"title": title, "legend": (), "rows": rows}


def frontier(folder: RunFolder) -> dict[str, Any] | None:
    """Score against time, where people rated what was timed; else None."""
    timed = folder.timed.groupby("condition")["wall_time_s"].median()
    scores = _mos(folder).set_index("condition")["mos"]
    both = pd.concat([timed, scores], axis=1, join="inner").astype(float)
    if len(both) < 2:
        return None
    longest = both["wall_time_s"].max()
    points = []
    for name, (time, mos) in both.iterrows():
        beats = (both["wall_time_s"] <= time) & (both["mos"] >= mos)
        x = LEFT_PX + WIDE_PX * time / longest
        points.append(
            {
                "name": name,
                "said": f"{number(mos)}, {number(time, 's')}",
                "x": round(x),
                "y": round(TOP_PX + HIGH_PX * (BEST_SCORE - mos) / (BEST_SCORE - 1)),
                "anchor": "end" if time > longest / 2 else "start",
                "is_best": beats.sum() == 1,
            }
        )
    ticks = [0, longest / 2, longest]
    steps = range(1, BEST_SCORE + 1)
    return {
        "points": points,
        "x": [(LEFT_PX + WIDE_PX * i // 2, number(t)) for i, t in enumerate(ticks)],
        "y": [
            (TOP_PX + HIGH_PX * (BEST_SCORE - s) // (BEST_SCORE - 1), s) for s in steps
        ],
    }


def _percent(value: float, most: float) -> float:
    return round(100 * value / most, 2)
