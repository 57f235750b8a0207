"""From a study file to a finished run folder: resolve, fetch, hand to Snakemake."""

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from filelock import FileLock, Timeout

from evalkit.errors import StudyError, WeightsError
from evalkit.imagesets import imagesets, made_dir, prepare
from evalkit.paths import PACKAGE, SHIPPED, cache_dir, runs_dir, slug
from evalkit.profiling.isolation import die_with_parent
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.study._config import Study, read_study, resolve_study, write_study
from evalkit.study._notebooks import FIRST_STEP, point_latest
from evalkit.study._rating import ratings_digest
from evalkit.study._run import Run, open_run, write_text
from evalkit.tables import IMAGES


def run_study(
    file: Path, *, images: str | None = None, say: Callable[[str], None] = print
) -> Run:
    """Run a study, or go on with it: only what is missing is computed.

    Parameters
    ----------
    file
        A study file; see `Study`.
    images
        A folder or a set in place of the study's.
    say
        Told what is being done.

    Raises
    ------
    StudyError
        The file is not a study, its folder holds no picture that can be read, another
        process runs the same one, or a notebook failed (its executed copy shows
        where). What is refused before a step has begun leaves no run folder.
    WeightsError
        A file that a condition names as its weights is not there.

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
    _prepare_pictures(study.images)
    for name in imagesets():
        if any(f"outputs:{name}" in other for other in study.conditions):
            prepare(name)  # with its published outputs, which are planned next
    weights = fetch_weights(study, say)
    run = open_run(str(runs_dir() / study.name))
    lock = FileLock(run.path / ".lock")
    try:
        with lock.acquire(timeout=0):
            write_study(study, run.path / "study.yaml")
            # a notebook that was being written when its process was killed
            for half in (run.path / "notebooks").glob(".*.ipynb"):
                half.unlink()
            if (run.path / "notebooks" / f"{FIRST_STEP}.ipynb").is_file():
                point_latest(run.path)
            _snakemake(run, study, weights, say, has_cuda=has_cuda)
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

    Raises
    ------
    WeightsError
        A file that a condition names is not there; other weights that cannot be had
        are said.

    """
    os.environ["EVALKIT_ACCEPT"] = ",".join(study.accept)
    found: dict[str, Any] = {}
    for condition in study.conditions:
        settings = parse_condition(condition)
        try:
            plan = plan_restorer(**settings)
        except WeightsError as error:
            if settings.get("weights"):
                raise WeightsError(f"{condition}: {error}") from error
            say(f"{condition}: {error}")
            found[condition] = [str(error)]
            continue
        for note in plan.notes:
            say(f"{condition}: {note}")
        found[condition] = [[w.name, w.kind, w.sha256] for w in plan.weights]
    return found


def _has_cuda() -> bool:
    os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # makes no context
    import torch

    return torch.cuda.is_available()


def _prepare_pictures(images: str) -> None:
    """Fetch and make what there is to restore; refuse what holds not one picture."""
    table = prepare(images)
    if table["error"].isna().any():
        return
    path = IMAGES.write(table, made_dir(images))
    told = "; ".join([*table["error"].head(3), *["..."][: max(0, len(table) - 3)]])
    raise StudyError(
        f"images: {images} holds no picture that can be read: {told} (all reasons: "
        f"{path})"
    )


def _writable_folders() -> dict[str, str]:
    """Where tools keep what they want to keep, if TMPDIR or home cannot be written."""
    temporary = {"TMPDIR": gettempdir()}  # the first that can, by Python's own trial
    caches = Path("~/.cache").expanduser()
    with suppress(OSError):
        caches.mkdir(parents=True, exist_ok=True)
    if all(os.access(folder, os.W_OK) for folder in (caches, caches.parent)):
        return temporary
    own = cache_dir() / "home"
    own.mkdir(parents=True, exist_ok=True)
    names = ["XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR"]
    names += ["IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"]
    folders = {name: str(own / name.lower()) for name in names}
    # which is in XDG_CACHE_HOME where nothing else is said
    return {**temporary, **folders, "EVALKIT_CACHE": str(cache_dir().absolute())}


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
) -> None:
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
    done = subprocess.run(
        command,
        cwd=run.path,
        env={**os.environ, **_writable_folders(), "EVALKIT_OFFLINE": "1"},
        preexec_fn=die_with_parent,
        process_group=0,  # Ctrl-C is for this process, and the others end with it
        check=False,
    )
    if done.returncode:
        raise StudyError(
            f"study {study.name} is not complete: see the failed steps above and "
            f"{run.path / 'notebooks'}; run it again to go on from here"
        )
    n_new = len(run.records.cells()) - n_before
    what = f"{n_new} new records" if n_new else "nothing to compute"
    say(f"{what}, {n_before} were there; {time.perf_counter() - start:.0f} s")
    say(f"report: {run.path / 'report.html'}")


def _is_random(weights: list[Any]) -> bool:
    return any(one[1:2] == ["random"] for one in weights)
