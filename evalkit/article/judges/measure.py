"""What things cost: the article's figures against this run's, and against arithmetic.

Ours counts as the same within a factor of `SAME`. On the article's GPU (for its CPU
figures, its CPU) a figure is compared as it stands. Elsewhere its ratio to another
figure of the article is:
*reproduced* when all of the interval lies within the factor, on the claim's side of 1;
*contradicted* when the two come in the other order, with all of the interval; else
*inconclusive*. Claims are judged on the runner
``upstream``. What is about a GPU is *not testable* without one; with one, a figure
below its floor is *contradicted* by that, unless it is a time.
"""

import json
from dataclasses import replace
from typing import NamedTuple

import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    decide,
    not_tested,
    on_gpu,
    within,
    without_gpu,
)
from evalkit.article._figures import (
    CLAIMED,
    FIGURES,
    GPEN,
    LIMIT_PX,
    SAME,
    SINGLE,
    Figure,
)
from evalkit.experiments import TIME
from evalkit.restorers.gpen import OUR_KERNELS
from evalkit.tables import FLOORS


class Value(NamedTuple):
    """A measured figure with its interval."""

    middle: float
    low: float
    high: float

    def over(self, other: "Value") -> "Value":
        """The ratio, with the widest interval that the two allow."""
        low, high = self.low / other.high, self.high / other.low
        return Value(self.middle / other.middle, low, high)

    def __str__(self) -> str:
        return f"{self.middle:.4g} [{self.low:.4g}, {self.high:.4g}]"


def _measured(evidence: Evidence, figure: Figure) -> pd.DataFrame:
    """The rows of the figure's cell in any size of pictures, by their longest side."""
    floors = evidence.read(FLOORS)
    machine = evidence.environment.get("machine", {}).get("machine")
    cell = {"figure": "measured", "machine": machine, "runner": "upstream", "tile": 0}
    for name in ("restorer", "device", "precision", "quantity", "n_pictures"):
        cell[name] = getattr(figure, name)
    for name, value in cell.items():
        floors = floors[floors[name] == value]
    return floors.set_index(floors[["width_px", "height_px"]].max(axis=1))


def _rows(evidence: Evidence, figure: Figure) -> pd.DataFrame:
    """The rows of the figure's own size of pictures."""
    rows = _measured(evidence, figure)
    if figure.width_px == LIMIT_PX:
        rows = rows[(rows["experiment"] == "size") & (rows.index > LIMIT_PX)]
        rows = rows[rows.index == rows.index.min()]
    else:
        n_px = rows["width_px"] * rows["height_px"]
        is_size = n_px == figure.width_px * figure.height_px
        rows = rows[is_size & (rows.index == figure.width_px)]
        if figure.n_pictures == 1:
            rows = rows[rows["experiment"].isin(SINGLE)]
    return rows


def _value(evidence: Evidence, figure: Figure) -> Value | None:
    rows = _rows(evidence, figure)
    if rows.empty:
        return None
    value = rows["value"]
    low, high = rows["low"].fillna(value), rows["high"].fillna(value)
    return Value(float(value.median()), float(low.min()), float(high.max()))


def _cell(figure: Figure) -> str:
    size = f"{figure.width_px}x{figure.height_px}"
    if figure.width_px == LIMIT_PX:
        size = f"more than {LIMIT_PX} px"
    return (
        f"{figure.quantity} of {figure.restorer}, upstream, {figure.precision}, "
        f"{figure.device}, pictures: {figure.n_pictures} of {size}"
    )


def _stages_in_words(evidence: Evidence, figure: Figure) -> str:
    """The time of `restore()` and of its stages, beside one from file to file."""
    rows = _rows(evidence, figure).dropna(subset=["restore_time_s", "stages_s"])
    text = ""
    for row in rows.to_dict("records"):
        stages = json.loads(row["stages_s"])
        parts = ", ".join(f"{name} {passed_s:.4g}" for name, passed_s in stages.items())
        text += f"Of {row['value']:.4g} s from file to file on {row['source']}, "
        text += f"restore() {row['restore_time_s']:.4g} s; stages, s: {parts}. "
    return text


def _missing(*figures: Figure) -> Judgement:
    return not_tested(f"tables/floors.csv lacks {' or '.join(map(_cell, figures))}")


def _floor(evidence: Evidence, claim: str) -> tuple[str, bool]:
    """The claimed figure beside its floor, in words, and whether it is below."""
    floors = evidence.read(FLOORS)
    rows = floors[(floors["figure"] == claim) & floors["floor"].notna()]
    for row in rows.to_dict("records"):
        text = f"The claimed {row['value']:.4g} {row['unit']} is not below its floor, "
        if row["is_below"]:
            text = text.replace("is not below", "is wrong or needs tiles: it is below")
        return f"{text}{row['floor']:.4g} {row['unit']}.", bool(row["is_below"])
    return "", False


def _verdict(
    ours: Value, expected: float, is_alone: bool, is_articles: bool
) -> Verdict:
    least, most = expected / SAME, expected * SAME
    if not is_alone:  # a ratio on the claim's side of 1, which would be no effect
        middle = expected**0.5
        least, most = (
            (least, min(most, middle)) if expected < 1 else (max(least, middle), most)
        )
    verdict = within(ours.low, ours.high, least, most)
    is_reversed = ours.high < 1 < expected or expected < 1 < ours.low
    is_open = is_alone if verdict is Verdict.REPRODUCED else not is_reversed or is_alone
    return Verdict.INCONCLUSIVE if is_open and not is_articles else verdict


