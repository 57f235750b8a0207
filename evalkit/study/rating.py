"""Rating in a run folder: plan the sessions, show one here, serve them to others."""

import json
import math
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.errors import StudyError
from evalkit.rating import (
    Session,
    find_unfair,
    name_stimuli,
    plan_session,
    without,
    write_stimuli,
)
from evalkit.restorers import settings_of
from evalkit.study.published import published_scores
from evalkit.study.run_folder import Run, ratings_store, write_text
from evalkit.tables import IMAGES

ANCHOR = "bicubic"
"""The low anchor. It is drawn from the source: the condition needs no output."""

CONTENTS = {
    **dict.fromkeys(["portrait", "group", "aligned-face", "mixed"], "face"),
    "gpen-official": "face",
    "text": "text",
}
"""What a source shows that a score may be given for, by its kind of picture."""

LONGEST_DAYS = 3650
"""How long a link may be good for."""


def ratings_digest(run: Run) -> str:
    """Changes whenever a score that counts does; empty where nothing is planned."""
    return ratings_store(run).digest() if _settings_file(run).is_file() else ""


def plan_rating(
    run: Run,
    conditions: Sequence[str],
    *,
    subjects: int = 3,
    mode: str = "acr",
    minutes: float = 15.0,
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

    Returns
    -------
    DataFrame
        Index ``subject``; columns ``state``, ``items``, ``answered``.

    """
    outputs = rated_outputs(run, conditions)
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
    settings["left_out"] = left_out
    write_text(_settings_file(run), json.dumps({**settings, "seed": seed}))
    return add_subjects(run, [f"s{number:02}" for number in range(1, subjects + 1)])


def add_subjects(run: Run, subjects: Iterable[str]) -> pd.DataFrame:
    """Add subjects who are new to the plan; else as `plan_rating`.

    Raises
    ------
    StudyError
        Nothing has been planned in this run.

    """
    outputs, settings = _plan(run)
    stimuli = name_stimuli(outputs, settings["seed"])
    store = ratings_store(run)
    for subject in subjects:
        store.add_subject(subject)
    items = []
    for subject, number in store.subjects().items():
        planned = plan_session(outputs, number=number, **settings)
        store.set_plan(subject, planned, stimuli)
        items += planned
    write_stimuli(items, outputs, stimuli, _stimuli(run))
    return store.progress()


def detectable_difference(run: Run) -> pd.DataFrame:
    """What the plan could find, in 80 of 100 such panels, before anyone has rated.

    Returns
    -------
    DataFrame
        Index ``subjects``: as planned, 12 and 24. ``mos_difference`` is that of two
        systems' mean scores, for the spread that `evalkit.stats.Spread` assumes, with
        every pair of systems tested. ``share_won`` is that of the choices between two
        systems, if they are independent. Each kind that is planned has its column.

    """
    if not _settings_file(run).is_file():
        return pd.DataFrame()
    # whoever only starts a study or a session need not wait for these
    from scipy.stats import norm

    from evalkit.stats import smallest_detectable_difference

    outputs, settings = _plan(run)
    items = plan_session(outputs, number=0, **settings)
    main = [i for i in items if not (i.is_training or i.is_repeat or i.expected)]
    systems = set(outputs.loc[outputs["role"] == "system", "condition"])
    n_comparisons = max(1, math.comb(len(systems), 2))
    panels = sorted({len(ratings_store(run).subjects()), 12, 24} - {1})
    frame = pd.DataFrame(index=pd.Index(panels, name="subjects"))
    for kind in dict.fromkeys(item.kind for item in main):
        pairs = [(i.left, i.right) for i in main if i.kind == kind]
        n_sources = len(pairs) // len({frozenset(pair) for pair in pairs})
        if kind == "acr":
            frame["mos_difference"] = [
                smallest_detectable_difference(
                    n_subjects, n_sources, n_comparisons=n_comparisons
                )
                for n_subjects in panels
            ]
        else:
            errors = norm.isf(0.025 / n_comparisons) + norm.isf(0.2)
            half = errors / 2 / np.sqrt(frame.index.to_numpy() * n_sources)
            frame["share_won"] = np.minimum(1, 0.5 + half)
    return frame


def rated_outputs(run: Run, conditions: Iterable[str]) -> pd.DataFrame:
    """What a panel would see of the pictures that these conditions restored.

    Returns
    -------
    DataFrame
        As `evalkit.rating.write_stimuli` takes it: the sources, the low anchor, the
        references where they exist, and the outputs.

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
    sources = images.assign(picture=images["sha256"], weights_kind="none")
    with_reference = sources[sources["reference"].notna()]
    references = with_reference.assign(
        path=with_reference["reference"], picture=with_reference["reference_sha256"]
    )
    parts = [
        sources.assign(role="source", condition="source"),
        sources.assign(role="anchor", condition=ANCHOR),
        references.assign(role="reference", condition="reference"),
        restored,
    ]
    columns = ["source", "condition", "role", "weights_kind", "path", "picture"]
    outputs = pd.concat([part[columns] for part in parts], ignore_index=True)
    outputs["content"] = outputs["source"].map(images["kind"].map(CONTENTS)).fillna("")
    for side in ("width_px", "height_px"):
        outputs[side] = outputs["source"].map(images[side]).astype(int)
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
    return RatingWidget(
        Session(ratings_store(run), subject, _stimuli(run), _published(run))
    )


def serve_rating(
    run: Run,
    *,
    subjects: Iterable[str] = (),
    host: str = "127.0.0.1",
    port: int = 8765,
    days: float = 14.0,
    say: Callable[[str], None] = print,
) -> None:
    """Serve every subject's session, each behind a secret link, until interrupted.

    Parameters
    ----------
    run
        Planned by `plan_rating`.
    subjects
        Subjects that are added to the plan when they are new.
    host, port
        Where to listen; port 0 takes a free one. Beyond this machine, put a proxy in
        front that speaks HTTPS: the links are as good as passwords.
    days
        How long a new link is good for; one that has expired is replaced.
    say
        Gets a line for each link.

    Raises
    ------
    StudyError
        Nothing is planned, or the address is taken.

    """
    from evalkit.rating import rating_app, serve

    if not 0 <= port <= 65_535:
        raise StudyError(f"port must be 0 to 65535; found {port}")
    if not 0 < days <= LONGEST_DAYS:
        raise StudyError(
            f"days must be more than 0, at most {LONGEST_DAYS}; found {days}"
        )
    progress = add_subjects(run, subjects)
    store = ratings_store(run)
    try:
        listener = socket.create_server((host, port))
    except (OSError, ValueError) as error:  # of a host that is no host's name
        reason = getattr(error, "strerror", None) or error
        raise StudyError(
            f"cannot listen on {host}:{port}: {reason}; --host takes an address of "
            "this machine, --port 0 any that is free"
        ) from error
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    root = f"http://{name}:{listener.getsockname()[1]}/r"
    for subject, row in progress.iterrows():
        status = f"{row['state']}, {row['answered']} of {row['items']}"
        say(f"{subject}  {root}/{store.link(str(subject), days)}/  {status}")
    say("Each link is for one person. Press Ctrl+C to stop; nothing is lost.")
    serve(rating_app(store, _stimuli(run), _published(run)), listener)


def _plan(run: Run) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The outputs to rate, and what else `plan_session` takes."""
    if not _settings_file(run).is_file():
        raise StudyError(
            f"expected a plan in {run.path}, found none; notebook 70_rate makes one "
            "of the conditions that have made pictures"
        )
    settings = _settings(run)
    outputs = rated_outputs(run, settings.pop("conditions"))
    return without(outputs, settings.pop("left_out", [])), settings


def _settings(run: Run) -> dict[str, Any]:
    """What `plan_rating` was given."""
    file = _settings_file(run)
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
        kinds: dict[str, Any]
        kinds = {"conditions": list, "mode": str, "minutes": (int, float), "seed": int}
        wrong = settings.keys() - {"left_out"} ^ kinds.keys()
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
    scores = published_scores()
    texts = {
        condition: ", ".join(
            f"{kind} {score}"
            for kind, restorer, score in scores
            if settings_of(condition).get("name", "").startswith(restorer)
        )
        for condition in conditions
    }
    return {condition: text for condition, text in texts.items() if text}
