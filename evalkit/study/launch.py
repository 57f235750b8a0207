"""From a study file to a finished run folder: resolve, fetch, hand to Snakemake."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from evalkit.errors import (
    PackageMissingError,
    SettingError,
    StudyError,
    WeightsError,
)
from evalkit.imagesets import imagesets, left_out, made_dir, prepare
from evalkit.paths import PACKAGE, SHIPPED, cache_dir, remove_litter, runs_dir
from evalkit.profiling.experiments import REPEATS, SLOW_REPEATS, SLOW_S
from evalkit.profiling.isolation import die_with_parent
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.restorers.command import accept_named
from evalkit.restorers.engines.torch import pick_device
from evalkit.study import job
from evalkit.study.again import (
    executed_notebooks,
    failed,
    interrupted,
    step_name,
    what_is_left,
)
from evalkit.study.answer_lines import answer_lines
from evalkit.study.config import (
    Study,
    check_owner,
    read_study,
    resolve_study,
    write_study,
)
from evalkit.study.experiment import by_notebook
from evalkit.study.forked import steps_socket
from evalkit.study.notebooks import FIRST_STEP, point_latest
from evalkit.study.progress import FILE, LOG, MESSAGES, follow
from evalkit.study.rating import rating_notes, ratings_digest
from evalkit.study.run_folder import Run, open_run, write_text
from evalkit.tables import ANSWER, IMAGES
from evalkit.weights import each_notice_once


def run_study(
    file: Path,
    *,
    images: str | None = None,
    recursive: bool = False,
    retry: bool = False,
    pdf: bool = False,
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
    say
        Gets each line that tells what happens.

    Raises
    ------
    StudyError
        The file is not a study, its folder holds no picture that can be read, another
        process runs the same one, or a notebook failed (its executed copy shows
        where). What is refused before a step has begun leaves no run folder.
    WeightsError
        A file that a condition names as its weights is not there.

    """
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
            _snakemake(
                run, study, weights, say, has_cuda=has_cuda, retry=retry, pdf=pdf
            )
    except Timeout as error:
        raise StudyError(
            f"study {study.name} is being run by another process ({run.path}); "
            "wait for it, or give this one another name"
        ) from error
    return run


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


def _writable_folders() -> dict[str, str]:
    """Where tools may write, if they cannot write to TMPDIR or home."""
    temporary = {"TMPDIR": gettempdir()}  # the first that can, by Python's own trial
    caches = Path("~/.cache").expanduser()
    with suppress(OSError):
        caches.mkdir(parents=True, exist_ok=True)
    if all(os.access(folder, os.W_OK) for folder in (caches, caches.parent)):
        return temporary
    home = cache_dir() / "home"
    home.mkdir(parents=True, exist_ok=True)
    names = ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"]
    names += ["IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"]
    folders = {name: str(home / name.lower()) for name in names}
    # which is in XDG_CACHE_HOME where nothing else is said
    return {**temporary, **folders, "EVALKIT_CACHE": str(cache_dir().absolute())}


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _images_digest(study: Study) -> str:
    """Changes when a set's recipe or a folder's files do."""
    if study.images in imagesets():
        return study.images
    find = Path(study.images).rglob if study.recursive else Path(study.images).glob
    files = [path for path in find("*") if path.is_file()]
    stats = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return _digest([study.recursive, *sorted(stats)])


def _code_digest() -> str:
    files = sorted(PACKAGE.rglob("*.py")) + sorted((SHIPPED / "data").glob("*.yaml"))
    return _digest([hashlib.sha256(f.read_bytes()).hexdigest() for f in files])


def _snakemake(
    run: Run,
    study: Study,
    weights: dict[str, Any],
    say: Callable[[str], None],
    *,
    has_cuda: bool,
    retry: bool,
    pdf: bool,
) -> None:
    # PDFs that are there are kept up to date, so they need not be asked for again
    pdf = pdf or os.environ.get("EVALKIT_PDF") == "1" or any(run.figures.glob("*.pdf"))
    start = time.perf_counter()
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    os.environ["EVALKIT_RETRY_BEFORE"] = started_at if retry else ""
    retried = interrupted(run)
    if retry:
        retried = pd.concat([retried, failed(run, started_at)])
    n_before = len(run.records.cells())
    repeats = 0 if study.repeats == "auto" else study.repeats  # as notebooks take it
    config = {
        "run_notebook": [sys.executable, "-I", "-S", job.__file__],
        "conditions": {step_name(name): name for name in study.conditions},
        "images": study.images,
        "repeats": repeats,
        "experiments": by_notebook(study.experiments, repeats or SLOW_REPEATS),
        "random": [
            step_name(name) for name in study.conditions if _is_random(weights[name])
        ],
        "has_cuda": has_cuda,
        "seed": study.seed,
        "rating": {
            **study.rating.model_dump(),
            "conditions": study.rating.conditions or study.conditions,
        },
        # what follows only says when a step is out of date
        "images_digest": _images_digest(study),
        "weights": {
            step_name(name): _digest(weights[name]) for name in study.conditions
        },
        "ratings": ratings_digest(run),
        "pdf": pdf,
        "code": _code_digest(),
    }
    write_text(run.path / "snakemake.json", json.dumps(config, indent=1))
    timing = json.dumps({"started_at": started_at}, indent=1)
    write_text(run.path / "timing.json", timing)
    command = [sys.executable, "-m", "snakemake"]
    command += ["--snakefile", str(SHIPPED / "Snakefile")]
    command += ["--directory", str(run.path), "--configfile", "snakemake.json"]
    command += ["--cores", "all", "--rerun-incomplete", "--keep-going"]
    command += ["--quiet", "host", "reason"]
    # run_study holds a lock that the system releases when its owner is dead, so
    # one that Snakemake left behind means nothing
    command += ["--nolock"]
    if notebooks := executed_notebooks(run, retried, study.conditions):
        command += ["--forcerun", *notebooks]
    (run.path / MESSAGES).write_bytes(b"")
    variables = _writable_folders()
    variables |= {"EVALKIT_OFFLINE": "1", FILE: str(run.path / MESSAGES)}
    if pdf:
        variables["EVALKIT_PDF"] = "1"
    with (
        (run.path / LOG).open("wb") as log,
        steps_socket() as steps,
        subprocess.Popen(
            command,
            cwd=run.path,
            env={**os.environ, **variables, **(steps.variables if steps else {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
            process_group=0,  # Ctrl-C is for this process, and the others end with it
        ) as process,
    ):
        if steps:
            steps.start()
        try:
            follow(process, run.path, say)
        except BaseException:
            process.kill()  # and its steps with it
            raise
    if process.returncode:
        raise StudyError(
            f"study {study.name} is not complete: see {run.path / LOG} and "
            f"{run.path / 'notebooks'}; run it again to go on from here"
        )
    n_new = len(run.records.cells()) - n_before
    what = f"{n_new} new records" if n_new else "nothing to compute"
    say(f"{what}, {n_before} were there; {time.perf_counter() - start:.0f} s")
    for line in [*what_is_left(run, started_at), *rating_notes(run)]:
        say(line)
    say(f"report: {run.path / 'report.html'}")
    for line in answer_lines(run.read(ANSWER), shutil.get_terminal_size().columns):
        say(line)


def _is_random(weights: list[Any]) -> bool:
    return any(entry[1:2] == ["random"] for entry in weights)
