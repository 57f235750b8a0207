"""Checklists by role: each line has its number from a table, or says it has none."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import pandas as pd

from evalkit.report._run_folder import RunFolder
from evalkit.report._text import in_clauses, in_list, in_verdict, number, with_bounds
from evalkit.restorers import restorers
from evalkit.tables import (
    CONCURRENCY,
    PATHOLOGIES,
    SCORES_MOS,
    STABILITY,
    VERDICTS,
)
from evalkit.texts import Language, text, texts_of

Said = Iterable[tuple[str, str]]
"""A name, mostly a condition's, and its number."""

Row = Mapping[str, Any]


ENDS = ("rate", "low", "high")


class Line(NamedTuple):
    """A line of a checklist: its key in the catalogue, its numbers, their table."""

    key: str
    said: Said
    table: str


def roles(folder: RunFolder) -> list[dict[str, Any]]:
    """Each with ``title`` and ``lines``; none of a run without records."""
    if folder.results.empty:
        return []
    parts = {"researcher": _researcher, "engineer": _engineer, "owner": _owner}
    return [
        {
            "title": text(f"report.role.{role}", folder.language),
            "lines": [_in_words(folder, line) for line in lines(folder)],
        }
        for role, lines in parts.items()
    ]


def _in_words(folder: RunFolder, line: Line) -> dict[str, str]:
    language = folder.language
    clauses = [
        text("report.role.part", language, name=name, said=said)
        for name, said in line.said
    ]
    said = in_clauses(clauses, language) or text("report.unknown", language)
    label = text(f"report.role.{line.key}", language)
    return {"label": label, "said": said, "table": line.table if clauses else ""}


def _researcher(folder: RunFolder) -> Iterator[Line]:
    verdicts = folder.read(VERDICTS)
    counts = verdicts["verdict"].value_counts() if folder.shows_claims else {}
    said = [(in_verdict(name, folder.language), f"{n}") for name, n in counts.items()]
    if folder.shows_claims:
        yield Line("claims", said, VERDICTS.name)
    nearest = folder.agreement.groupby(["condition", "other"], sort=False)["psnr_db"]
    pairs = [(" / ".join(names), value) for names, value in nearest.min().items()]
    yield Line("agreement", _numbers(pairs, "dB"), "agreement")
    yield Line("blocks", _median(folder, "blockiness_change"), PATHOLOGIES.name)
    yield Line("scores", _scores(folder), SCORES_MOS.name)


def _engineer(folder: RunFolder) -> Iterator[Line]:
    rates = ((row["condition"], 3600 / row["wall_time_s"]) for row in _timed(folder))
    yield Line("throughput", _numbers(rates, None), "cost")
    held = folder.in_order(folder.of_here(folder.read(CONCURRENCY)))
    most = held[held["outcome"] == "ok"].groupby("condition", sort=False)
    yield Line(
        "instances", _numbers(most["n_ok"].max().items(), None), CONCURRENCY.name
    )
    of_gpu = "cuda_reserved_peak_mib"
    peaks = (
        (row["condition"], row["peak_rss_mib"] if pd.isna(row[of_gpu]) else row[of_gpu])
        for row in _timed(folder)
    )
    yield Line("memory", _numbers(peaks, "MiB"), "cost")
    stable = folder.in_order(folder.of_here(folder.read(STABILITY)))
    failed = [
        (row["condition"], with_bounds(*(row[f"failure_{end}"] for end in ENDS)))
        for row in stable.to_dict("records")
    ]
    yield Line("failed", failed, STABILITY.name)
    known = restorers()
    names = [n for n in dict.fromkeys(folder.restorer_of.values()) if n in known]
    said = [(name, _licence(known[name].licence, folder.language)) for name in names]
    yield Line("licences", said, "records")


def _licence(licence: str, language: Language) -> str:
    """A licence, mostly by its identifier; in the reader's language, if told."""
    is_told = f"licence.{licence}" in texts_of("report")
    return text(f"report.licence.{licence}", language) if is_told else licence


def _owner(folder: RunFolder) -> Iterator[Line]:
    waits = ((row["condition"], row["wall_time_s"]) for row in _timed(folder))
    yield Line("wait", _numbers(waits, "s"), "cost")
    yield Line("scores", _scores(folder), SCORES_MOS.name)
    yield Line("text", _median(folder, "text_agreement"), PATHOLOGIES.name)
    known = restorers()
    names = [n for n in dict.fromkeys(folder.restorer_of.values()) if n in known]
    drawing = [name for name in names if known[name].redraws_faces]
    yes = text("report.same.yes", folder.language)
    said = [(in_list(drawing, folder.language), yes)] if drawing else []
    yield Line("guess", said, "records")


def _timed(folder: RunFolder) -> list[Row]:
    """The first timed source of each condition."""
    timed: list[Row] = folder.timed.drop_duplicates("condition").to_dict("records")
    return timed


def _numbers(pairs: Iterable[tuple[Any, Any]], unit: str | None) -> Said:
    return [
        (str(name), number(value, unit)) for name, value in pairs if pd.notna(value)
    ]


def _median(folder: RunFolder, metric: str) -> Said:
    """Over the pictures, of each condition that made pictures by learned weights."""
    rows = folder.pathologies[folder.pathologies["metric"] == metric]
    rows = rows[rows["condition"].isin(folder.learned_conditions)]
    unit = rows["unit"].iloc[0] if len(rows) else None
    values = rows.astype({"value": float}).groupby("condition", sort=False)["value"]
    return _numbers(values.median().items(), unit)


def _scores(folder: RunFolder) -> Said:
    mos = folder.in_order(folder.of_here(folder.read(SCORES_MOS)))
    mos = mos[(mos["method"] == "none") & (mos["kind"] == "all")].dropna(subset=["mos"])
    return [
        (row["condition"], with_bounds(row["mos"], row["ci_low"], row["ci_high"]))
        for row in mos.to_dict("records")
    ]
