"""The rules of the answer: each reads tables of a run and gives sentences, or none.

What they say stands in the catalogue of `evalkit.texts`, page ``answer``.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from evalkit.article import load_article
from evalkit.report._claims import METHODS, advice, wrong
from evalkit.report._panel import is_open, shown_of
from evalkit.report._run_folder import RunFolder
from evalkit.report._text import (
    Sentence,
    Sentences,
    counted,
    in_clauses,
    in_kind,
    in_list,
    in_sentences,
    in_verdict,
    lasting,
    number,
    or_number,
    with_bounds,
)
from evalkit.restorers import restorers
from evalkit.tables import (
    COST,
    FLOORS,
    SCORES_KINDS,
    SCORES_MOS,
    SCORES_PAIRS,
    SCORES_STRENGTHS,
    VERDICTS,
)
from evalkit.texts import Language, text

MOST_KINDS, MOST_CONDITIONS = 2, 4
"""The most kinds of pictures, and conditions, that a sentence names."""

GPU_MIB = "cuda_reserved_peak_mib"

LEVEL = 0.05
"""A preference is shown below this p, corrected for all pairs (Holm)."""

TABLES_OF_SCORES = (SCORES_PAIRS.name, SCORES_KINDS.name, SCORES_MOS.name)


Rule = Callable[[RunFolder, Language], Sentences]


def preferred(folder: RunFolder, language: Language) -> Sentences:
    """What people scored highest, by kind of picture, and how sure that is."""
    mos, of_kinds = folder.read(SCORES_MOS), folder.read(SCORES_KINDS)
    mos = mos[(mos["method"] == "none") & mos["condition"].isin(folder.conditions)]
    largest_first = of_kinds.sort_values("n_sources", ascending=False, kind="stable")
    kinds = largest_first["kind"].unique().tolist()
    pairs = dict(iter(of_kinds.groupby("kind"))) | {"all": folder.read(SCORES_PAIRS)}
    for kind in ["all", *(kinds[:MOST_KINDS] if len(kinds) > 1 else [])]:
        rows = mos[mos["kind"] == kind].set_index("condition")
        of_kind = rows["mos"]
        ranking = of_kind.sort_values(ascending=False)
        if len(ranking) < 2:
            continue
        best, other = ranking.index[:2]
        row = _pair(pairs[kind], best, other)
        if row is None:
            continue
        if row["difference"] < 0:  # where both were scored, the other one is better
            best, other = other, best
            row = _pair(pairs[kind], best, other) or row
        bounds = (row[name] for name in ("difference", "low", "high"))
        values = {
            "kind": in_kind(kind, language),
            "best": best,
            "other": other,
            "difference": with_bounds(*bounds),
            "best_mos": number(of_kind[best]),
            "other_mos": number(of_kind[other]),
            "n_subjects": row["n_subjects"],
            **counted(row["n_sources"]),
            "p": f"{max(row['p_holm'], 1e-4):.2g}",
        }
        if row["low"] > 0 and row["p_holm"] < LEVEL:
            words = text("answer.preferred", language, **values)
        else:
            words = text("answer.undecided", language, **values)
        words += shown_of(rows.to_dict("index"), best, other, language)
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
    strengths = folder.read(SCORES_STRENGTHS).dropna(subset=["strength", "low", "high"])
    strengths = strengths[strengths["condition"].isin(folder.conditions)]
    if len(strengths) < 2:
        return
    ranking = strengths.sort_values("strength", ascending=False).to_dict("records")
    best, other = ranking[:2]
    apart = [best["strength"] - other["strength"]]
    apart += [best["low"] - other["high"], best["high"] - other["low"]]
    odds, low, high = np.exp(np.clip(apart, -9, 9))
    values = {"best": best["condition"], "other": other["condition"]}
    values |= counted(len(folder.panel.choices))
    is_undecided = is_open(folder, best["condition"], other["condition"])
    if low > 1 and not best["is_regularised"] and not is_undecided:
        values["odds"] = with_bounds(odds, low, high, digits=2)
        words = text("answer.chosen", language, **values)
    else:
        words = text("answer.chosen.undecided", language, **values)
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
    for restorer, group in pictures.groupby("chosen") if len(pictures) else ():
        reasons = [
            text(
                "answer.route.of",
                language,
                pictures=or_number(rows["source"].tolist(), MOST_CONDITIONS, language),
                why=text(f"answer.why.{rule}", language),
            )
            for rule, rows in group.groupby("rule", sort=False)
        ]
        values = {"restorer": restorer, "reasons": in_clauses(reasons, language)}
        if runs := _runs(folder, restorer, group["source"].tolist()):
            times = [run["wall_time_s"] for run in runs]
            peak_mib = max(run[GPU_MIB] or run["peak_rss_mib"] for run in runs)
            values |= {"time": lasting(sum(times))}
            values |= {"slowest": number(max(times), "s")}
            values |= {"memory": number(peak_mib / 1024, "GiB")}
            words = text("answer.route", language, **values)
            yield Sentence("routes", words, ("looks", "records"))
        elif len(timed := folder.timed[folder.timed["restorer"] == restorer]):
            timed = timed[timed["condition"] == timed["condition"].iloc[0]]
            pixels = timed["source_width_px"] * timed["source_height_px"]
            rate = (timed["wall_time_s"] / pixels).median()
            values |= {"time": lasting(rate * folder.pixels(group["source"]))}
            peak_mib = timed[GPU_MIB].fillna(timed["peak_rss_mib"]).max()
            values |= {"memory": number(peak_mib / 1024, "GiB")}
            words = text("answer.route.foreseen", language, **values)
            yield Sentence("routes", words, ("looks", "images", COST.name))
        else:
            words = text("answer.route.unseen", language, **values)
            yield Sentence("routes", words, ("looks",))


def _runs(folder: RunFolder, restorer: str, sources: list[str]) -> list[dict[str, Any]]:
    """The runs of the restorer's first condition that made all of these pictures."""
    for condition in folder.conditions:
        runs = [folder.outputs.get((condition, source), {}) for source in sources]
        is_it = folder.restorer_of.get(condition) == restorer
        if is_it and all(run.get("output") and run["peak_rss_mib"] for run in runs):
            return runs
    return []


