"""The rules of the answer about cost: what each takes, what is the same, what fits."""

from math import floor

import pandas as pd

from evalkit.report._rules import GPU_MIB, MOST_CONDITIONS
from evalkit.report._run_folder import RunFolder
from evalkit.report._text import (
    Sentence,
    Sentences,
    counted,
    in_clauses,
    in_sentences,
    number,
    with_bounds,
)
from evalkit.tables import AGREEMENT
from evalkit.texts import Language, text


def cost(folder: RunFolder, language: Language) -> Sentences:
    """What each restorer costs here, file to file and per megapixel."""
    timed = folder.timed
    if timed.empty:
        return
    source = timed["source"].mode().iloc[0]
    rows = timed[timed["source"] == source].sort_values("wall_time_s", kind="stable")
    rows = rows.drop_duplicates("restorer").sort_index().head(MOST_CONDITIONS)
    parts = []
    for row in rows.to_dict("records"):
        megapixels = row["source_width_px"] * row["source_height_px"] / 1e6
        time, *bounds = (row[f"wall_time{end}_s"] for end in ("", "_low", "_high"))
        values = {"condition": row["condition"]}
        values["time"] = with_bounds(time, *bounds, unit="s")
        if (
            pd.isna(bounds[0])
            and row["n_runs"] > 1
            and pd.notna(row["wall_time_min_s"])
        ):
            ends = {end: number(row[f"wall_time_{end}_s"]) for end in ("min", "max")}
            values["time"] += text("answer.range", language, n=row["n_runs"], **ends)
        values["rate"] = number(time / megapixels, "s")
        part = text("answer.cost.of", language, **values)
        output = folder.outputs.get((row["condition"], source), {})
        if output.get("output_width_px"):
            size = "{output_width_px}x{output_height_px} px".format(**output)
            part += text("answer.cost.size", language, size=size)
        if row["weights_kind"] == "random":
            part += text("answer.cost.random", language)
        parts.append(part)
    size = "{source_width_px}x{source_height_px} px".format(**row)
    values = {"source": source, "size": size, "parts": in_clauses(parts, language)}
    values |= {"device": folder.device_name}
    yield Sentence("cost", text("answer.cost", language, **values), ("cost",))


def same(folder: RunFolder, language: Language) -> Sentences:
    """Which condition makes the picture of another, and how much faster."""
    timed = folder.timed.set_index(["condition", "source"])
    parts = []
    for names, rows in folder.agreement.groupby(["condition", "other"], sort=False):
        shared = [
            source
            for source in rows["source"]
            if all((name, source) in timed.index for name in names)
        ]
        if not shared or not rows["is_same"].fillna(value=False).all():
            continue
        pair = [timed.loc[(name, shared[0])] for name in names]
        (fast, quick), (slow, long) = sorted(
            zip(names, pair, strict=True), key=lambda one: one[1]["wall_time_s"]
        )
        low = long["wall_time_low_s"] / quick["wall_time_high_s"]
        high = long["wall_time_high_s"] / quick["wall_time_low_s"]
        ratio = long["wall_time_s"] / quick["wall_time_s"]
        values = {"fast": fast, "slow": slow} | counted(len(rows))
        values["ratio"] = with_bounds(ratio, low, high, digits=2)
        values["source"] = shared[0]
        decibels = rows["psnr_db"].min()
        if pd.isna(decibels):
            parts.append(text("answer.same.equal", language, **values))
        else:
            values["psnr"] = number(floor(10 * decibels) / 10, "dB")  # "or more"
            parts.append(text("answer.same", language, **values))
    if parts:
        words = in_sentences(parts, language)
        yield Sentence("same", words, (AGREEMENT.name, "cost"))


def fits(folder: RunFolder, language: Language) -> Sentences:
    """What fits this machine."""
    costs, results = folder.timed, folder.results
    machine = folder.environment.get("machine", {})
    on_gpu = costs[GPU_MIB].notna().any()
    of_gpu = ["nvml_process_peak_mib", GPU_MIB]
    columns = of_gpu if on_gpu else ["peak_rss_mib"]
    peaks = costs[columns].astype(float).bfill(axis=1).iloc[:, 0].dropna()
    sizes = [gpu["memory_mib"] for gpu in folder.gpus or ()] if on_gpu else []
    total = sizes[0] if sizes else 1024 * (machine.get("memory_gib") or 0)
    if here := machine.get("machine"):  # what another machine lacked does not count
        results = results[results["machine"] == here]
    failed = results.loc[results["outcome"] == "oom", "condition"].value_counts()
    if failed.size:
        parts = [
            text("answer.fits.failed", language, condition=name, **counted(n))
            for name, n in failed.head(MOST_CONDITIONS).items()
        ]
        yield Sentence("fits", in_sentences(parts, language), ("records",))
    elif len(peaks) and peaks.max() < total:
        largest = costs.loc[peaks.idxmax()]
        values = counted(costs.loc[peaks.index, "condition"].nunique())
        values |= {"total": number(total / 1024, "GiB")}
        values |= {"most": number(peaks.max() / 1024, "GiB")}
        values["condition"] = largest["condition"]
        values["size"] = (
            f"{largest['source_width_px']}x{largest['source_height_px']} px"
        )
        yield Sentence("fits", text("answer.fits", language, **values), ("cost",))
