"""Looks at the choices of a panel whose plan lets it stop before its end."""

import math
from typing import NamedTuple

import pandas as pd

from evalkit import stats
from evalkit.rating import Store, frozen_plans
from evalkit.rating.answers import Answers


class Stopping(NamedTuple):
    """When a panel may stop before its end, as its plan was frozen.

    Attributes
    ----------
    subjects
        Complete sessions that are planned.
    choices
        Choices of each pair in those, without repeats.
    pairs
        How many pairs of conditions are compared.

    """

    subjects: int
    choices: int
    pairs: int


def stopping_of(store: Store) -> Stopping | None:
    """The rule that stood at the first score; None for a fixed number of sessions."""
    plans = frozen_plans(store)
    rule = plans[0].content["stopping"] if plans else {}
    if "choices" not in rule:
        return None
    return Stopping(*(rule[name] for name in Stopping._fields))


def look(answers: Answers, stopping: Stopping) -> pd.DataFrame:
    """The looks that are due; see `evalkit.stats.sequential_look`."""
    choices = answers.choices[answers.choices["repeat"] == 0]
    in_order = choices.sort_values("answered_at", kind="stable")
    return stats.sequential_look(in_order, stopping.choices)


def sessions_to_look(store: Store) -> int | None:
    """About how many complete sessions the next look takes; 0 for enough.

    None where the plan is of a fixed number.
    """
    stopping = stopping_of(store)
    if stopping is None:
        return None
    looks = look(store.answers(), stopping)
    open_ = looks[looks["next_at"].notna()]
    if len(looks) >= stopping.pairs and open_.empty:
        return 0
    lacking: list[float] = [*(open_["next_at"].astype(float) - open_["n_choices"])]
    if len(looks) < stopping.pairs:  # nobody has chosen between two of them yet
        lacking.append(stopping.choices / stats.LOOKS)
    return math.ceil(max(lacking) * stopping.subjects / stopping.choices)
