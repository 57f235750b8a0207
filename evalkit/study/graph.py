"""The graph of a study's steps, in Snakemake's hands."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pandas as pd

from evalkit.errors import (
    StudyError,
)
from evalkit.imagesets import imagesets
from evalkit.paths import PACKAGE, SHIPPED, cache_dir
from evalkit.profiling.experiments import SLOW_REPEATS
from evalkit.profiling.isolation import die_with_parent
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
)
from evalkit.study.experiment import by_notebook
from evalkit.study.forked import steps_socket
from evalkit.study.progress import FILE, LOG, MESSAGES, follow
from evalkit.study.rating import rating_notes, ratings_digest
from evalkit.study.run_folder import Run, write_text
from evalkit.tables import ANSWER
from evalkit.texts import spoken, tell

DRY = "This was a dry-run"
"""Snakemake's words where it was asked to say what it would do, and did nothing."""

CANCEL_S = 30.0
"""How long a queue may take to give back the jobs of a study that is stopped."""


def run_steps(
    run: Run,
    study: Study,
    weights: dict[str, Any],
    say: Callable[[str], None],
    *,
    has_cuda: bool,
    retry: bool,
    pdf: bool,
    arguments: Sequence[str] = (),
) -> None:
    """Run the steps of a study that are out of date, and say what they did.

    Snakemake gets `arguments` after the study's own. They may send steps to other
    machines, so with any of them each step starts an interpreter of its own.

    Raises
    ------
    StudyError
        A step failed; what is done stays.

    """
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
    ratings = ratings_digest(run)
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
        # what the router chooses is held against what people scored
        "routed": study.images
        if study.claims and ratings and study.images in imagesets()
        else "",
        # what follows only says when a step is out of date
        "images_digest": _images_digest(study),
        "weights": {
            step_name(name): _digest(weights[name]) for name in study.conditions
        },
        "ratings": ratings,
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
    command += arguments
    (run.path / MESSAGES).write_bytes(b"")
    variables = _writable_folders()
    variables |= {"EVALKIT_OFFLINE": "1", FILE: str(run.path / MESSAGES)}
    if pdf:
        variables["EVALKIT_PDF"] = "1"
    with (
        (run.path / LOG).open("wb") as log,
        nullcontext() if arguments else steps_socket() as steps,
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
            if arguments:  # what lies in a queue is taken out of it
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(CANCEL_S)
            process.kill()  # and its steps with it
            raise
    if process.returncode:
        raise StudyError(
            f"study {study.name} is not complete: see {run.path / LOG} and "
            f"{run.path / 'notebooks'}; run it again to go on from here"
        )
    told = (run.path / LOG).read_text(encoding="utf-8", errors="replace")
    if arguments and DRY in told:
        say(told.rstrip())
        return
    n_new = len(run.records.cells()) - n_before
    what = tell("study.records", n=n_new) if n_new else tell("study.nothing")
    seconds = f"{time.perf_counter() - start:.0f}"
    say(tell("study.sum", what=what, n_before=n_before, time=seconds))
    for line in [*what_is_left(run, started_at), *rating_notes(run)]:
        say(line)
    is_english = spoken() == "en"
    report = run.path / ("report.html" if is_english else f"report.{spoken()}.html")
    if report.is_file():  # else it was not asked for: --until another step
        say(tell("study.report", report=report))
    answer = run.read(ANSWER, "" if is_english else spoken())
    for line in answer_lines(answer, shutil.get_terminal_size().columns):
        say(line)


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


def _is_random(weights: list[Any]) -> bool:
    return any(entry[1:2] == ["random"] for entry in weights)
