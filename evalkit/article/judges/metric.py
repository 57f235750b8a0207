"""Claims that a metric bears on: each output against its source, at its size.

A claim is split into parts, each a quantity of the table ``pathologies`` and the range
in which it puts it. The article's own pictures are not public, and one picture has no
spread, so all of the run's pictures of people stand for its one. A part holds, or
fails, when the whole bootstrap interval of the median over the pictures lies within, or
without, that range. Judged on the runner ``upstream`` where it made pictures, else on
``tuned``; for GPEN without its weights, on its authors' published outputs.
"""

from math import inf

import numpy as np
import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    all_of,
    decide,
    not_tested,
    within,
)
from evalkit.article._figures import GPEN, X4PLUS
from evalkit.article.judges._metric_parts import CLAIMS, PLASTIC, Part
from evalkit.stats.bootstrap import median_interval
from evalkit.tables import PATHOLOGIES

CONDITIONS = {
    GPEN: (f"{GPEN}@runner=upstream", GPEN, "outputs:gpen-official"),
    X4PLUS: (f"{X4PLUS}@runner=upstream", X4PLUS),
}
"""The first that made a picture of people is judged."""

PEOPLE = ("portrait", "aligned-face", "group")
LEAST_SOURCES = 6
"""With fewer pictures the verdict is open, whatever the numbers: from 6 values on the
interval of a median reaches 95 %."""

WORDS = {
    Verdict.REPRODUCED: "holds",
    Verdict.CONTRADICTED: "fails",
    Verdict.INCONCLUSIVE: "open",
}
FINE = ("texture_energy", "halo", "coherence_change")
SHRUNK = "not seen at the source's size, which the larger output was brought to"
HAIR_NOTE = "hair: the face's box, since it is not told without ParseNet"
SECONDARY = "A metric is no judge of looks; the scores of people are."


def _judge(claim: str) -> Evaluator:
    restorer, parts = CLAIMS[claim]

    def judge(evidence: Evidence) -> Judgement:
        condition = _condition(evidence, restorer)
        if condition is None:
            return _missing(restorer)
        judged = [_part(evidence, condition, part) for part in parts]
        answer = "; ".join(text for _, text in judged)
        return Judgement(
            all_of(verdict for verdict, _ in judged),
            answer,
            f"tables/pathologies.csv, {condition} on pictures of people: median and "
            f"95 % interval over pictures. {_notes(evidence, parts)}{SECONDARY}",
        )

    return Evaluator(claim, judge)


def _part(evidence: Evidence, condition: str, part: Part) -> tuple[Verdict, str]:
    values = _values(evidence, condition, part.metric, part.region)
    if part.against:
        reference = _condition(evidence, part.against)
        base = _values(evidence, reference, part.metric, part.region)
        values = (values - base).dropna()
    words = part.words
    for metric, least in part.only:
        base = _values(evidence, "source", metric).reindex(values.index)
        values = values[base >= least]
        words += f", {metric} of {least:g} or more"
    if values.empty:
        return Verdict.INCONCLUSIVE, f"{words}: none measured"
    verdict = _verdict(values.abs() if part.either_way else values, part)
    if verdict is _of_nothing(part) and _hides(evidence, condition, part.metric):
        verdict, words = Verdict.INCONCLUSIVE, f"{words}, {SHRUNK}"
    if part.region == "hair" and _hair_is_unknown(evidence):
        verdict = Verdict.INCONCLUSIVE  # a box around the face decides nothing of hair
    bound = f"at least {part.low:.2g}" if part.low > -inf else f"up to {part.high:.2g}"
    sign = "either way, " if part.either_way else ""
    return verdict, f"{words} ({sign}{bound}): {_in_words(values)}: {WORDS[verdict]}"


def _verdict(values: pd.Series, part: Part) -> Verdict:
    low, high = median_interval(values)
    if part.sometimes:
        return decide(holds=(values >= part.low).any(), fails=False)
    if low is None or high is None or len(values) < LEAST_SOURCES:
        return Verdict.INCONCLUSIVE
    return within(low, high, part.low, part.high)


def _of_nothing(part: Part) -> Verdict:
    """The verdict that denies the effect that the part is about."""
    is_none = part.low <= 0 <= part.high
    return Verdict.REPRODUCED if is_none else Verdict.CONTRADICTED


def _hides(evidence: Evidence, condition: str, metric: str) -> bool:
    """Whether outputs were shrunk before something fine was sought in them."""
    rows = evidence.read(PATHOLOGIES)
    resampling = rows.loc[rows["condition"] == condition, "resampling"]
    return metric in FINE and bool((resampling == "area").any())


def _hair_is_unknown(evidence: Evidence) -> bool:
    return not (evidence.read(PATHOLOGIES)["region"] == "hair").any()


def _in_words(values: pd.Series) -> str:
    low, high = median_interval(values)
    spread = "" if low is None else f" [{low:.2f}, {high:.2f}]"
    ends = f", from {values.min():.2f} to {values.max():.2f}" if len(values) > 1 else ""
    return f"{values.median():.2f}{spread}{ends}, n = {len(values)}"


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
    conditions = " or ".join(CONDITIONS[restorer])
    return not_tested(f"tables/pathologies.csv has no one restored by {conditions}")


def _composed(evidence: Evidence) -> Judgement:
    """Pictures degraded by a formula stand for composed ones: no set has those."""
    condition, images = _condition(evidence, X4PLUS), evidence.usable
    if condition is None:
        return _missing(X4PLUS)
    kinds = tuple(images["kind"].dropna().unique())
    texture = _values(evidence, condition, "texture_energy", kinds=kinds)
    is_made = images.set_index("source")["is_synthetic"].reindex(texture.index)
    degraded, real = (
        texture[is_made.fillna(value=False) == flag] for flag in (True, False)
    )
    sorts = {"degraded by us": degraded, "as they came": real}
    answer = "; ".join(
        f"{name}: {_in_words(v)} dB" for name, v in sorts.items() if len(v)
    )
    text = (
        f"tables/pathologies.csv, {condition}, energy of fine texture against the "
        f"source's, median and interval over pictures: {answer}. Pictures degraded by "
        "a formula stand for composed ones. "
    )
    if min(len(degraded), len(real)) < LEAST_SOURCES:
        why = f"At least {LEAST_SOURCES} of each sort are needed to compare them."
        return Judgement(Verdict.INCONCLUSIVE, answer, text + why)
    low, high = _difference(degraded, real)
    text += f"Difference of the medians: [{low:.2f}, {high:.2f}] dB. {SECONDARY}"
    verdict = within(low, high, most=PLASTIC)
    return Judgement(verdict, answer, text)


def _difference(first: pd.Series, second: pd.Series) -> tuple[float, float]:
    """Bootstrap interval of a difference of medians; see `median_interval`."""
    rng = np.random.default_rng(0)
    medians = [
        np.median(rng.choice(values.to_numpy(), (2000, len(values))), axis=1)
        for values in (first, second)
    ]
    low, high = np.quantile(medians[0] - medians[1], [0.025, 0.975])
    return float(low), float(high)


ENTRIES = (*map(_judge, CLAIMS), Evaluator("D12", _composed))