def _compared(
    claim: str,
    figure: Figure,
    reference: Figure,
    low: float,
    high: float,
    claimed: float | None = None,
) -> Evaluator:
    """The judge of a figure, `claimed` if it is one, over another, `low` to `high`."""

    def judge(evidence: Evidence) -> Judgement:
        floor, is_below = _floor(evidence, claim)
        if figure.device == "cuda" and (lacking := without_gpu(evidence, floor)):
            return lacking
        first, second = _value(evidence, figure), _value(evidence, reference)
        if first is None or (claimed is None and second is None):
            return _missing(figure, reference)
        is_articles = evidence.has_articles(figure.device)
        answer = f"{first.middle:.4g}"
        text = f"tables/floors.csv: {first}, {_cell(figure)}. "
        if figure.device == "cuda" and figure.quantity == TIME:
            text += _stages_in_words(evidence, figure)
        if figure.device == "cuda" and GPEN in (figure.restorer, reference.restorer):
            text += f"Of GPEN: {OUR_KERNELS}. "
        if claimed and (is_articles or second is None):
            ours, expected = first, claimed
            text += f"The article's machine had {claimed:.4g}. "
        else:
            assert second, "missing is told above"
            ours = first.over(second)
            expected = min(max(ours.middle, low), high)
            text += (
                f"Over the {_cell(reference)}: {ours}, "
                f"claimed {low:.3g} to {high:.3g}. "
            )
            answer = answer if claimed else f"{ours.middle:.3g}"
        verdict = _verdict(ours, expected, first is ours, is_articles)
        # an algorithm of fewer operations could pass the floor of a time
        if is_below and figure.quantity != TIME:
            verdict = Verdict.CONTRADICTED
        return Judgement(verdict, answer, text + floor)

    return Evaluator(claim, judge)


def _figure(claim: str) -> Evaluator:
    figure, against = FIGURES[claim], FIGURES[claim].against
    claimed = figure.in_units(float(CLAIMED[claim]))
    ratio = claimed / FIGURES[against].in_units(float(CLAIMED[against]))
    return _compared(claim, figure, FIGURES[against], ratio, ratio, claimed)


def _saving(claim: str, half: str, single: str) -> Evaluator:
    """The judge of a saving in per cent, which means less time, not more speed."""
    left = 1 - float(CLAIMED[claim]) / 100
    return _compared(claim, FIGURES[half], FIGURES[single], left, left)


@on_gpu
def _longest_side(evidence: Evidence) -> Judgement:
    """Whether cost jumps behind the advised side, by more than the pixels do."""
    jumps = {}
    for figure in (FIGURES["G1"], FIGURES["G2"]):
        rows = _measured(evidence, figure)
        values = rows[rows["experiment"] == "size"]["value"].groupby(level=0).median()
        below = values[values.index <= int(CLAIMED["D13"])]
        above = values[values.index > LIMIT_PX]
        if below.empty or above.empty:
            return _missing(replace(figure, width_px=1200), FIGURES["G7"])
        pixels = (above.index[0] / below.index[-1]) ** 2
        jumps[figure.quantity] = above.iloc[0] / below.iloc[-1] / pixels
    most = max(jumps.values())
    return Judgement(
        decide(holds=most > SAME, fails=most <= 1),
        f"{most:.3g} times the growth of the pixels",
        f"tables/floors.csv, experiment size, from {below.index[-1]} to "
        f"{above.index[0]} px: growth over that of the pixels: {jumps}; more than "
        f"{SAME} would be a jump that the advice avoids.",
    )


@on_gpu
def _batch_size(evidence: Evidence) -> Judgement:
    """Whether a picture in a batch of GPEN's takes less time than alone."""
    alone, sizes = FIGURES["G2"], evidence.read(FLOORS)["n_pictures"].dropna()
    times = {n: _value(evidence, replace(alone, n_pictures=n)) for n in set(sizes)}
    each_s = {n: time.middle / n for n, time in times.items() if time}
    if 1 not in each_s or len(each_s) == 1:
        return _missing(alone, replace(alone, n_pictures=5))
    best = min(each_s.keys() - {1}, key=lambda n: each_s[n])
    gain = each_s[1] / each_s[best]
    return Judgement(
        decide(holds=gain >= SAME, fails=gain <= 1),
        f"{gain:.3g} times as fast in a batch of {best}",
        f"tables/floors.csv: {each_s[1]:.3g} s alone, {each_s[best]:.3g} s each "
        f"in a batch of {best}; upstream takes one picture after the other.",
    )


def _close_to_its_limit(_: Evidence) -> Judgement:
    share = float(CLAIMED["G10"]) / 24
    return Judgement(
        Verdict.CONTRADICTED,
        f"{share:.0%} of the card",
        f"Arithmetic on data/claims.yaml: {CLAIMED['G10']} of 24 GB (G10, "
        f"article.machine.gpu) are {share:.0%}.",
    )


ENTRIES = (
    *map(_figure, FIGURES),
    # the wording may mean twice or three times
    _compared("G8", replace(FIGURES["G7"], quantity=TIME), FIGURES["G2"], 2, 3),
    _saving("G17", "G15", "G10"),
    _saving("G18", "G16", "G11"),
    Evaluator("D13", _longest_side),
    Evaluator("G28", _batch_size),
    Evaluator("G29", _close_to_its_limit),
)