def faces(folder: RunFolder, language: Language) -> Sentences:
    """Which restorer draws faces anew, and which never does."""
    known = restorers()
    names = [n for n in dict.fromkeys(folder.restorer_of.values()) if n in known]
    # what others' files and programs draw is not known
    names = [name for name in names if not known[name].argument]
    drawing = [name for name in names if known[name].redraws_faces]
    others = [name for name in names if name not in drawing]
    if drawing and others:
        groups = {"drawing": drawing, "others": others}
        values = {name: in_list(group, language) for name, group in groups.items()}
        yield Sentence("faces", text("answer.faces", language, **values), ())


def guess(folder: RunFolder, language: Language) -> Sentences:
    """That a face is a guess, wherever this run has drawn one anew."""
    made = folder.results.loc[folder.results["output"].notna(), "restorer"].unique()
    known = restorers()
    specs = [known[name] for name in made if name in known]
    if any(spec.redraws_faces or spec.argument for spec in specs):
        yield Sentence("guess", text("answer.guess", language), ())


def claims(folder: RunFolder, language: Language) -> Sentences:
    """What this run says to the article's claims, and beside its advice."""
    verdicts = folder.read(VERDICTS)
    if verdicts.empty or not folder.shows_claims:
        return
    is_method = verdicts["verdict"].isin(METHODS)
    counts, methods = (
        [
            text("answer.claims.count", language, n=n, verdict=in_verdict(v, language))
            for v, n in rows["verdict"].value_counts().items()
        ]
        for rows in (verdicts[~is_method], verdicts[is_method])
    )
    values = {"n": len(verdicts), "counts": in_list(counts, language)}
    words = [
        text("answer.claims", language, author=load_article().author, **values),
        *(
            [text("answer.methods", language, counts=in_list(methods, language))]
            if methods
            else []
        ),
        *wrong(verdicts, folder.read(FLOORS), language),
        *advice(verdicts[verdicts["kind"] == "rule"], language),
    ]
    tables = (VERDICTS.name, FLOORS.name)
    yield Sentence("claims", in_sentences(words, language), tables)
