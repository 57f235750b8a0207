"""The rules of the answer: each reads tables of a run and gives sentences, or none.

What they say stands in the catalogue of `evalkit.texts`, page ``answer``.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pandas as pd

from evalkit.article import load_article
from evalkit.report._run_folder import RunFolder
from evalkit.report._text import (
    counted,
    in_clauses,
    in_kind,
    in_list,
    in_sentences,
    in_verdict,
    number,
    with_bounds,
)
from evalkit.restorers import restorers
from evalkit.tables import (
    AGREEMENT,
    FLOORS,
    PATHOLOGIES,
    SCORES_KINDS,
    SCORES_MOS,
    SCORES_PAIRS,
    SCORES_STRENGTHS,
    VERDICTS,
)
from evalkit.texts import Language, text

MOST_KINDS, MOST_CONDITIONS, MOST_SETTINGS = 2, 4, 2
"""The most kinds of pictures, conditions and settings that a sentence names."""

LEVEL = 0.05
"""A preference is shown below this p, corrected for all pairs (Holm)."""

DEFECTS = ("blockiness_change", "colour_shift", "text_agreement")
"""What the answer tells of a restored picture, by metrics against its source."""

TABLES_OF_SCORES = (SCORES_PAIRS.name, SCORES_KINDS.name, SCORES_MOS.name)


class Sentence(NamedTuple):
    """One sentence of the answer.

    Attributes
    ----------
    rule, text
        The rule that made it; what it says, without markup.
    tables, command
        The tables that hold its numbers; what to type, for a step.

    """

    rule: str
    text: str
    tables: tuple[str, ...]
    command: str | None = None


Sentences = Iterator[Sentence]
Rule = Callable[[RunFolder, Language], Sentences]


def preferred(folder: RunFolder, language: Language) -> Sentences:
    """What people scored highest, by kind of picture, and how sure that is."""
    mos, of_kinds = folder.read(SCORES_MOS), folder.read(SCORES_KINDS)
    mos = mos[(mos["method"] == "none") & mos["condition"].isin(folder.conditions)]
    largest_first = of_kinds.sort_values("n_sources", ascending=False, kind="stable")
    kinds = largest_first["kind"].unique().tolist()
    pairs = {"all": folder.read(SCORES_PAIRS)} | dict(iter(of_kinds.groupby("kind")))
    for kind in ["all", *(kinds[:MOST_KINDS] if len(kinds) > 1 else [])]:
        of_kind = mos[mos["kind"] == kind].set_index("condition")["mos"]
        ranking = of_kind.sort_values(ascending=False)
        if len(ranking) < 2:
            continue
        best, other = ranking.index[:2]
        row = _pair(pairs[kind], best, other)
        if row is None:
            continue
        bounds = (row[name] for name in ("difference", "low", "high"))
        values = {
            "kind": in_kind(kind, language),
            "best": best,
            "other": other,
            "difference": with_bounds(*bounds, digits=2),
            "best_mos": number(ranking.iloc[0], digits=2),
            "other_mos": number(ranking.iloc[1], digits=2),
            "n_subjects": row["n_subjects"],
            **counted(row["n_sources"]),
            "p": f"{row['p_holm']:.2g}",
        }
        if row["low"] > 0 and row["p_holm"] < LEVEL:
            words = text("answer.preferred", language, **values)
        else:
            words = text("answer.undecided", language, **values)
        yield Sentence("preferred", words, TABLES_OF_SCORES)


def _pair(pairs: pd.DataFrame, best: str, other: str) -> dict[str, Any] | None:
    """The comparison of two conditions, as the first less the second."""
    for sign, (first, second) in ((1, (best, other)), (-1, (other, best))):
        rows = pairs[(pairs["condition"] == first) & (pairs["other"] == second)]
        rows = rows.dropna(subset=["difference", "ci_low", "ci_high", "p_holm"])
        if len(rows):
            row: dict[str, Any] = rows.iloc[0].to_dict()
            bounds = sorted((sign * row["ci_low"], sign * row["ci_high"]))
            row |= {"difference": sign * row["difference"]}
            return row | dict(zip(("low", "high"), bounds, strict=True))
    return None


def chosen(folder: RunFolder, language: Language) -> Sentences:
    """Which of two people chose most, by the model of Bradley and Terry."""
    strengths = folder.read(SCORES_STRENGTHS)
    strengths = strengths[strengths["condition"].isin(folder.conditions)]
    if len(strengths) < 2:
        return
    ranking = strengths.sort_values("strength", ascending=False).to_dict("records")
    best, other = ranking[:2]
    odds = math.exp(best["strength"] - other["strength"])
    low = math.exp(best["low"] - other["high"])
    high = math.exp(best["high"] - other["low"])
    values = {"best": best["condition"], "other": other["condition"]}
    values["odds"] = with_bounds(odds, low, high, digits=2)
    values |= counted(len(folder.panel.choices))
    words = text("answer.chosen", language, **values)
    yield Sentence("chosen", words, (SCORES_STRENGTHS.name,))


def album(folder: RunFolder, language: Language) -> Sentences:
    """What the album holds: faces, texts, others."""
    pictures = folder.album_routes
    if pictures.empty:
        return
    has_face, is_text = pictures["n_faces"] > 0, pictures["kind"] == "text"
    values = {
        "n": len(pictures),
        "n_with_faces": int(has_face.sum()),
        "n_faces": f"{pictures['n_faces'].sum():.0f}",
        "n_text": int((is_text & ~has_face).sum()),
        "n_other": int((~is_text & ~has_face).sum()),
    }
    yield Sentence("album", text("answer.album", language, **values), ("looks",))


def routes(folder: RunFolder, language: Language) -> Sentences:
    """Which restorer for which pictures, why, how long, how much memory."""
    pictures = folder.album_routes
    if pictures.empty:
        return
    for (restorer, used), group in pictures.groupby(["chosen", "used"], sort=False):
        rules = group["rule"].unique()
        whys = [text(f"answer.why.{rule}", language) for rule in rules]
        values = {"restorer": restorer, "used": used, "why": in_clauses(whys, language)}
        names = group["source"].tolist()
        n = text("answer.pictures", language, n=len(names))
        is_short = len(names) <= MOST_CONDITIONS
        values["pictures"] = in_list(names, language) if is_short else n
        words = text("answer.route", language, **values)
        if used != restorer:
            words += text("answer.route.instead", language, **values)
        known = group.dropna(subset=["time_s", "memory_mib"])
        if len(known):
            values["time"] = number(known["time_s"].sum(), "s")
            values["memory"] = number(known["memory_mib"].max() / 1024, "GiB")
            words += text("answer.route.cost", language, **values)
        else:
            words += text("answer.route.unknown", language)
        yield Sentence("routes", words, ("looks", "cost"))
    if any(restorers()[name].redraws_faces for name in pictures["used"].unique()):
        yield Sentence("guess", text("answer.guess", language), ())


def faces(folder: RunFolder, language: Language) -> Sentences:
    """Which restorer draws faces anew, and which never does."""
    known = restorers()
    names = dict.fromkeys(folder.restorer_of.values())
    drawing = [name for name in names if name in known and known[name].redraws_faces]
    others = [name for name in names if name in known and name not in drawing]
    if not drawing or not others:
        return
    groups = {"drawing": drawing, "others": others}
    values = {group: in_list(members, language) for group, members in groups.items()}
    words = [text("answer.faces", language, **values)]
    made = folder.results[folder.results["output"].notna()]
    if made["restorer"].isin(drawing).any():
        words.append(text("answer.guess", language))
    yield Sentence("faces", in_sentences(words, language), ())


def cost(folder: RunFolder, language: Language) -> Sentences:
    """What each restorer costs here, file to file and per megapixel."""
    timed = folder.timed
    if timed.empty:
        return
    source = timed["source"].mode(dropna=True).iloc[0]
    rows = timed[timed["source"] == source].sort_values("wall_time_s", kind="stable")
    rows = rows.drop_duplicates("restorer").sort_index().head(MOST_CONDITIONS)
    parts = []
    for row in rows.to_dict("records"):
        megapixels = row["source_width_px"] * row["source_height_px"] / 1e6
        time, *bounds = (row[f"wall_time{end}_s"] for end in ("", "_low", "_high"))
        values = {"condition": row["condition"]}
        values["time"] = with_bounds(time, *bounds, unit="s")
        values["rate"] = number(time / megapixels, "s")
        part = text("answer.cost.of", language, **values)
        if row["weights_kind"] == "random":
            part += text("answer.cost.random", language)
        parts.append(part)
    size = f"{row['source_width_px']}x{row['source_height_px']} px"
    values = {"source": source, "size": size, "parts": in_clauses(parts, language)}
    values |= {"device": folder.device_name}
    yield Sentence("cost", text("answer.cost", language, **values), ("cost",))


def same(folder: RunFolder, language: Language) -> Sentences:
    """Which condition makes the picture of another, and how much faster."""
    timed = folder.timed.set_index(["condition", "source"])
    agreement = folder.of_here(folder.read(AGREEMENT))
    parts = []
    for names, rows in agreement.groupby(["condition", "other"], sort=False):
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
        decibels = rows["psnr_db"].min()
        if pd.isna(decibels):
            parts.append(text("answer.same.equal", language, **values))
        else:
            values["psnr"] = number(decibels, "dB")
            parts.append(text("answer.same", language, **values))
    if parts:
        words = in_sentences(parts, language)
        yield Sentence("same", words, (AGREEMENT.name, "cost"))


def fits(folder: RunFolder, language: Language) -> Sentences:
    """What fits this machine."""
    costs, total, results = folder.timed, folder.memory_mib, folder.results
    of_gpu = ["nvml_process_peak_mib", "cuda_reserved_peak_mib"]
    columns = of_gpu if folder.gpus else ["peak_rss_mib"]
    peaks = costs[columns].astype(float).bfill(axis=1).iloc[:, 0]
    failed = results.loc[results["outcome"] == "oom", "condition"].value_counts()
    if failed.size:
        parts = [
            text("answer.fits.failed", language, condition=name, **counted(n))
            for name, n in failed.head(MOST_CONDITIONS).items()
        ]
        yield Sentence("fits", in_sentences(parts, language), ("records",))
    elif total and peaks.notna().any():
        largest = costs.loc[peaks.idxmax()]
        values = {
            "n": costs["condition"].nunique(),
            "total": number(total / 1024, "GiB"),
            "most": number(peaks.max() / 1024, "GiB"),
            "condition": largest["condition"],
            "size": f"{largest['source_width_px']}x{largest['source_height_px']} px",
        }
        yield Sentence("fits", text("answer.fits", language, **values), ("cost",))


def defects(folder: RunFolder, language: Language) -> Sentences:
    """What learned restorers did to blocks, colour and text of these pictures."""
    values = folder.of_here(folder.read(PATHOLOGIES)).query("region == 'whole'")
    parts = []
    for condition in folder.learned_conditions[:MOST_KINDS]:
        mine = values[values["condition"] == condition]
        clauses = []
        for metric in DEFECTS:
            of_metric = mine.loc[mine["metric"] == metric, "value"].dropna()
            if len(of_metric):
                numbers = {
                    "median": number(of_metric.median(), digits=2),
                    "low": number(of_metric.min(), digits=2),
                    "high": number(of_metric.max(), digits=2),
                    **counted(len(of_metric)),
                }
                clauses.append(text(f"answer.defect.{metric}", language, **numbers))
        if clauses:
            told = {"condition": condition, "clauses": in_clauses(clauses, language)}
            parts.append(text("answer.defects", language, **told))
    if parts:
        yield Sentence("defects", in_sentences(parts, language), (PATHOLOGIES.name,))


def claims(folder: RunFolder, language: Language) -> Sentences:
    """What this run says to the article's claims, and beside its advice."""
    verdicts = folder.read(VERDICTS)
    if verdicts.empty or not folder.shows_claims:
        return
    counts = [
        text("answer.claims.count", language, n=n, verdict=in_verdict(name, language))
        for name, n in verdicts["verdict"].value_counts().items()
    ]
    values = {"n": len(verdicts), "counts": in_list(counts, language)}
    words = [
        text("answer.claims", language, author=load_article().author, **values),
        *_wrong(verdicts, folder.read(FLOORS), language),
        *_advice(verdicts[verdicts["kind"] == "rule"], language),
    ]
    tables = (VERDICTS.name, FLOORS.name)
    yield Sentence("claims", in_sentences(words, language), tables)


