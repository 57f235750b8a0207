"""How large a panel has to be: what a plan could find, before anyone has rated."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from evalkit.rating import plan_session
from evalkit.study.rating import is_planned, planned_outputs, rating_notes
from evalkit.study.run_folder import Run, ratings_store
from evalkit.texts import Language, text

PANELS, PICTURES = (3, 5, 8, 12, 16, 24), (2, 4, 8, 12, 24)
"""Numbers of subjects and of pictures that `plan_table` shows beside the planned."""


class _Planned(NamedTuple):
    """Pictures in a session by kind of item; pairs of systems to be told apart."""

    n_pictures: dict[str, int]
    n_comparisons: int


def detectable_difference(run: Run) -> pd.DataFrame:
    """What the plan could find, in 80 of 100 such panels, before anyone has rated.

    Returns
    -------
    DataFrame
        Index ``subjects``: as planned, 12 and 24. ``mos_difference`` is that of two
        systems' mean scores, for the spread that `evalkit.stats.Spread` assumes, with
        every pair of systems tested. ``share_won`` is that of the choices between two
        systems, for the tastes that `evalkit.stats.smallest_detectable_share` assumes.
        Each kind that is planned has its column.

    """
    if not is_planned(run):
        return pd.DataFrame()
    planned = _planned(run)
    panels = sorted({len(ratings_store(run).subjects()), 12, 24} - {1})
    frame = pd.DataFrame(index=pd.Index(panels, name="subjects"))
    for kind, n_sources in planned.n_pictures.items():
        column = "mos_difference" if kind == "acr" else "share_won"
        frame[column] = [
            _smallest(kind, n_subjects, n_sources, planned.n_comparisons)
            for n_subjects in panels
        ]
    return frame


def plan_table(
    run: Run,
    panels: Sequence[int] = PANELS,
    pictures: Sequence[int] = PICTURES,
) -> pd.DataFrame:
    """What panels of other sizes could find, in 80 of 100 of them.

    Parameters
    ----------
    run
        Planned by `plan_rating`.
    panels, pictures
        Numbers of subjects and of pictures, beside those that are planned.

    Returns
    -------
    DataFrame
        Index ``subjects``, columns ``pictures``: the smallest difference of two mean
        scores; of a plan of pairs only, the smallest share won. Null where no
        difference on the scale is large enough. See `detectable_difference`.

    Raises
    ------
    StudyError
        Nothing is planned.

    """
    planned = _planned(run)
    kind, n_planned = next(iter(planned.n_pictures.items()))
    n_subjects = len(ratings_store(run).subjects())
    rows = pd.Index(sorted({*panels, max(2, n_subjects)}), name="subjects")
    columns = pd.Index(sorted({*pictures, n_planned}), name="pictures")
    values = [
        [_smallest(kind, n, m, planned.n_comparisons) for m in columns] for n in rows
    ]
    frame = pd.DataFrame(values, rows, columns)
    return frame.where(frame < (4 if kind == "acr" else 1))


def describe_plan(run: Run) -> list[str]:
    """`plan_table` in lines of text, and what the plan lacks."""
    table = plan_table(run)
    if "acr" in _planned(run).n_pictures:
        what = "difference of two mean scores, on the scale from 1 to 5,"
    else:
        what = "share of choices between two conditions"
    shown = table.map(lambda value: "-" if pd.isna(value) else f"{value:.2f}")
    return [
        f"The smallest {what} that 4 of 5 such panels find: subjects down, pictures "
        "across; - is nothing on that scale.",
        *shown.rename_axis(index=None, columns="subjects").to_string().splitlines(),
        planned_difference(run),
        *rating_notes(run),
    ]


def planned_difference(run: Run, language: Language = "en") -> str:
    """Say what the panel that is planned would find; see `plan_table`."""
    planned = _planned(run)
    kind, n_pictures = next(iter(planned.n_pictures.items()))
    n_subjects = len(ratings_store(run).subjects())
    is_large = min(n_subjects, n_pictures) >= 2
    smallest = math.nan
    if is_large:
        smallest = _smallest(kind, n_subjects, n_pictures, planned.n_comparisons)
    key = "plan.points" if kind == "acr" else "plan.share"
    if not smallest < (4 if kind == "acr" else 1):
        key = "plan.nothing" if kind == "acr" else "plan.no-share"
    shown = f"{smallest:.2f}" if kind == "acr" else f"{100 * smallest:.0f} %"
    values = {"n": n_subjects, "n_pictures": n_pictures, "smallest": shown}
    return text(f"answer.{key}", language, **values)


def _planned(run: Run) -> _Planned:
    outputs, settings = planned_outputs(run)
    items = plan_session(outputs, number=0, **settings)
    main = [i for i in items if not (i.is_training or i.is_repeat or i.expected)]
    n_pictures: dict[str, int] = {}
    for kind in dict.fromkeys(item.kind for item in main):
        # a picture that is shown whole and as a detail is one
        shown = {
            (i.source, frozenset([i.left, i.right])) for i in main if i.kind == kind
        }
        n_pictures[kind] = len(shown) // len({pair for _, pair in shown})
    systems = set(outputs.loc[outputs["role"] == "system", "condition"])
    return _Planned(n_pictures, max(1, math.comb(len(systems), 2)))


def _smallest(kind: str, n_subjects: int, n_sources: int, n_comparisons: int) -> float:
    """The smallest difference of mean scores, or share won, that is likely found."""
    # whoever only starts a study or a session need not wait for scipy
    from evalkit import stats

    smallest_of = (
        stats.smallest_detectable_difference
        if kind == "acr"
        else stats.smallest_detectable_share
    )
    return smallest_of(n_subjects, n_sources, n_comparisons=n_comparisons)
