"""From a study file to a finished run folder: resolve, fetch, hand to Snakemake."""

import os
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evalkit.errors import (
    PackageMissingError,
    SettingError,
    StudyError,
    WeightsError,
)
from evalkit.imagesets import imagesets, left_out, made_dir, prepare
from evalkit.paths import SHIPPED, remove_litter, runs_dir
from evalkit.profiling.experiments import REPEATS, SLOW_REPEATS, SLOW_S
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.restorers.command import accept_named
from evalkit.restorers.engines.torch import pick_device
from evalkit.study.config import (
    Study,
    check_owner,
    read_study,
    resolve_study,
    write_study,
)
from evalkit.study.graph import run_steps
from evalkit.study.notebooks import FIRST_STEP, point_latest
from evalkit.study.run_folder import Run, open_run
from evalkit.tables import IMAGES
from evalkit.weights import each_notice_once


def run_study(
    file: Path,
    *,
    images: str | None = None,
    recursive: bool = False,
    retry: bool = False,
    pdf: bool = False,
    profile: str | None = None,
    arguments: Sequence[str] = (),
    say: Callable[[str], None] = print,
) -> Run:
    """Run a study, or go on with it: only what is missing is computed.

    What the machine interrupted in an earlier run is tried again.

    Parameters
    ----------
    file
        A study file; see `Study`.
    images
        A folder or a set in place of the study's.
    recursive
        Whether its subfolders are read, too, whatever the study says.
    retry
        Whether to try again what failed in an earlier run, too.
    pdf
        Save every figure as PDF, too. Steps that ran without it are run again.
    profile
        A folder with a profile of Snakemake, or the name of one that is shipped:
        where the steps run. See ``docs/cluster.md``.
    arguments
        More arguments of Snakemake.
    say
        Gets each line that tells what happens.

    Raises
    ------
    StudyError
        There is no such profile. The file is not a study, its folder holds no picture
        that can be read, another process runs the same one, or a notebook failed (its
        executed copy shows where). What is refused before a step has begun leaves no
        run folder.
    WeightsError
        A file that a condition names as its weights is not there.

    """
    if profile is not None:
        arguments = ["--profile", str(profile_folder(profile)), *arguments]
    has_cuda = _has_cuda()
    study = read_study(file, has_cuda=has_cuda)
    if recursive:
        study = study.model_copy(update={"recursive": True})
    requested = study.images if images is None else images
    study = resolve_study(study, images=images, has_cuda=has_cuda)
    if requested == "auto":
        reason = "there is CUDA" if has_cuda else "there is no CUDA here"
        chosen = f"auto is {study.images}, since {reason}"
    else:
        chosen = study.images
    say(f"images: {chosen}; {_repeats_in_words(study)} of each cell")
    for line in left_out(study.images, recursive=study.recursive):
        say(line)
    _prepare_pictures(study)
    named = [value for c in study.conditions for value in parse_condition(c).values()]
    for name in imagesets():
        if f"outputs:{name}" in named:
            prepare(name)  # with its published outputs, which are planned next
    with each_notice_once():
        weights = fetch_weights(study, say)
    study = _limited_to(study, weights)
    run = open_run(str(runs_dir() / study.name))
    lock = FileLock(run.path / ".lock")
    try:
        with lock.acquire(timeout=0):
            check_owner(study)
            remove_litter(run.path)
            write_study(study, run.path / "study.yaml")
            if (run.path / "notebooks" / f"{FIRST_STEP}.ipynb").is_file():
                point_latest(run.path)
            how = {"has_cuda": has_cuda, "retry": retry, "pdf": pdf}
            run_steps(run, study, weights, say, **how, arguments=arguments)
    except Timeout as error:
        raise StudyError(
            f"study {study.name} is being run by another process ({run.path}); "
            "wait for it, or give this one another name"
        ) from error
    return run


def profile_folder(profile: str) -> Path:
    """The folder of a profile: one of the reader's, else one that is shipped.

    Raises
    ------
    StudyError
        There is neither.

    """
    shipped = SHIPPED / "data" / "profiles"
    for folder in (Path(profile).expanduser(), shipped / profile):
        if any(folder.glob("config*.yaml")):
            return folder.resolve()
    known = ", ".join(sorted(path.name for path in shipped.iterdir()))
    raise StudyError(
        f"--profile: expected a folder with a config.yaml for Snakemake, or one of "
        f"those shipped ({known}); found {profile}"
    )


def fetch_weights(study: Study, say: Callable[[str], None]) -> dict[str, Any]:
    """Fetch what the conditions need, once, before anything is timed.

    Returns
    -------
    dict
        For each condition the digests and kinds of what it will load; a change
        makes Snakemake run its notebooks again. A condition whose package is not
        installed, or whose published outputs are not here, is named and left out.

    Raises
    ------
    StudyError
        No condition is left.
    WeightsError
        A file that a condition names is not there, or refused; other weights that
        cannot be had are only named.

    """
    os.environ["EVALKIT_ACCEPT"] = ",".join(study.accept)
    names = [parse_condition(condition)["name"] for condition in study.conditions]
    if "command" in study.accept:
        accept_named(names, say)
    weights: dict[str, Any] = {}
    for condition in study.conditions:
        settings = parse_condition(condition)
        try:
            plan = plan_restorer(**settings)
        except PackageMissingError as error:
            say(f"{condition} is left out: {error}")
            continue
        except SettingError as error:
            if settings["name"] not in {f"outputs:{name}" for name in imagesets()}:
                raise
            say(f"{condition} is left out: {error}")  # its pictures cannot be had
            continue
        except WeightsError as error:
            if settings.get("weights") or ":" in settings["name"]:
                raise WeightsError(f"{condition}: {error}") from error
            say(f"{condition}: {error}")
            weights[condition] = [str(error)]
            continue
        for note in plan.notes:
            say(f"{condition}: {note}")
        weights[condition] = [[w.name, w.kind, w.sha256] for w in plan.weights]
    if not weights:
        raise StudyError("conditions: none of them can be run here, see above")
    return weights


def _repeats_in_words(study: Study) -> str:
    if study.repeats != "auto":
        return f"{study.repeats} timed runs"
    return f"{REPEATS} timed runs ({SLOW_REPEATS} where one takes {SLOW_S:g} s)"


def _limited_to(study: Study, conditions: Collection[str]) -> Study:
    """The study without the conditions that are not among these."""
    rating = study.rating
    rated = [name for name in rating.conditions if name in conditions]
    return study.model_copy(
        update={
            "conditions": [name for name in study.conditions if name in conditions],
            "rating": rating.model_copy(update={"conditions": rated}),
        }
    )


def _has_cuda() -> bool:
    return pick_device("auto") != "cpu"  # without torch where there is no driver


def _prepare_pictures(study: Study) -> None:
    """Fetch and make the pictures to restore; refuse a set that holds none."""
    images = study.images
    table = prepare(images, recursive=study.recursive)
    if table["error"].isna().any():
        return
    path = IMAGES.write(table, made_dir(images))
    reasons = "; ".join([*table["error"].head(3), *["..."][: max(0, len(table) - 3)]])
    offline = [name for name, spec in imagesets().items() if spec.is_offline]
    instead = ""
    if images in imagesets() and images not in offline:
        named = " or ".join(f"--images {name}" for name in offline)
        instead = f"; without network: {named} (make study IMAGES={offline[0]})"
    raise StudyError(
        f"images: {images} holds no picture that can be read: {reasons} (all reasons: "
        f"{path}){instead}"
    )