def _wrong(
    verdicts: pd.DataFrame, floors: pd.DataFrame, language: Language
) -> Iterator[str]:
    """Which claims are contradicted, and which figures cannot be true."""
    contradicted = verdicts[verdicts["verdict"] == "contradicted"]
    names = [f"{row.claim} ({row.quantity})" for row in contradicted.itertuples()]
    if names:
        yield text("answer.claims.wrong", language, wrong=in_list(names, language))
    impossible = floors[(floors["figure"] != "measured") & floors["is_below"]]
    for row in impossible.to_dict("records"):
        scale, unit = (1024, "GiB") if row["unit"] == "MiB" else (1, row["unit"])
        values = {name: number(row[name] / scale, unit) for name in ("value", "floor")}
        values |= {"claim": row["figure"], "quantity": row["quantity"]}
        yield text("answer.claims.impossible", language, **values)


def _advice(advice: pd.DataFrame, language: Language) -> Iterator[str]:
    """What the article recommends, with our verdict."""
    parts = []
    for (claimed, verdict), rows in advice.groupby(["claimed", "verdict"], sort=False):
        values = {"claimed": claimed, "verdict": in_verdict(verdict, language)}
        for key, column in (("settings", "setting"), ("claims", "claim")):
            values[key] = in_list(rows[column].tolist()[:MOST_SETTINGS], language)
        parts.append(text("answer.advice.part", language, **values))
    if parts:
        shown = in_clauses(parts[:MOST_SETTINGS], language)
        yield text("answer.advice", language, parts=shown)
