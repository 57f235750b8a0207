"""The least memory in which each condition works, and which condition fails first."""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd

from evalkit import figures
from evalkit.errors import INTERRUPTED, SettingError, UnknownNameError, WeightsError
from evalkit.experiments._sources import resized
from evalkit.profiling.budget import (
    balloon,
    budgets,
    is_starved,
    smallest_budget,
    total_mib,
)
from evalkit.profiling.nvml import device_index
from evalkit.restorers import condition_name, parse_condition, plan_restorer
from evalkit.study.attempt import TIMEOUT_S, attempt, keep_new
from evalkit.study.experiment import Experiment
from evalkit.study.groups import choose, condition_facts, newest
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import CELL, Run, with_newest_key
from evalkit.study.runner import compute
from evalkit.tables import BUDGET, IMAGES, RECORDS, SOURCES

LIMITED = "evalkit.study.worker:limited_cell"
ASKED_MIB = 3072
"""Where 3 GB are left, who fails first?"""

SAVERS_PX = (128, 256)
"""Tiles that a study tries, since they may save a condition."""

MOST = 0.9
"""The share of a device's memory to give: the balloon's own context needs some."""

PATIENCE, LEAST_PATIENCE_S = 10.0, 60.0
"""A trial may take so many times what it takes with room, and this at least."""


