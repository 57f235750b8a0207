"""Claims that a metric bears on: each output against its source, at its size.

The parts of such a claim in ``data/claims.yaml`` each name a quantity of the table
``pathologies`` and the range in which it must lie. The article's own pictures are not
public, and one picture has no spread, so all of the run's pictures of people stand for
its one; those of one face or original count once, by their median. A part holds, or
fails, when the whole interval of the median over the originals lies within, or without,
its range; of a part that asks for a share of the pictures, the exact interval of the
share. Judged on the runner ``upstream`` where it made pictures, else on ``tuned``; for
GPEN without its weights, on its authors' published outputs. Outputs of random weights
are in no table.
"""

import numpy as np
import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    all_of,
    not_tested,
    within,
)
from evalkit.article._figures import CLAIMS, GPEN, X4PLUS
from evalkit.article._register import Part
from evalkit.stats.bootstrap import median_interval
from evalkit.tables import PATHOLOGIES

CONDITIONS = {
    GPEN: (f"{GPEN}@runner=upstream", GPEN, "outputs:gpen-official"),
    X4PLUS: (f"{X4PLUS}@runner=upstream", X4PLUS),
}
"""The first that made a picture of people is judged."""

PEOPLE = ("portrait", "aligned-face", "group")
LEAST_SOURCES = 6
"""With fewer originals the verdict is open, whatever the numbers: from 6 values on the
interval of a median reaches 95 %."""

WORDS = {
    Verdict.REPRODUCED: "yes",
    Verdict.CONTRADICTED: "no",
    Verdict.INCONCLUSIVE: "open",
}
FINE = ("texture_energy", "halo", "coherence_change")
SHRUNK = "the output was shrunk to the source's size, which hides fine things"
HAIR_NOTE = "hair: the face's box, since it is not told without ParseNet"
SECONDARY = "A metric is no judge of looks; the scores of people are."

WAYS = {
    "blockiness_change": ("fewer JPEG blocks", "more JPEG blocks"),
    "colour_shift_a": ("greener", "redder"),
    "colour_shift_b": ("bluer", "yellower"),
    "colour_shift_lightness": ("darker", "brighter"),
    "coherence_change": ("less even edges", "more even edges"),
    "highlights": ("fewer highlights", "new highlights"),
    "texture_energy": ("less fine texture", "more fine texture"),
    "halo": ("softer edges", "lines of halo along edges"),
}
"""What a value below 0 means, and one above."""


def _judge(claim: str, restorer: str) -> Evaluator:
    parts = CLAIMS[claim].parts

    def judge(evidence: Evidence) -> Judgement:
        condition = _condition(evidence, restorer)
        if condition is None:
            return _missing(restorer)
        judged = [_part(evidence, condition, part) for part in parts]
        return Judgement(
            all_of(verdict for verdict, *_ in judged),
            "; ".join(answer for _, answer, _, _ in judged),
            f"{' '.join(why for *_, why, _ in judged)} Outputs of {condition} against "
            "their sources, pictures of people; the median over originals and its 95 % "
            f"interval (tables/pathologies.csv). {_notes(evidence, parts)}{SECONDARY}",
            sum(n_held for *_, n_held in judged),
        )

    return Evaluator(claim, judge)


