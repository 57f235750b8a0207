"""What things cost: the article's figures against this run's, and against arithmetic.

A part of ``data/claims.yaml`` says which figures still count as the claimed one. On the
article's GPU (for time on a CPU, its CPU; memory hardly depends on which CPU it is) a
figure is compared as it stands. Elsewhere its ratio to another figure of the article
is: *reproduced* when all of the interval lies within the factor, on the claim's side of
1; *contradicted* when the two come in the other order, with all of the interval; else
*inconclusive*. Claims are judged on the runner ``upstream``. A figure of memory that no
arithmetic allows is *contradicted* without a GPU, too; a time is not, since a library
may take fewer operations. Times without an interval decide nothing; memory is what was
allocated, which does not vary as times do, and counts within a block of the allocator.
Where smaller networks stood in for those of the program, a figure is a least value and
contradicts less only.
"""

import json
import re
from dataclasses import replace
from math import inf

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
    CLAIMS,
    FIGURES,
    GPEN,
    LIMIT_PX,
    SAME,
    SINGLE,
    Figure,
)
from evalkit.article._values import (
    Value,
    figure_in_words,
    interval_of,
    source_of,
)
from evalkit.article.judges._arithmetic import by_arithmetic
from evalkit.experiments import MEMORY, TIME
from evalkit.restorers.gpen import OUR_KERNELS
from evalkit.tables import FLOORS


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
    return None if rows.empty else interval_of(rows, figure)


