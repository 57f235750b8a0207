"""From a study file to a finished run folder: resolve, fetch, hand to Snakemake."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evalkit.errors import StudyError, WeightsError
from evalkit.imagesets import imagesets, prepare
from evalkit.paths import PACKAGE, SHIPPED, runs_dir, slug
from evalkit.profiling.isolation import die_with_parent
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.restorers._torch import pick_device
from evalkit.study._config import Study, read_study, resolve_study, write_study
from evalkit.study._progress import FILE, LOG, TOLD, follow
from evalkit.study._rating import ratings_digest
from evalkit.study._run import Run, open_run, write_text


def run_study(
    file: Path,
    *,
    images: str | None = None,
    pdf: bool = False,
    say: Callable[[str], None] = print,
) -> Run:
    """Run a study, or go on with it: only what is missing is computed.

    Parameters
    ----------
    file
        A study file; see `Study`.
    images
        A folder or a set in place of the study's.
    pdf
        Save every figure as PDF, too. Steps that ran without it are run again.
    say
        Told what is being done.

    Raises
    ------
    StudyError
        The file is not a study, another process runs the same one, or a notebook
        failed (its executed copy shows where).

    """
    study = read_study(file)
    has_cuda = _has_cuda()
    asked = study.images if images is None else images
    study = resolve_study(study, images=images, has_cuda=has_cuda)
    if asked == "auto":
        reason = "there is CUDA" if has_cuda else "there is no CUDA here"
        chosen = f"auto is {study.images}, since {reason}"
    else:
        chosen = study.images
    say(f"images: {chosen}; {study.repeats} timed runs of each cell")
    run = open_run(str(runs_dir() / study.name))
    lock = FileLock(run.path / ".lock")
    try:
        with lock.acquire(timeout=0):
            write_study(study, run.path / "study.yaml")
            _point_latest(run)
            for name in imagesets():
                if any(f"outputs:{name}" in other for other in study.conditions):
                    prepare(name)  # with its published outputs, which are planned next
            weights = fetch_weights(study, say)
            _snakemake(run, study, weights, say, has_cuda=has_cuda, pdf=pdf)
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
        makes Snakemake run its notebooks again.

    """
    os.environ["EVALKIT_ACCEPT"] = ",".join(study.accept)
    found: dict[str, Any] = {}
    for condition in study.conditions:
        try:
            plan = plan_restorer(**parse_condition(condition))
        except WeightsError as error:
            say(f"{condition}: {error}")
            found[condition] = [str(error)]
            continue
        for note in plan.notes:
            say(f"{condition}: {note}")
        found[condition] = [[w.name, w.kind, w.sha256] for w in plan.weights]
    return found


def _has_cuda() -> bool:
    return pick_device("auto") != "cpu"  # without torch where there is no driver


def _point_latest(run: Run) -> None:
    latest = run.path.parent / "latest"
    temporary = latest.with_name(f".latest-{os.getpid()}")
    temporary.symlink_to(run.name, target_is_directory=True)
    temporary.replace(latest)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _images_digest(images: str) -> str:
    """Changes when a set's recipe or a folder's files do."""
    if images in imagesets():
        return images
    files = [path for path in Path(images).iterdir() if path.is_file()]
    stats = [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]
    return _digest(sorted(stats))


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
    pdf: bool,
) -> None:
    # PDFs that are there are kept up to date, so they need not be asked for again
    pdf = pdf or os.environ.get("EVALKIT_PDF") == "1" or any(run.figures.glob("*.pdf"))
    start = time.perf_counter()
    n_before = len(run.records.cells())
    config = {
        "run_notebook": [sys.executable, "-m", "evalkit.study._notebooks"],
        "conditions": {slug(name): name for name in study.conditions},
        "images": study.images,
        "repeats": study.repeats,
        "experiments": study.experiments,
        "random": [
            slug(name) for name in study.conditions if _is_random(weights[name])
        ],
        "has_cuda": has_cuda,
        "seed": study.seed,
        "rating": {
            **study.rating.model_dump(),
            "conditions": study.rating.conditions or study.conditions,
        },
        # what follows only says when a step is out of date
        "images_digest": _images_digest(study.images),
        "weights": {slug(name): _digest(weights[name]) for name in study.conditions},
        "ratings": ratings_digest(run),
        "pdf": pdf,
        "code": _code_digest(),
    }
    write_text(run.path / "snakemake.json", json.dumps(config, indent=1))
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
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
    (run.path / TOLD).write_bytes(b"")
    told = {"EVALKIT_OFFLINE": "1", FILE: str(run.path / TOLD)}
    if pdf:
        told["EVALKIT_PDF"] = "1"
    with (
        (run.path / LOG).open("wb") as log,
        subprocess.Popen(
            command,
            cwd=run.path,
            env={**os.environ, **told},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        ) as process,
    ):
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
    say(f"report: {run.path / 'report.html'}")


def _is_random(weights: list[Any]) -> bool:
    return any(one[1:2] == ["random"] for one in weights)