def _part(
    evidence: Evidence, condition: str, part: Part
) -> tuple[Verdict, str, str, int]:
    """The verdict on a part, what there is, why, and how many intervals it took."""
    open_, says = Verdict.INCONCLUSIVE, f"{part.says[0].upper()}{part.says[1:]}"
    values = _values(evidence, condition, part.metric, part.region)
    if part.against:
        reference = _condition(evidence, part.against)
        if reference is None:
            why = f"{says}: open, since {part.against} made no picture of people here."
            return open_, f"no picture by {part.against}", why, 0
        base = _values(evidence, reference, part.metric, part.region)
        values = (values - base).dropna()
    for metric, least in part.only.items():
        base = _values(evidence, "source", metric).reindex(values.index)
        values = values[base >= least]
    if values.empty:
        told = evidence.read(PATHOLOGIES).dropna(subset="unit")
        units = told.groupby("metric")["unit"].first()
        needs = " and ".join(
            f"{name} of {n:g} {units.get(name) or '(no unit)'}"
            for name, n in part.only.items()
        )
        where = f" whose source has {needs} or more" if needs else ""
        return (
            open_,
            "no such picture",
            f"{says}: open, for lack of a picture{where}.",
            0,
        )
    values = values.groupby(evidence.originals_of(values.index.to_series())).median()
    low, high, answer = _interval(values, part)
    verdict, n_held, why = open_, 0, ""
    if len(values) < LEAST_SOURCES:
        why = f", since a verdict takes {LEAST_SOURCES} originals"
    elif low is not None and high is not None:
        bounds = (100 * part.share, 100) if part.share else part.bounds()
        verdict, n_held = within(low, high, *bounds), 1
    if verdict is _of_nothing(part) and _hides(evidence, condition, part.metric):
        verdict, why = open_, f", since {SHRUNK}"
    if part.region == "hair" and _hair_is_unknown(evidence):
        # a box around the face decides nothing of hair
        verdict, why = open_, ", since hair is not told from the rest here"
    why = f"{part.in_words(None, None)}? {WORDS[verdict].capitalize()}{why}."
    return verdict, answer, f"{why[0].upper()}{why[1:]}", n_held


def _interval(values: pd.Series, part: Part) -> tuple[float | None, float | None, str]:
    """The interval of what the part is about, and all of it in words."""
    n = len(values)
    unit, pictures = part.unit or "", f"on {n} original{'s' * (n > 1)}"
    way = _way(values.median(), part)
    if part.share:
        from scipy.stats import binomtest  # late: it takes a second

        k = int(values.between(*part.bounds()).sum())
        share = binomtest(k, n).proportion_ci()
        low, high = 100 * share.low, 100 * share.high
        return (
            low,
            high,
            f"{k} of {n} originals, {100 * k / n:.0f} % [{low:.0f}, {high:.0f}]; the "
            f"median is {values.median():+.2f} {unit}: {way}",
        )
    sized = values.abs() if part.either_way else values
    interval = median_interval(sized)
    spread = "" if interval[0] is None else f" [{interval[0]:.2f}, {interval[1]:.2f}]"
    if part.either_way:
        less, more = WAYS[part.metric]
        ways = f"{int((values < 0).sum())} {less}, {int((values > 0).sum())} {more}"
        size = f"{sized.median():.2f}{spread} {unit}"
        return *interval, f"by {size} either way {pictures}: {ways}"
    return *interval, f"{way}: {sized.median():+.2f}{spread} {unit} {pictures}"


def _way(value: float, part: Part) -> str:
    """The direction of a change in words."""
    if abs(value) < 0.005:
        return "no change"
    beside = f" than {part.against}'s" if part.against else ""
    return WAYS[part.metric][int(value > 0)] + beside


def _of_nothing(part: Part) -> Verdict:
    """The verdict that denies the effect that the part is about."""
    low, high = part.bounds()
    is_none = low <= 0 <= high
    return Verdict.REPRODUCED if is_none else Verdict.CONTRADICTED


def _hides(evidence: Evidence, condition: str, metric: str) -> bool:
    """Whether outputs were shrunk before something fine was sought in them."""
    rows = evidence.read(PATHOLOGIES)
    resampling = rows.loc[rows["condition"] == condition, "resampling"]
    return metric in FINE and bool((resampling == "area").any())


def _hair_is_unknown(evidence: Evidence) -> bool:
    return not (evidence.read(PATHOLOGIES)["region"] == "hair").any()


def _condition(evidence: Evidence, restorer: str) -> str | None:
    """The condition that stands for a restorer: the first that made such a picture."""
    images = evidence.usable
    people = images.loc[images["kind"].isin(PEOPLE), "source"]
    rows = evidence.read(PATHOLOGIES)
    conditions = {*rows.loc[rows["source"].isin(people), "condition"]}
    return next((name for name in CONDITIONS[restorer] if name in conditions), None)


