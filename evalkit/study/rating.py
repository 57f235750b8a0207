"""Rating in a run folder: plan the sessions, show one here."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalkit.errors import StudyError
from evalkit.rating import (
    Session,
    find_unfair,
    name_stimuli,
    plan_notes,
    plan_session,
    without,
    write_stimuli,
)
from evalkit.rating.items import WHOLE
from evalkit.study.crops import choose_details, with_details
from evalkit.study.frozen_plan import freeze_plan
from evalkit.study.published import published_scores_of
from evalkit.study.run_folder import Run, ratings_store, write_text
from evalkit.study.stopping import sessions_to_look
from evalkit.tables import IMAGES

if TYPE_CHECKING:
    from starlette.applications import Starlette

ANCHOR = "bicubic"
"""The low anchor. It is drawn from the source: the condition needs no output."""

OPTIONAL = {"left_out", "question", "subjects", "notes", "frozen"}
OPTIONAL |= {"organiser", "details", "shows", "stopping"}
"""Keys of ``plan.json`` that one of an older evalkit lacks."""

CONTENTS = {
    **dict.fromkeys(["portrait", "group", "aligned-face", "mixed"], "face"),
    "gpen-official": "face",
    "text": "text",
}
"""What a source shows that a score may be given for, by its kind of picture."""


def ratings_digest(run: Run) -> str:
    """Changes whenever a score that counts does; empty where nothing is planned."""
    return ratings_store(run).digest() if is_planned(run) else ""


def plan_rating(
    run: Run,
    conditions: Sequence[str],
    *,
    subjects: int = 3,
    mode: str = "acr",
    minutes: float = 15.0,
    question: str = "quality",
    shows: str = "whole",
    stopping: str = "fixed",
    organiser: str = "",
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Plan a session for every subject and write the stimuli; keep what exists.

    What nobody could judge (`evalkit.rating.find_unfair`) is left out, named and kept
    in ``rating/plan.json``. Where no picture is left there is nothing to plan.

    Parameters
    ----------
    run
        Gets ``ratings.sqlite`` and ``rating/``.
    conditions
        Conditions to rate; one that has made no picture is left out.
    subjects
        The least number of subjects, ``s01``, ``s02``, ...; any others stay.
    mode, minutes, seed
        As in `evalkit.rating.plan_session`.
    question
        ``quality``, ``fidelity``, ``identity``, or a question in words of one's own.
    shows
        Of what is large (`evalkit.rating.stimuli.is_large`): ``whole``, ``detail``, or
        ``both``.
    stopping
        ``fixed`` or ``sequential``; see `evalkit.study.frozen_plan`.
    organiser
        Who asks, as subjects read it; empty for whoever sent them the link.
    say
        Gets a line for what is left out, and for what the plan lacks.

    Returns
    -------
    DataFrame
        Index ``subject``; columns ``state``, ``items``, ``answered``.

    """
    outputs = rated_outputs(run, conditions)
    details = {} if shows == WHOLE else choose_details(outputs)
    outputs = with_details(outputs, details, shows)
    left_out = find_unfair(outputs)
    for source, condition, why in left_out:
        what = f"{condition} of {source}" if condition else source
        say(f"{what} is not rated: {why}")
    if without(outputs, left_out).empty:
        is_made = "picture that can be judged" if left_out else "picture"
        say(f"Nothing to rate: none of these conditions has made a {is_made}.")
        _settings_file(run).unlink(missing_ok=True)
        return ratings_store(run).progress()
    settings = {"conditions": list(conditions), "mode": mode, "minutes": minutes}
    settings |= {"question": question, "subjects": subjects, "left_out": left_out}
    settings |= {"organiser": organiser, "details": details, "shows": shows}
    settings |= {"stopping": stopping}
    write_text(_settings_file(run), json.dumps({**settings, "seed": seed}))
    names = [f"s{number:02}" for number in range(1, subjects + 1)]
    progress = add_subjects(run, names)
    for note in rating_notes(run):
        say(note)
    return progress


def rating_notes(run: Run) -> list[str]:
    """What the plan of the panel lacks, in sentences; empty without a plan."""
    notes: list[str] = _settings(run).get("notes", []) if is_planned(run) else []
    return notes


def is_planned(run: Run) -> bool:
    """Whether there is anything to rate."""
    return _settings_file(run).is_file()


def add_subjects(run: Run, subjects: Iterable[str]) -> pd.DataFrame:
    """Add subjects who are new to the plan; else as `plan_rating`.

    Raises
    ------
    StudyError
        Nothing has been planned in this run.

    """
    outputs, settings = planned_outputs(run)
    stimuli = name_stimuli(outputs, settings["seed"])
    store = ratings_store(run)
    for subject in subjects:
        store.add_subject(subject)
    items = []
    choices = Counter[frozenset[str | None]]()
    content = _settings(run)
    notes = _comparisons(outputs)
    plan = {**settings, "seed": store.order_seed(settings["seed"])}
    for subject, number in store.subjects().items():
        planned = plan_session(outputs, number=number, **plan)
        store.set_plan(subject, planned, stimuli)
        items += planned
        if number < content.get("subjects", 0):
            choices.update(
                frozenset([item.left, item.right])
                for item in planned
                if not (item.is_training or item.is_repeat or item.expected)
            )
        notes += [note for note in plan_notes(planned) if note not in notes]
    write_stimuli(items, outputs, stimuli, _stimuli(run))
    frozen = freeze_plan(store, content, stimuli, choices)
    stamp = {"frozen_at": frozen.frozen_at, "digest": frozen.digest}
    kept = {"notes": notes, "frozen": stamp}
    if content | kept != content:
        write_text(_settings_file(run), json.dumps(content | kept))
    return store.progress()