def measure_budget(
    run: Run,
    condition: str,
    images: pd.DataFrame,
    *,
    savers: Sequence[str] = (),
    sizes_px: Sequence[int] = (),
    highest_mib: int = 0,
    resolution: float = 0.05,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Search the least memory in which a condition restores the first source.

    Each trial is one cold run in a fresh process; if it fails, its record says how.

    Parameters
    ----------
    run
        Gets records of ``budget``; their value is the budget in MiB.
    condition, images, say
        As in `evalkit.study.restore`.
    savers
        Settings that may save it, as behind the ``@`` of a condition's name, each for
        itself. What the restorer or this machine does not have is said and left out.
    sizes_px
        Longest sides to bring the source to; empty for its own size.
    highest_mib
        The largest budget; 0 for nine tenths of the device's memory, or the machine's.
    resolution
        The share by which each budget is larger than the one before.

    Returns
    -------
    DataFrame
        Records of these trials (`evalkit.tables.RECORDS`).

    """
    first = choose(images, 1, seed=0)
    trials = [RECORDS.frame([])]
    for name in _variants(condition, savers, say):
        what = Measurement(run, name, "budget", function=LIMITED)
        if not what.plan.spec.makes_pictures:
            say(f"budget: not for {name}: it makes no picture here")
            continue
        most_mib = highest_mib or MOST * total_mib(what.device)
        tried = budgets(most_mib, ASKED_MIB, resolution)
        for image in [resized(run, first, px) for px in sizes_px] or [first]:
            trials += _search(what, image, tried, say)
    return pd.concat(trials, ignore_index=True)


def _variants(
    condition: str, savers: Sequence[str], say: Callable[[str], None]
) -> list[str]:
    """The condition, and what each saver makes of it."""
    settings = parse_condition(condition)
    names = [condition]
    for saver in savers:
        try:
            saving = parse_condition(f"{settings['name']}@{saver}")
            name = condition_name(**settings | saving)
            plan_restorer(**parse_condition(name))
        except (SettingError, UnknownNameError, WeightsError) as error:
            say(f"{saver}: not for {condition} here: {error}")
        else:
            names.append(name)
    return list(dict.fromkeys(names))


class _InterruptedError(Exception):
    """A trial that says neither that the budget is enough nor that it is not."""


def _search(
    what: Measurement,
    image: pd.DataFrame,
    budgets_mib: Sequence[int],
    say: Callable[[str], None],
) -> list[pd.DataFrame]:
    """Find the smallest budget for the one source; return the trials."""
    trials: list[pd.DataFrame] = []

    def works(budget_mib: int) -> bool:
        limits = {"budget_mib": budget_mib, "timeout_s": _patience_s(trials)}
        limited = replace(
            what, value=str(budget_mib), arguments={**limits, "device": what.device}
        )
        trials.append(compute(limited, image, lambda _: None, _attempt))
        trial = trials[-1].iloc[-1]
        outcome = f"{trial['source']} in {budget_mib:,} MiB: {trial['outcome']}"
        say(f"{what.condition}: {outcome}")
        if trial["outcome"] == INTERRUPTED:
            raise _InterruptedError
        return bool(trial["outcome"] == "ok")

    with suppress(_InterruptedError):  # the next study searches on from here
        smallest_budget(works, budgets_mib)
    return trials


def _patience_s(trials: Sequence[pd.DataFrame]) -> float:
    """How long the next trial may take, after the first, which has most room."""
    if trials and trials[0]["outcome"].iloc[-1] == "ok":
        times_s = trials[0][["load_time_s", "wall_time_s"]].iloc[-1]
        return max(LEAST_PATIENCE_S, PATIENCE * float(times_s.sum()))
    return TIMEOUT_S


def _attempt(
    what: Measurement, row: Mapping[str, Any], key: str, cell: pd.DataFrame
) -> str:
    """Run one cell beside a balloon; an error that names memory is ``oom``."""

    def keep(run: Run, record: dict[str, Any]) -> None:
        if record["outcome"] in ("error", "crash") and is_starved(record["error"]):
            record["outcome"] = "oom"
        keep_new(run, record)

    with balloon(what.arguments["budget_mib"], what.device):
        return attempt(what, row, key, cell, keep=keep)


def summarise_budget(run: Run) -> pd.DataFrame:
    """The smallest budget of each condition and source, and how it fails below.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.BUDGET`, also written to the run's tables.

    """
    records = with_newest_key(newest(run, "budget"), CELL)
    budget_mib = records["value"].astype("Int64")
    trials = records.assign(budget_mib=budget_mib).sort_values("budget_mib")
    pictures = pd.concat([run.read(IMAGES), run.read(SOURCES)]).set_index("source")
    longest_px = pictures[["width_px", "height_px"]].max(axis=1)
    rows = []
    for names, cell in trials.groupby(CELL, sort=False):
        row = dict(zip(CELL, names, strict=True)) | _least(cell)
        rows.append(row | {"longest_px": longest_px[row["source"]]})
    return run.keep(BUDGET, rows)


def _least(trials: pd.DataFrame) -> dict[str, Any]:
    """What the trials of one cell say; they are sorted by their budgets."""
    roomy, facts = trials.iloc[-1], condition_facts(trials)
    is_on_cpu = device_index(facts["setting"].get("device", "cpu")) is None
    columns = {
        **facts,
        "limit": "data" if is_on_cpu else "cuda",
        "largest_mib": roomy["budget_mib"],
        "n_trials": len(trials),
        "roomy_wall_time_s": roomy["wall_time_s"],
    }
    is_ok = trials["outcome"] == "ok"
    if is_ok.any():
        least = trials[is_ok].iloc[0]
        columns["works_mib"] = least["budget_mib"]
        columns["wall_time_s"] = least["wall_time_s"]
        columns["same_output"] = least["output_sha256"] == roomy["output_sha256"]
    if not is_ok.all():
        most = trials[~is_ok].iloc[-1]
        columns["fails_mib"] = most["budget_mib"]
        columns |= most[["outcome", "error"]]
    return columns


def which_fails_first(budget: pd.DataFrame, asked_mib: int = ASKED_MIB) -> pd.DataFrame:
    """Conditions by the memory that they need: with less, the first row fails first.

    Parameters
    ----------
    budget
        Table `evalkit.tables.BUDGET`; the largest pictures on its last row's machine
        count.
    asked_mib
        The budget in question.

    Returns
    -------
    DataFrame
        Columns ``condition, limit, longest_px, works_mib, largest_mib, outcome``, as in
        `budget`; ``fails``, in `asked_mib`; and ``saved_by``, the settings in which a
        condition that works there, or that at least needs less, differs from the first
        row's, if it is of the same restorer: empty for the default, else null.

    """
    budget = budget.merge(budget[["machine"]].tail(1))
    rows = budget[budget["longest_px"] == budget["longest_px"].max()]
    need_mib = rows["works_mib"].astype(float).fillna(math.inf)
    rows = rows.assign(need_mib=need_mib, fails=need_mib > asked_mib, saved_by=None)
    rows = rows.sort_values(["need_mib", "condition"], ascending=[False, True])
    if len(rows):
        first = rows.iloc[0]
        below_mib = asked_mib + 1 if first["fails"] else first["need_mib"]
        saves = rows["need_mib"] < below_mib
        saves &= rows["restorer"] == first["restorer"]
        first_settings = set(parse_condition(first["condition"]).items())
        rows.loc[saves, "saved_by"] = [
            ", ".join(
                f"{name}={value}"
                for name, value in sorted(parse_condition(c).items() - first_settings)
            )
            for c in rows.loc[saves, "condition"]
        ]
    columns = ["condition", "limit", "longest_px", "works_mib", "largest_mib"]
    return rows[[*columns, "outcome", "fails", "saved_by"]].reset_index(drop=True)


ENTRIES = (
    Experiment(
        name="budget",
        axis="tile that may save it, px of the source",
        values=SAVERS_PX,
        measure=lambda _, run, condition, images, tiles, how: measure_budget(
            run, condition, images, savers=[f"tile={px}" for px in tiles], say=how.say
        ),
        summarise=summarise_budget,
        table=BUDGET,
        draw=lambda _, table: figures.frontier(table),
        figure="frontier",
        notebook="40_stability",
        parameters=lambda n: {"with_budget": n > 0, "tiles": [*SAVERS_PX]},
        failure_is_result=True,
    ),
)