def _values(
    evidence: Evidence,
    condition: str | None,
    metric: str,
    region: str = "whole",
    kinds: tuple[str, ...] = PEOPLE,
) -> pd.Series:
    """The values by source; the faces' boxes stand for hair that was not found."""
    rows, images = evidence.read(PATHOLOGIES), evidence.usable
    if region == "hair" and _hair_is_unknown(evidence):
        region = "faces"
    rows = rows[
        (rows["condition"] == condition)
        & (rows["metric"] == metric)
        & (rows["region"] == region)
        & rows["source"].isin(images.loc[images["kind"].isin(kinds), "source"])
    ]
    return rows.set_index("source")["value"].astype(float).dropna()


def _notes(evidence: Evidence, parts: tuple[Part, ...]) -> str:
    """How the regions were found where ParseNet was not there to find them."""
    rows = evidence.read(PATHOLOGIES)
    regions = {part.region for part in parts}
    used = rows[rows["region"].isin(regions)].dropna(subset=["note", "value"])
    notes = {f"{row.region}: {row.note}" for row in used.itertuples()}
    if "hair" in regions and _hair_is_unknown(evidence):
        notes.add(HAIR_NOTE)
    return "".join(f"{note[0].upper()}{note[1:]}. " for note in sorted(notes))


def _missing(restorer: str) -> Judgement:
    if restorer == GPEN:
        return not_tested(
            "No picture of people was restored by GPEN in this run: its weights were "
            "not here, and its authors' published outputs (the set gpen-official) are "
            "not among the conditions."
        )
    return not_tested(f"No picture of people was restored by {restorer} in this run.")


def _composed(evidence: Evidence) -> Judgement:
    """Pictures degraded by a formula stand for composed ones: no set has those."""
    condition, images = _condition(evidence, X4PLUS), evidence.usable
    if condition is None:
        return _missing(X4PLUS)
    kinds = tuple(images["kind"].dropna().unique())
    texture = _values(evidence, condition, "texture_energy", kinds=kinds)
    is_made = images.set_index("source")["is_synthetic"].reindex(texture.index)
    groups = evidence.originals_of(texture.index.to_series())
    degraded, real = (
        texture[is_made.fillna(value=False) == flag].groupby(groups).median()
        for flag in (True, False)
    )
    part = CLAIMS["D12"].parts[0]
    sorts = {"pictures that we degraded": degraded, "pictures as they came": real}
    answer = "; ".join(
        f"{name}: {_interval(v, part)[2]}" for name, v in sorts.items() if len(v)
    )
    text = (
        f"Fine texture of {condition}'s outputs against their sources "
        "(tables/pathologies.csv). No set has composed pictures, so those that we "
        "degraded by a formula stand for them. "
    )
    if min(len(degraded), len(real)) < LEAST_SOURCES:
        why = f"To compare them takes {LEAST_SOURCES} originals of each sort."
        return Judgement(Verdict.INCONCLUSIVE, answer, text + why)
    low, high = _difference(degraded, real)
    text += f"The medians differ by {low:+.2f} to {high:+.2f} dB. {SECONDARY}"
    return Judgement(within(low, high, *part.bounds()), answer, text, 1)


def _difference(first: pd.Series, second: pd.Series) -> tuple[float, float]:
    """Bootstrap interval of a difference of medians; see `median_interval`."""
    rng = np.random.default_rng(0)
    medians = [
        np.median(rng.choice(values.to_numpy(), (2000, len(values))), axis=1)
        for values in (first, second)
    ]
    low, high = np.quantile(medians[0] - medians[1], [0.025, 0.975])
    return float(low), float(high)


OF = {
    **dict.fromkeys(("Q7", "Q10", "Q16", "Q17", "Q18"), GPEN),
    **dict.fromkeys(("Q8", "Q9", "Q13", "Q19"), X4PLUS),
}
"""The restorer of which each claim speaks."""

ENTRIES = (
    *(_judge(claim, restorer) for claim, restorer in OF.items()),
    Evaluator("D12", _composed),
)
