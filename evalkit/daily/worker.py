"""The process that keeps a restorer loaded, and restores the pictures it is sent."""

import json
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

import psutil

from evalkit.daily.sheet import Sheet
from evalkit.errors import attempt
from evalkit.images import Metadata, fitted, read_image, read_metadata, write_image
from evalkit.profiling.memory import MIB
from evalkit.restorers import Plan, Restorer
from evalkit.restorers.classical import HOW
from evalkit.texts import text

Emit = Callable[[dict[str, Any]], None]

WHY, DETAILS = "route ", ("seen: ", "unknown: ")
"""Beginnings of notes: what ``auto`` chose and by which rule, and what else it saw."""

PART_S = 0.5
"""How often it is told which part of a picture is done."""


def restore_each(
    emit: Emit,
    *,
    plan: Plan,
    address: str,
    sheet: Sheet | None,
    strip: bool,
) -> None:
    """Load a restorer, then restore what comes, until None does.

    Parameters
    ----------
    emit
        Takes ``ready``; after each picture its facts, or the ``error``; between,
        ``part``, the share that is done.
    plan
        Of the restorer.
    address
        Of the socket from which arguments of `restore_file` come.
    sheet, strip
        As in `restore_file`.

    """
    restorer = plan.load()
    process = psutil.Process()
    with Client(address, "AF_UNIX") as tasks:
        emit({"ready": True})
        while (task := tasks.recv()) is not None:
            last = time.monotonic()

            def progress(n_done: int, n_parts: int) -> None:
                nonlocal last
                if time.monotonic() - last > PART_S:
                    last = time.monotonic()
                    emit({"part": n_done / n_parts})

            def work(task: dict[str, Any] = task) -> dict[str, Any]:
                return restore_file(
                    restorer, **task, sheet=sheet, strip=strip, progress=progress
                )

            facts, error = attempt(work, task["source"], lambda _: None)
            rss_mib = process.memory_info().rss / MIB
            emit({"error": error} if facts is None else facts | {"rss_mib": rss_mib})


def restore_file(
    restorer: Restorer,
    source: str,
    page: int | None,
    target: str,
    *,
    sheet: Sheet | None = None,
    strip: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Restore one picture, from its file to a file that says what made it.

    Parameters
    ----------
    restorer
        Loaded.
    source, page
        A file; of a TIFF or PDF of several pages the page, from 0.
    target
        The output's file.
    sheet
        What the output is to fill in print.
    strip
        Leave out what the source's file says of date, place and people.
    progress
        As in `Restorer.restore`.

    Returns
    -------
    dict
        ``seconds`` of all, ``restorer_seconds``, ``megapixels`` of the source, ``size``
        (width and height of the output), ``notes``.

    Raises
    ------
    EvalkitError, OSError
        No picture was made.

    """
    begin = time.perf_counter()
    path, end = Path(source), Path(target)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = read_image(path, page=page or 0)
        metadata = Metadata() if strip else read_metadata(path)
    notes = [str(warning.message) for warning in caught]
    before = time.perf_counter()
    restored = restorer.restore(picture, source=path.stem, progress=progress)
    restorer_seconds = time.perf_counter() - before
    notes += restored.notes
    image = restored.image
    if sheet:
        image, note = sheet.fill(image)
        metadata = replace(metadata, dpi=sheet.dpi)
        notes.append(note)
    image, lost = fitted(end.suffix, image)
    notes += lost
    made = metadata.made_by(
        f"evalkit {version('evalkit')}",
        caution(restorer.plan.spec.name),
        parameters=json.dumps(_without_folders(restorer.parameters)),
        why="; ".join(n for n in restored.notes if n.startswith(WHY)),
    )
    write_image(end, image, made)
    return {
        "seconds": time.perf_counter() - begin,
        "restorer_seconds": restorer_seconds,
        "megapixels": picture.shape[0] * picture.shape[1] / 1e6,
        "size": [image.shape[1], image.shape[0]],
        "notes": notes,
    }


def caution(name: str) -> str:
    """What must be said of a restorer's pictures; of an interpolation's nothing."""
    return "" if name in HOW else text("caution.generated", "en")


def _without_folders(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same, of paths the last part only: a folder may be called by a person."""
    short = dict(parameters)
    for name, value in parameters.items():
        if isinstance(value, str) and "/" in value:
            kind, colon, path = (
                value.partition(":") if name == "name" else ("", "", value)
            )
            short[name] = f"{kind}{colon}{Path(path).name}"
    return short
