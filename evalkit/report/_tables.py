"""The tables of the report, as rows of text."""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import pandas as pd

from evalkit.article import article_values, chance, comparable_values
from evalkit.comparisons.reasons import in_language
from evalkit.records import in_words
from evalkit.report._claims import METHODS, said_of
from evalkit.report._run_folder import RunFolder
from evalkit.report._text import in_verdict, number, plain_rows
from evalkit.tables import IMAGES, VERDICTS
from evalkit.texts import Language, text, texts_of

MAX_ROWS = 200

KINDS = ("random", "package", "mirror", "released", "user", "none", "unknown")
"""The kinds of weights that the catalogue names in a word."""

METERS = (
    "peak_rss_mib",
    "cuda_reserved_peak_mib",
    "nvml_process_peak_mib",
    "gpu_busy_percent",
    "energy_j",
)


def cost_table(folder: RunFolder) -> dict[str, Any]:
    """``rows``, ``columns`` (of meters with a value), ``n_more``, ``machines``."""
    language, chosen = folder.language, folder.costs
    measured = [name for name in METERS if chosen[name].notna().any()]
    shown = plain_rows(chosen.head(MAX_ROWS))
    return {
        "rows": [_cost_row(row, measured, language) for row in shown],
        "columns": [text(f"report.meter.{name}", language) for name in measured],
        "n_more": max(0, len(chosen) - MAX_ROWS),
        "machines": sorted(chosen["machine"].dropna().unique()),
    }


def _cost_row(
    row: Mapping[str, Any], meters: list[str], language: Language
) -> dict[str, Any]:
    said = partial(number, language=language)
    kind = row["weights_kind"] or "unknown"
    same = {None: "unknown", True: "yes", False: "no"}[row["same_as_quality"]]
    same = "none" if kind == "random" else same
    return {
        "condition": row["condition"],
        "source": row["source"],
        "size": f"{row['source_width_px']}x{row['source_height_px']}",
        "machine": row["machine"],
        "weights": text(f"report.kind-of.{kind}", language) if kind in KINDS else kind,
        "is_random": kind == "random",
        "runs": row["n_runs"],
        "failed": row["n_failed"],
        "cold": said(row["cold_wall_time_s"]),
        "load": _at_least_1_ms(row["load_time_s"], language),
        "median": said(row["wall_time_s"]),
        "interval": _spread(row, language),
        "restore": said(row["restore_time_s"]),
        "stages": _stages(json.loads(row["stages_s"] or "{}")),
        "meters": [said(row[name], digits=4) for name in meters],
        "same": text(f"report.same.{same}", language),
        "notes": [in_language(n, language) for n in json.loads(row["notes"] or "[]")],
        "article": _article(row, language),
    }


def _spread(row: Mapping[str, Any], language: Language) -> str:
    """The interval of a median, else the range of its runs; empty without either."""
    ends = ("min", "max") if row["wall_time_low_s"] is None else ("low", "high")
    low, high = (row[f"wall_time_{end}_s"] for end in ends)
    if low is None:
        return ""
    words = text("report.range", language, low=number(low), high=number(high))
    how = row["wall_time_spread"] if language == "en" else None
    return f"{words} ({how})" if how else words


def _at_least_1_ms(seconds: float | None, language: Language) -> str:
    if seconds is not None and seconds < 0.001:
        return text("report.tiny", language)
    return number(seconds, language=language)


def _stages(stages_s: Mapping[str, float]) -> list[str]:
    """Each stage that takes a millisecond or more, the longest first."""
    longest_first = sorted(stages_s.items(), key=lambda stage: -stage[1])
    return [f"{name} {1000 * s:,.0f} ms" for name, s in longest_first if s >= 0.001]


def _article(row: Mapping[str, Any], language: Language) -> list[str]:
    """What the article says of the same restorer, kind of device and size; or nothing.

    A figure of a GPU beside one of a CPU, or of another size, would look like a race.
    """
    setting = json.loads(row["setting"] or "{}")
    device = str(setting.get("device", "")).partition(":")[0]
    is_half = setting.get("precision") == "fp16"
    return [
        text(
            f"report.article.quantity.{quantity}",
            language,
            value=number(value, unit, 6),
        )
        for value, unit, quantity in comparable_values(
            row["restorer"],
            device=device,
            is_half=is_half,
            size_px=(row["source_width_px"], row["source_height_px"]),
        )
        if f"article.quantity.{quantity}" in texts_of("report")
    ]


def article_note() -> str:
    """The article's machine, in words."""
    return str(article_values()["machine"].iloc[0])


