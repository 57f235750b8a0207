"""The rules of the answer about what is tried beside the pictures of a study."""

import json

import pandas as pd

from evalkit.report._rules import MOST_CONDITIONS
from evalkit.report._run_folder import RunFolder
from evalkit.report._text import (
    Sentence,
    Sentences,
    in_clauses,
    in_sentences,
    number,
    with_bounds,
)
from evalkit.tables import BACKENDS, BUDGET, CONCURRENCY, COST, EXPERIMENTS, STABILITY
from evalkit.texts import Language, text


def stability(folder: RunFolder, language: Language) -> Sentences:
    """Of how many runs in a row how many failed, and how memory and time grew."""
    rows = folder.of_here(folder.read(STABILITY)).head(MOST_CONDITIONS)
    parts = []
    for row in rows.to_dict("records"):
        failed = row["n_runs"] - json.loads(row["outcomes"]).get("ok", 0)
        kind = "fresh" if row["experiment"] == "stability-fresh" else "row"
        bounds = (100 * row[f"failure_{end}"] for end in ("low", "high"))
        low, high = (f"{round(bound, 1):g}" for bound in bounds)
        values = {"condition": row["condition"], "failed": failed, "n": row["n_runs"]}
        values |= {"how": text(f"answer.stability.{kind}", language)}
        part = text("answer.stability.of", language, low=low, high=high, **values)
        for name, unit in (("rss_slope", "MiB"), ("drift", "percent")):
            column = [f"{name}{end}_{unit.lower()}" for end in ("", "_low", "_high")]
            if pd.notna(row[column[0]]):
                grew = with_bounds(*(row[name] for name in column))
                part += text(f"answer.stability.{name}", language, grew=grew)
        parts.append(part)
    if parts:
        words = text("answer.stability", language, parts=in_clauses(parts, language))
        yield Sentence("stability", words, (STABILITY.name,))


def budget(folder: RunFolder, language: Language) -> Sentences:
    """Which condition fails first as memory shrinks, and which settings save it."""
    # late: it brings figures
    from evalkit.experiments import which_fails_first

    rows = which_fails_first(folder.read(BUDGET)).to_dict("records")
    for first in rows[:1]:
        key = "budget" if rows[1:] else "budget.one"
        key = "budget.never" if pd.isna(first["works_mib"]) else key
        values = {"condition": first["condition"], "longest": first["longest_px"]}
        values |= {"needs": number(first["works_mib"], "MiB")}
        values |= {"largest": number(first["largest_mib"], "MiB")}
        words = [text(f"answer.{key}", language, **values)]
        default = text("answer.budget.default", language)
        saved = [
            text(
                "answer.budget.saved",
                language,
                settings=row["saved_by"] or default,
                needs=number(row["works_mib"], "MiB"),
            )
            for row in rows
            if pd.notna(row["saved_by"])
        ]
        if saved:
            told = in_clauses(saved[:MOST_CONDITIONS], language)
            words.append(text("answer.budget.by", language, saved=told))
        yield Sentence("budget", in_sentences(words, language), (BUDGET.name,))


def instances(folder: RunFolder, language: Language) -> Sentences:
    """How more pictures are restored at once, and what that gains."""
    # late: it brings figures
    from evalkit.experiments import advise_concurrency

    rows = folder.of_here(folder.read(CONCURRENCY))
    parts = []
    for name, mine in [*rows.groupby("condition", sort=False)][:MOST_CONDITIONS]:
        ways = advise_concurrency(mine, folder.read(EXPERIMENTS))
        for best in ways[ways["is_best"]].to_dict("records"):
            values = {"condition": name, "gain": number(best["gain"])}
            values |= {key: best[key] for key in ("n_instances", "n_pictures")}
            values["most"] = ways["n_instances"].max()
            is_alone = best["n_instances"] == best["n_pictures"] == 1
            key = "instances.alone" if is_alone else "instances"
            parts.append(text(f"answer.{key}", language, **values))
    if parts:
        tables = (CONCURRENCY.name, EXPERIMENTS.name)
        yield Sentence("instances", in_sentences(parts, language), tables)


def backends(folder: RunFolder, language: Language) -> Sentences:
    """Which back end that makes PyTorch's picture is the fastest, by how much."""
    parts = []
    for network, rows in folder.read(BACKENDS).groupby("network", sort=False):
        timed = rows[rows["agrees"].eq(other=True)].dropna(subset=["speed_up"])
        timed = timed.sort_values("speed_up", ascending=False, kind="stable")
        for row in timed.head(1).to_dict("records"):
            ends = (row[f"speed_up{end}"] for end in ("", "_low", "_high"))
            values = {"network": network, "against": row["against"]}
            values |= {key: row[key] for key in ("backend", "precision", "source")}
            values |= {"time": number(row["wall_time_s"], "s")}
            values |= {"ratio": with_bounds(*ends)}
            values |= {"n": len(timed), "total": len(rows)}
            parts.append(text("answer.backends", language, **values))
            saved = row["memory_saved_percent"]
            if pd.notna(saved):
                key = "saved" if saved >= 0 else "more"
                percent = number(abs(saved))
                parts.append(text(f"answer.backends.{key}", language, percent=percent))
    if parts:
        yield Sentence("backends", in_sentences(parts, language), (BACKENDS.name,))


def cards(folder: RunFolder, language: Language) -> Sentences:
    """On which of several machines a condition is the fastest, and by how much."""
    costs = folder.costs_of_machines
    costs = costs[costs["wall_time_s"] > 0]
    parts = []
    for condition, rows in costs.groupby("condition", sort=False):
        machines = rows.groupby("source")["machine"].nunique()
        if machines.max() < 2:
            continue
        of_source = rows[rows["source"] == machines.idxmax()].sort_values("wall_time_s")
        quick, long = of_source.iloc[0], of_source.iloc[-1]
        ratio = long["wall_time_s"] / quick["wall_time_s"]
        low = long["wall_time_low_s"] / quick["wall_time_high_s"]
        high = long["wall_time_high_s"] / quick["wall_time_low_s"]
        values = {"condition": condition, "source": quick["source"]}
        for end, row in (("fast", quick), ("slow", long)):
            values |= {
                end: row["machine"],
                f"{end}_time": number(row["wall_time_s"], "s"),
            }
        values["ratio"] = with_bounds(ratio, low, high)
        parts.append(text("answer.cards", language, **values))
    if parts:
        words = in_sentences(parts[:MOST_CONDITIONS], language)
        yield Sentence("cards", words, (COST.name,))