def _cell(figure: Figure) -> str:
    size = f"{figure.width_px}x{figure.height_px} px"
    if figure.width_px == LIMIT_PX:
        size = f"more than {LIMIT_PX} px"
    n = "one picture" if figure.n_pictures == 1 else f"{figure.n_pictures} pictures"
    device = {"cpu": "the CPU", "cuda": "a GPU"}[figure.device]
    return (
        f"{figure.quantity} of {figure.restorer} (upstream, {figure.precision}) for "
        f"{n} of {size} on {device}"
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


STANDS_IN = re.compile(r"since weights (\S+) cannot be had")


def _replaced(evidence: Evidence, figure: Figure) -> list[str]:
    """The weights of the program in whose place others, or none, stood in the cell."""
    rows, records = _rows(evidence, figure), evidence.results
    is_cell = records["condition"].isin(rows["condition"])
    notes = records[is_cell & records["source"].isin(rows["source"])]["notes"].dropna()
    return sorted({name for note in notes for name in STANDS_IN.findall(note)})


def _missing(*figures: Figure) -> Judgement:
    cells = " or the ".join(map(_cell, figures))
    return not_tested(f"This run did not measure the {cells} (tables/floors.csv).")


def _compared(
    claim: str, figure: Figure, reference: Figure, low: float, high: float
) -> Evaluator:
    """The judge of a figure; elsewhere of its ratio to another, `low` to `high`.

    A claim of a ratio, with no figure of its own, is judged so on every machine.
    """
    part, number = CLAIMS[claim].parts[0], CLAIMS[claim].number
    is_ratio = claim not in FIGURES

    def judge(evidence: Evidence) -> Judgement:
        verdict, arithmetic = by_arithmetic(evidence, claim)
        if verdict is Verdict.CONTRADICTED:
            return Judgement(verdict, "less than arithmetic allows", arithmetic)
        if figure.device == "cuda" and (lacking := without_gpu(evidence, arithmetic)):
            if verdict is Verdict.INCONCLUSIVE:
                return Judgement(verdict, "at the edge of arithmetic", arithmetic)
            return lacking
        if verdict is Verdict.NOT_TESTED:  # a possible figure needs no defence
            arithmetic = ""
        first, second = _value(evidence, figure), _value(evidence, reference)
        if first is None or (is_ratio and second is None):
            return _missing(figure, *[reference] * is_ratio)
        is_alike = evidence.has_articles(figure.device) or (
            figure.device == "cpu" and figure.quantity == MEMORY
        )
        answer = figure_in_words(figure, first)
        text = f"Measured here: {answer}, the {_cell(figure)} ({source_of(figure)}). "
        if figure.device == "cuda" and figure.quantity == TIME:
            text += _stages_in_words(evidence, figure)
        if figure.device == "cuda" and GPEN in (figure.restorer, reference.restorer):
            text += f"Of GPEN: {OUR_KERNELS}. "
        replaced = _replaced(evidence, figure)
        if replaced:
            text += (
                f"Less, or nothing, stood in for {' and '.join(replaced)}, which its "
                "program loads: what was measured is a least value. "
            )
        if is_alike and not is_ratio and number is not None:
            bounds = [figure.in_units(bound) for bound in part.bounds(number)]
            verdict = within(first.low, first.high, *bounds)
            text += f"The article had {number:g} {CLAIMS[claim].unit}. "
            if replaced and first.low <= bounds[1]:  # more is more with the rest, too
                verdict = Verdict.INCONCLUSIVE
        elif second is None:
            verdict = Verdict.INCONCLUSIVE
            text += (
                f"The article had {number:g} {CLAIMS[claim].unit} on another machine, "
                f"and there is no {_cell(reference)} that could link the two. "
            )
        else:
            ratio = first.over(second)
            verdict = _of_ratio(ratio, low, high)
            is_in_turn = figure.quantity == TIME and figure == replace(
                reference, n_pictures=figure.n_pictures, against=figure.against
            )
            if is_in_turn and verdict is Verdict.REPRODUCED:
                verdict = Verdict.INCONCLUSIVE
                text += (
                    "Of pictures one after another any machine says that: a time takes "
                    "the article's GPU. "
                )
            text += (
                f"That is {ratio.in_words('times')} the {_cell(reference)}; by the "
                f"article it is {low:.3g}" + (f" to {high:.3g}" * (high > low)) + ". "
            )
            if is_ratio:
                answer = ratio.in_words("times")
        return Judgement(verdict, answer, (text + arithmetic).strip(), 1)

    return Evaluator(claim, judge)


def _of_ratio(ours: Value, low: float, high: float) -> Verdict:
    """The verdict on a ratio of two figures, on whatever machine.

    The range is that of the article, `low` to `high`, within a factor of `SAME`, but on
    its side of 1, which is no effect; only the other order contradicts.
    """
    least, most = low / SAME, high * SAME
    if high < 1:
        return within(
            ours.low, ours.high, least, min(most, high**0.5), denied=(-inf, 1)
        )
    least = max(least, low**0.5) if low > 1 else least
    return within(ours.low, ours.high, least, most, denied=(1, inf))


def _figure(claim: str) -> Evaluator:
    figure, against = FIGURES[claim], FIGURES[claim].against
    claimed = figure.in_units(float(CLAIMED[claim]))
    ratio = claimed / FIGURES[against].in_units(float(CLAIMED[against]))
    return _compared(claim, figure, FIGURES[against], ratio, ratio)


def _saving(claim: str, half: str, single: str) -> Evaluator:
    """The judge of a saving in per cent, which means less time, not more speed."""
    part, number = CLAIMS[claim].parts[0], CLAIMS[claim].number
    figures = FIGURES[half], FIGURES[single]
    thing = "memory" if figures[0].quantity == MEMORY else "time"

    @on_gpu
    def judge(evidence: Evidence) -> Judgement:
        first, second = (_value(evidence, figure) for figure in figures)
        if first is None or second is None:
            return _missing(*figures)
        ratio = first.over(second)
        saved = Value(*(100 - 100 * v for v in (ratio.middle, ratio.high, ratio.low)))
        return Judgement(
            within(saved.low, saved.high, *part.bounds(number), denied=(0, inf)),
            f"{saved.in_words('%')} less {thing}",
            f"Half precision takes {saved.in_words('%')} less {thing} here: "
            f"{figure_in_words(figures[0], first)} against "
            f"{figure_in_words(figures[1], second)} "
            f"({source_of(figures[0])}); the article has {number:g} %.",
            1,
        )

    return Evaluator(claim, judge)


@on_gpu
def _longest_side(evidence: Evidence) -> Judgement:
    """Whether cost jumps behind the advised side, by more than the pixels do."""
    jumps = {}
    for figure in (FIGURES["G1"], FIGURES["G2"]):
        rows = _measured(evidence, figure)
        rows = rows[rows["experiment"] == "size"]
        below = rows[rows.index <= int(CLAIMED["D13"])].sort_index()
        above = rows[rows.index > LIMIT_PX].sort_index()
        if below.empty or above.empty:
            return _missing(replace(figure, width_px=1200), FIGURES["G7"])
        small, large = below.iloc[[-1]], above.iloc[[0]]
        pixels = (large.index[0] / small.index[-1]) ** 2
        growth = interval_of(large, figure).over(interval_of(small, figure))
        jumps[figure.quantity] = Value(*(value / pixels for value in growth))
    bounds = CLAIMS["D13"].bounds
    verdicts = {within(jump.low, jump.high, *bounds) for jump in jumps.values()}
    named = [f"{jump.in_words('times')} ({name})" for name, jump in jumps.items()]
    is_jump = Verdict.REPRODUCED in verdicts  # of either cost
    return Judgement(
        # contradicted only where neither jumps
        Verdict.REPRODUCED
        if is_jump
        else decide(holds=False, fails=verdicts == {Verdict.CONTRADICTED}),
        f"{' and '.join(named)} the growth of the pixels",
        f"From {small.index[-1]} to {large.index[0]} px GPEN's cost grew "
        f"{', '.join(named)} as much as the pixels (tables/floors.csv, size); the "
        f"advice would avoid a jump of {bounds[0]} or more.",
        len(jumps),
    )


@on_gpu
def _batch_size(evidence: Evidence) -> Judgement:
    """Whether a picture in a batch of GPEN's takes less time than alone."""
    alone, sizes = FIGURES["G2"], evidence.read(FLOORS)["n_pictures"].dropna()
    times = {n: _value(evidence, replace(alone, n_pictures=n)) for n in set(sizes)}
    each = {n: Value(*(part / n for part in time)) for n, time in times.items() if time}
    if 1 not in each or len(each) == 1:
        return _missing(alone, replace(alone, n_pictures=5))
    largest = max(each)  # one comparison: the best of many would win by chance
    gain = each[1].over(each[largest])
    return Judgement(
        within(gain.low, gain.high, *CLAIMS["G28"].bounds),
        f"{gain.in_words('times')} as fast in a batch of {largest}",
        f"A picture takes {each[1].in_words('s')} alone and "
        f"{each[largest].in_words('s')} in a batch of {largest} (tables/floors.csv): "
        f"{gain.in_words('times')} as fast. The program upstream takes one picture "
        "after the other.",
        1,
    )


def _close_to_its_limit(_: Evidence) -> Judgement:
    percent = 100 * float(CLAIMED["G10"]) / 24
    return Judgement(
        within(percent, percent, *CLAIMS["G29"].bounds),
        f"{percent:.0f} % of the card",
        f"By arithmetic the {CLAIMED['G10']} GB of claim G10 are {percent:.0f} % of a "
        f"card of 24 GB. (That figure itself is contradicted: see G10.)",
    )


_TWICE = CLAIMS["G8"].bounds

ENTRIES = (
    *map(_figure, FIGURES),
    # the wording may mean twice or three times
    _compared(
        "G8",
        replace(FIGURES["G7"], quantity=TIME),
        FIGURES["G2"],
        _TWICE[0] * SAME,
        _TWICE[1] / SAME,
    ),
    _saving("G17", "G15", "G10"),
    _saving("G18", "G16", "G11"),
    Evaluator("D13", _longest_side),
    Evaluator("G28", _batch_size),
    Evaluator("G29", _close_to_its_limit),
)
