"""What a panel's plan holds when it is frozen, and whether it was kept to."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evalkit.errors import StudyError
from evalkit.paths import PACKAGE
from evalkit.study.run_folder import Run, ratings_store

if TYPE_CHECKING:
    from evalkit.rating import FrozenPlan, Store
    from evalkit.rating.items import Cell
    from evalkit.rating.stimuli import Stimulus

CONFIDENCE = 0.95
"""Coverage of the intervals that are planned."""

ANALYSED_BY = (
    *("stats/*.py", "comparisons/scores.py"),
    *("rating/_schema.py", "study/stopping.py"),
)
"""The code that makes statistics of answers."""


def freeze_plan(
    store: "Store",
    settings: Mapping[str, Any],
    stimuli: "Mapping[Cell, Stimulus]",
    choices: Mapping[frozenset[str | None], int],
) -> "FrozenPlan":
    """Freeze what is rated, in which pictures, how it is analysed and when it ends.

    Parameters
    ----------
    settings
        The content of ``rating/plan.json``.
    stimuli
        As `evalkit.rating.name_stimuli` names them: a name is a digest of a picture.
    choices
        How many choices of each pair, without repeats, all sessions have.

    """
    from evalkit.rating import freeze

    rated = ("conditions", "left_out", "mode", "minutes", "seed")
    content = {name: settings.get(name) for name in rated}
    names = sorted([*cell, stimulus.name] for cell, stimulus in stimuli.items())
    content["question"] = settings.get("question", "quality")
    if settings.get("organiser"):
        content["organiser"] = settings["organiser"]
    content["order"] = _digest(store.secret("order"))
    content["stimuli"] = _digest(repr(names))
    content["analysis"] = {"confidence": CONFIDENCE, "code": _code()}
    stopping = {
        "rule": "a fixed number of complete sessions",
        "subjects": settings.get("subjects"),
    }
    if settings.get("stopping") == "sequential":
        from evalkit.stats import LOOKS  # late: it waits for scipy

        least = min(choices.values(), default=0)
        if least < LOOKS:
            raise StudyError(
                f"rating.stopping: expected {LOOKS} or more choices of each pair, one "
                f"for each look; found {least} planned: plan more subjects or minutes, "
                "or stopping: fixed"
            )
        stopping |= {
            "rule": "all of these, or at a look at the choices of each pair that "
            "decides, by O'Brien and Fleming's bounds, 5 % for each pair",
            "looks": LOOKS,
            "choices": least,
            "pairs": len(choices),
        }
    content["stopping"] = stopping
    return freeze(store, content)


def plan_kept(run: Run, *, confidence: float = CONFIDENCE) -> str | None:
    """Whether the panel was rated and analysed as planned, or what changed since.

    Returns
    -------
    str or None
        One sentence; None where no plan was frozen.

    """
    from evalkit.rating import frozen_plans

    plans = frozen_plans(ratings_store(run)) if run.has_ratings else []
    if not plans:
        return None
    first, *later = plans
    analysis = {"confidence": confidence, "code": _code()}
    stages = [(plan.frozen_at, plan.content) for plan in later]
    stages.append(("now", {**plans[-1].content, "analysis": analysis}))
    changes, before = [], first.content
    for when, content in stages:
        names = [name for name in content if content[name] != before.get(name)]
        if names:
            changes.append(f"{', '.join(names)} ({when})")
        before = content
    frozen = f"frozen {first.frozen_at}, digest {first.digest[:12]}"
    if not changes:
        return f"as planned; {frozen}"
    return f"changed since the first score: {'; '.join(changes)}; {frozen}"


def _code() -> str:
    files = sorted(path for name in ANALYSED_BY for path in PACKAGE.glob(name))
    return _digest("\0".join(path.read_text(encoding="utf-8") for path in files))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
