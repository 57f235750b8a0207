"""The tables of the report, as rows of text."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from evalkit.article import article_values, chance, comparable_values
from evalkit.records import in_words
from evalkit.report._claims import METHODS
from evalkit.report._run_folder import RunFolder
from evalkit.report._text import number, plain_rows
from evalkit.tables import IMAGES, VERDICTS

MAX_ROWS = 200

WEIGHTS_WORD = {
    "random": "random: cost only",
    "package": "released, in a package",
    "mirror": "released, from a mirror",
}


def cost_table(folder: RunFolder) -> dict[str, Any]:
    """``rows``, ``columns`` (of meters with a value), ``n_more``, ``machines``."""
    meters = {
        "peak_rss_mib": "peak RAM, MiB",
        "cuda_reserved_peak_mib": "GPU memory reserved by torch, MiB",
        "nvml_process_peak_mib": "GPU memory by NVML, MiB",
        "gpu_busy_percent": "GPU busy by NVML, %",
        "energy_j": "GPU energy of a run, J",
    }
    measured = {k: v for k, v in meters.items() if folder.costs[k].notna().any()}
    chosen = folder.costs
    rows = [_cost_row(row, measured) for row in plain_rows(chosen.head(MAX_ROWS))]
    return {
        "rows": rows,
        "columns": list(measured.values()),
        "n_more": max(0, len(chosen) - MAX_ROWS),
        "machines": sorted(chosen["machine"].dropna().unique()),
    }


def _cost_row(row: Mapping[str, Any], meters: Mapping[str, str]) -> dict[str, Any]:
    spread = ""
    is_known = row["wall_time_low_s"] is not None
    ends = ("low", "high") if is_known else ("min", "max")
    low, high = (row[f"wall_time_{end}_s"] for end in ends)
    if low is not None:
        spread = f"{number(low)} to {number(high)}"
        spread += f" ({row['wall_time_spread']})" if row["wall_time_spread"] else ""
    same = {None: "not known", True: "yes", False: "no"}[row["same_as_quality"]]
    kind = row["weights_kind"] or "not recorded"
    if kind == "random":
        same = "no picture"
    return {
        "condition": row["condition"],
        "source": row["source"],
        "size": f"{row['source_width_px']}x{row['source_height_px']}",
        "machine": row["machine"],
        "weights": WEIGHTS_WORD.get(kind, kind),
        "is_random": kind == "random",
        "runs": row["n_runs"],
        "failed": row["n_failed"],
        "cold": number(row["cold_wall_time_s"]),
        "load": _at_least_1_ms(row["load_time_s"]),
        "median": number(row["wall_time_s"]),
        "interval": spread,
        "restore": number(row["restore_time_s"]),
        "stages": _stages(json.loads(row["stages_s"] or "{}")),
        "meters": [number(row[name], digits=4) for name in meters],
        "same": same,
        "notes": json.loads(row["notes"] or "[]"),
        "article": _article(row),
    }


def _at_least_1_ms(seconds: float | None) -> str:
    return "under 0.001" if seconds is not None and seconds < 0.001 else number(seconds)


def _stages(stages_s: Mapping[str, float]) -> list[str]:
    """Each stage that takes a millisecond or more, the longest first."""
    longest_first = sorted(stages_s.items(), key=lambda stage: -stage[1])
    return [f"{name} {1000 * s:,.0f} ms" for name, s in longest_first if s >= 0.001]


def _article(row: Mapping[str, Any]) -> list[str]:
    """What the article says of the same restorer, kind of device and size; or nothing.

    A figure of a GPU beside one of a CPU, or of another size, would look like a race.
    """
    setting = json.loads(row["setting"] or "{}")
    device = str(setting.get("device", "")).partition(":")[0]
    is_half = setting.get("precision") == "fp16"
    return [
        f"{number(value, unit, 6)} {quantity}"
        for value, unit, quantity in comparable_values(
            row["restorer"],
            device=device,
            is_half=is_half,
            size_px=(row["source_width_px"], row["source_height_px"]),
        )
    ]


def article_note() -> str:
    """The article's machine, in words."""
    return str(article_values()["machine"].iloc[0])


def metric_table(folder: RunFolder) -> dict[str, Any]:
    """Over the pictures, by condition and metric; and how outputs were resampled.

    ``rows`` are of metrics against a reference, ``changes`` of those against the
    source, or of the output alone.
    """
    is_double = folder.metrics["condition"].isin(list(folder.doubles))
    metrics = folder.metrics[~is_double]
    resampling = metrics["resampling"].dropna().value_counts()
    texts = [
        f"{'all' if n == len(metrics) else n} outputs brought there by {how}"
        for how, n in resampling.items()
        if how != "none"
    ]
    doubles = [f"{name}: as {other}" for name, other in folder.doubles.items()]
    changes = folder.pathologies
    changes = changes[~changes["condition"].isin(list(folder.doubles))]
    return {
        "rows": _over_pictures(metrics),
        "changes": _over_pictures(changes),
        "resampled": ", ".join(texts),
        "doubles": "; ".join(doubles),
    }


def _over_pictures(metrics: pd.DataFrame) -> list[dict[str, Any]]:
    rows = []
    for (condition, metric), group in metrics.groupby(
        ["condition", "metric"], sort=False
    ):
        values, unit = group["value"].astype(float), group["unit"].iloc[0]
        best = group["higher_is_better"].iloc[0]
        rows.append(
            {
                "condition": condition,
                "metric": metric,
                "median": number(values.median(), unit, 4),
                "range": f"{number(values.min())} to {number(values.max())}",
                "n": len(values),
                "better": "" if pd.isna(best) else ("higher" if best else "lower"),
            }
        )
    return rows


def verdict_rows(folder: RunFolder) -> list[dict[str, Any]]:
    """The table ``verdicts``, null as empty text."""
    return plain_rows(folder.read(VERDICTS).astype(object).fillna(""))


def verdict_counts(folder: RunFolder) -> dict[str, dict[str, int]]:
    """How many claims have each verdict; those of `METHODS` apart."""
    verdicts = folder.read(VERDICTS)
    is_method = verdicts["verdict"].isin(METHODS)
    return {
        "claims": verdicts[~is_method]["verdict"].value_counts().to_dict(),
        "methods": verdicts[is_method]["verdict"].value_counts().to_dict(),
    }


def chance_line(folder: RunFolder) -> str:
    """How many verdicts chance may have made, in a sentence."""
    return chance(folder.read(VERDICTS))


def failures(folder: RunFolder) -> dict[str, Any]:
    """Pictures that could not be used, and runs that did not end well."""
    images = folder.read(IMAGES)
    broken = images[images["error"].notna()]
    failed = folder.results[folder.results["outcome"] != "ok"]
    names = zip(failed["experiment"], failed["value"], strict=True)
    failed = failed.assign(experiment=[in_words(*name) for name in names])
    columns = ["condition", "source", "experiment", "phase", "run", "outcome", "error"]
    return {
        "images": plain_rows(broken[["source", "error"]].head(MAX_ROWS)),
        "runs": plain_rows(failed[columns].head(MAX_ROWS)),
        "n_more": max(0, len(broken) - MAX_ROWS) + max(0, len(failed) - MAX_ROWS),
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
