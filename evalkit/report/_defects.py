"""The rule of the answer about defects: against the sources, and of tiles."""

from evalkit.report._rules import MOST_CONDITIONS, MOST_KINDS
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
from evalkit.tables import EXPERIMENTS, PATHOLOGIES
from evalkit.texts import Language, text

DEFECTS = ("blockiness_change", "colour_shift", "text_agreement")
"""What the answer tells of a restored picture, by metrics against its source."""


def defects(folder: RunFolder, language: Language) -> Sentences:
    """What learned restorers did to blocks, colour and text; what tiles did."""
    values = folder.pathologies
    parts = []
    by_restorer = {
        folder.restorer_of.get(c): c for c in folder.learned_conditions[::-1]
    }
    for condition in [*by_restorer.values()][::-1][:MOST_KINDS]:
        mine = values[values["condition"] == condition]
        clauses = []
        for metric in DEFECTS:
            of_metric = mine.loc[mine["metric"] == metric, "value"].dropna()
            if len(of_metric):
                low, median, high = of_metric.astype(float).quantile([0, 0.5, 1])
                numbers = counted(len(of_metric))
                numbers["median"] = with_bounds(median, low, high, digits=2)
                clauses.append(text(f"answer.defect.{metric}", language, **numbers))
        if clauses:
            told = {"condition": condition, "clauses": in_clauses(clauses, language)}
            parts.append(text("answer.defects", language, **told))
    tables = [PATHOLOGIES.name] if parts else []
    if of_tiles := _of_tiles(folder, language):
        parts.append(of_tiles)
        tables.append(EXPERIMENTS.name)
    if parts:
        yield Sentence("defects", in_sentences(parts, language), tuple(tables))


def _of_tiles(folder: RunFolder, language: Language) -> str:
    """How far a picture made in tiles is from the one made whole; else empty."""
    rows = folder.read(EXPERIMENTS)
    rows = rows[rows["experiment"] == "tile"].dropna(subset=["untiled_levels"])
    rows = folder.of_here(rows.assign(condition=rows["base_condition"]))
    parts = []
    for condition, of_base in rows.groupby("base_condition", sort=False):
        worst = of_base.loc[of_base["untiled_levels"].idxmax()]
        values = {"condition": condition, "source": worst["source"]}
        values["levels"] = number(worst["untiled_levels"])
        parts.append(text("answer.tiles.of", language, tile=worst["value"], **values))
    if not parts:
        return ""
    words = in_clauses(parts[:MOST_CONDITIONS], language)
    return text("answer.tiles", language, parts=words)