def metric_table(folder: RunFolder) -> dict[str, Any]:
    """Over the pictures, by condition and metric; and how outputs were resampled.

    ``rows`` are of metrics against a reference, ``changes`` of those against the
    source, or of the output alone.
    """
    language = folder.language
    is_double = folder.metrics["condition"].isin(list(folder.doubles))
    metrics = folder.in_order(folder.metrics[~is_double])
    resampling = metrics["resampling"].dropna().value_counts()
    every = text("report.all", language)
    resampled = [
        text(
            "report.metrics.resampled",
            language,
            n=every if n == len(metrics) else n,
            how=how,
        )
        for how, n in resampling.items()
        if how != "none"
    ]
    doubles = [
        text("report.metrics.as", language, name=name, other=other)
        for name, other in folder.doubles.items()
    ]
    changes = folder.pathologies
    changes = changes[~changes["condition"].isin(list(folder.doubles))]
    return {
        "rows": _over_pictures(metrics, language),
        "changes": _over_pictures(folder.in_order(changes), language),
        "resampled": resampled,
        "doubles": "; ".join(doubles),
    }


def _over_pictures(metrics: pd.DataFrame, language: Language) -> list[dict[str, Any]]:
    rows = []
    for (condition, metric), group in metrics.groupby(
        ["condition", "metric"], sort=False
    ):
        values, unit = group["value"].astype(float), group["unit"].iloc[0]
        best = group["higher_is_better"].iloc[0]
        better = "" if pd.isna(best) else ("higher" if best else "lower")
        ends = {"low": number(values.min()), "high": number(values.max())}
        rows.append(
            {
                "condition": condition,
                "metric": metric,
                "median": number(values.median(), unit, 4),
                "range": text("report.range", language, **ends),
                "n": len(values),
                "better": better and text(f"report.better.{better}", language),
            }
        )
    return rows


def verdict_rows(folder: RunFolder) -> list[dict[str, Any]]:
    """The table ``verdicts``, null as empty text.

    In Chinese ``said`` is the claim in our words, and what was found stands there only
    where it is a number.
    """
    rows = plain_rows(folder.read(VERDICTS).astype(object).fillna(""))
    if folder.language == "zh":
        for row in rows:
            row["said"] = said_of(row["claim"], "zh")
            is_prose = re.search(r"\b(?!px\b)[a-z]{2,}", row["found"])
            row["found"] = "" if is_prose else row["found"]
    return rows


def verdict_counts(folder: RunFolder) -> dict[str, str]:
    """How many claims have each verdict, in words; those of `METHODS` apart."""
    verdicts = folder.read(VERDICTS)
    is_method = verdicts["verdict"].isin(METHODS)
    parts = {"claims": verdicts[~is_method], "methods": verdicts[is_method]}
    return {name: _counted(rows, folder.language) for name, rows in parts.items()}


def _counted(verdicts: pd.DataFrame, language: Language) -> str:
    counts = verdicts["verdict"].value_counts()
    parts = [
        text("report.claims.count", language, n=n, verdict=in_verdict(name, language))
        for name, n in counts.items()
    ]
    return (", " if language == "en" else "、").join(parts)


def chance_line(folder: RunFolder) -> str:
    """How many verdicts chance may have made, in a sentence."""
    return chance(folder.read(VERDICTS))


def failures(folder: RunFolder) -> dict[str, Any]:
    """Pictures that could not be used, and runs that did not end well.

    Runs that differ in their source alone are one row, which names the first.
    """
    images = folder.read(IMAGES)
    broken = images[images["error"].notna()]
    failed = folder.results[folder.results["outcome"] != "ok"]
    names = zip(failed["experiment"], failed["value"], strict=True)
    failed = failed.assign(experiment=[in_words(*name) for name in names])
    columns = ["condition", "source", "experiment", "phase", "run", "outcome", "error"]
    alike: dict[str, dict[str, Any]] = {}
    for row in plain_rows(failed[columns]):
        error, name = row["error"] or "", row["source"] or "\0"
        kind = str(row | {"source": None, "error": error.replace(name, "\0")})
        alike.setdefault(kind, row | {"n_more": -1})["n_more"] += 1
    return {
        "images": plain_rows(broken[["source", "error"]].head(MAX_ROWS)),
        "runs": [*alike.values()][:MAX_ROWS],
        "n_more": max(0, len(broken) - MAX_ROWS) + max(0, len(alike) - MAX_ROWS),
    }


def time_split(folder: RunFolder) -> dict[str, str]:
    """How long ``make study`` took, and how much of it was the models' time."""
    timing = folder.read_json("timing.json")
    total, model = timing.get("total_s"), timing.get("model_s")
    if total is None or model is None or total <= 0:
        return {}
    remaining = total - model
    return {
        "total": number(total, "s"),
        "model": number(model, "s"),
        "rest": number(remaining, "s"),
        "share": f"{100 * remaining / total:.0f} %",
    }