def _comparisons(outputs: pd.DataFrame) -> list[str]:
    """A sentence where there is one restorer to rate, and so none to compare."""
    systems = sorted(set(outputs.loc[outputs["role"] == "system", "condition"]))
    if len(systems) != 1:
        return []
    others = [r for r in ("anchor", "reference") if (outputs["role"] == r).any()]
    return [
        f"only {systems[0]} has pictures to rate: the panel compares it with the "
        f"{' and the '.join(others)}, and with no other restorer"
    ]


def rated_outputs(run: Run, conditions: Iterable[str]) -> pd.DataFrame:
    """What a panel would see of the pictures that these conditions restored.

    Returns
    -------
    DataFrame
        As `evalkit.rating.write_stimuli` takes it: the sources, the low anchor, the
        references where they exist, and the outputs; ``kind`` is the source's, and
        ``output_width_px`` null of a reference.

    """
    quality = run.quality(conditions)
    restored = quality[(quality["outcome"] == "ok") & (quality["condition"] != ANCHOR)]
    images = run.read(IMAGES).set_index("source", drop=False)
    images = images[images.index.isin(restored["source"])]
    restored = restored.assign(
        role="system",
        path=[str(run.path / output) for output in restored["output"]],
        picture=restored["output_sha256"],
    )
    sources = images.assign(
        picture=images["sha256"],
        weights_kind="none",
        output_width_px=images["width_px"],
    )
    with_reference = sources[sources["reference"].notna()]
    references = with_reference.assign(
        path=with_reference["reference"],
        picture=with_reference["reference_sha256"],
        output_width_px=None,
    )
    parts = [
        sources.assign(role="source", condition="source"),
        sources.assign(role="anchor", condition=ANCHOR),
        references.assign(role="reference", condition="reference"),
        restored,
    ]
    columns = ["source", "condition", "role", "weights_kind", "path", "picture"]
    columns += ["output_width_px"]
    outputs = pd.concat([part[columns] for part in parts], ignore_index=True)
    outputs["content"] = outputs["source"].map(images["kind"].map(CONTENTS)).fillna("")
    for side in ("width_px", "height_px"):
        outputs[side] = outputs["source"].map(images[side]).astype(int)
    outputs["kind"] = outputs["source"].map(images["kind"])
    return outputs


def rate(run: Run, subject: str = "", *, say: Callable[[str], None] = print) -> Any:
    """The widget of a subject's session, where they left off; else say how to begin.

    Parameters
    ----------
    run
        Planned by `plan_rating`.
    subject
        A pseudonym, added to the plan when it is new; empty for nobody.
    say
        Gets the lines on how to begin.

    """
    if not subject:
        say('Rate here: set the parameter subject to "s01" and run the notebook again.')
        say(f"For others: evalkit rate {run.path}")
        return None
    from evalkit.rating.widget import RatingWidget

    add_subjects(run, [subject])
    return RatingWidget(session(run, subject))


def session(run: Run, subject: str) -> Session:
    """The session of a subject who is in the plan."""
    return Session(ratings_store(run), subject, _stimuli(run), _published(run))


def rating_site(run: Run, prefix: str = "") -> "Starlette":
    """The pages of every subject and the owner's; see `evalkit.rating.rating_app`."""
    from evalkit.rating import rating_app

    store = ratings_store(run)
    return rating_app(
        store,
        _stimuli(run),
        _published(run),
        n_planned=n_planned(run),
        to_look=partial(sessions_to_look, store),
        prefix=prefix,
    )


def n_planned(run: Run) -> int | None:
    """How many complete sessions the study plans; None where it does not say."""
    subjects = run.study.get("rating", {}).get("subjects")
    return None if subjects is None else int(subjects)


def planned_minutes(run: Run) -> int:
    """How long a session takes at most."""
    minutes: float = _settings(run)["minutes"]
    return math.ceil(minutes)


def planned_outputs(run: Run) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The outputs to rate, and what else `plan_session` takes."""
    if not is_planned(run):
        raise StudyError(
            f"expected a plan in {run.path}, found none; notebook 70_rate makes one "
            "of the conditions that have made pictures"
        )
    settings = _settings(run)
    outputs = with_details(
        rated_outputs(run, settings["conditions"]),
        settings.get("details", {}),
        settings.get("shows", WHOLE),
    )
    plan = {name: settings[name] for name in ("mode", "minutes", "seed")}
    return without(outputs, settings.get("left_out", [])), plan


def _settings(run: Run) -> dict[str, Any]:
    """What `plan_rating` was given."""
    file = _settings_file(run)
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        kinds: dict[str, Any]
        kinds = {"conditions": list, "mode": str, "minutes": (int, float), "seed": int}
        wrong = settings.keys() - {*OPTIONAL} ^ kinds.keys()
        wrong |= {n for n in kinds if not isinstance(settings[n], kinds[n])}
        if wrong:
            raise ValueError(f"{', '.join(sorted(wrong))}: lacking or of another kind")
    except (AttributeError, KeyError, RecursionError, ValueError) as error:
        raise StudyError(
            f"{file} is damaged ({error}); run the study again: notebook 70_rate "
            "writes it anew, and the scores stand"
        ) from error
    return dict(settings)


def _settings_file(run: Run) -> Path:
    return run.path / "rating" / "plan.json"


def _stimuli(run: Run) -> Path:
    return run.path / "rating" / "stimuli"


def _published(run: Run) -> dict[str, str]:
    """The published mean scores by condition, each with its kind of picture."""
    conditions = _settings(run)["conditions"]
    texts = {
        condition: ", ".join(
            f"{kind} {mos}" for kind, mos in published_scores_of(condition).items()
        )
        for condition in conditions
    }
    return {condition: text for condition, text in texts.items() if text}
