"""The process that keeps a restorer loaded, and restores the pictures it is sent."""

import json
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any, TypeVar

import psutil

from evalkit.daily.sheet import Sheet
from evalkit.errors import INTERRUPTED, attempt
from evalkit.errors.one_line import machine_error
from evalkit.images import (
    Metadata,
    Picture,
    fitted,
    n_pages,
    picture_kind,
    read_image,
    read_metadata,
    write_image,
)
from evalkit.images.icc import ProfileWarning
from evalkit.images.stored import MetadataWarning
from evalkit.profiling.memory import MIB
from evalkit.restorers import Cancel, Plan, Progress, Restored, Restorer
from evalkit.restorers.classical import HOW
from evalkit.texts import Language, text

T = TypeVar("T")
Emit = Callable[[dict[str, Any]], None]

LARGE_BYTES = 2**28
"""A larger output is written before the next is made: memory has an end."""

WHY, DETAILS = "route ", ("seen: ", "unknown: ")
"""Beginnings of notes: what ``auto`` chose and by which rule, and what else it saw."""

PART_S = 0.5
"""How often it is told which part of a picture is done."""


def restore_each(
    emit: Emit,
    *,
    plan: Plan,
    address: str,
    n_writers: int,
    sheet: Sheet | None,
    strip: bool,
) -> None:
    """Load a restorer, then restore what comes, until None does.

    While one picture is restored the next is read and those before are written.

    Parameters
    ----------
    emit
        Takes ``ready``; of each picture, with its ``number``, what `write` returns, or
        the ``error``; between, ``part``, the share that is done.
    plan
        Of the restorer.
    address
        Of the socket from which pictures come: ``number``, ``source``, ``page``,
        ``target``, ``facts``, and ``stop``, a file that is there once it is not wanted.
    n_writers
        Threads that write.
    sheet, strip
        As in `write` and `read`.

    """
    restorer = plan.load()
    process = psutil.Process()
    tasks = Client(address, "AF_UNIX")

    def done(number: int, work: Callable[[], T]) -> T | None:
        """What a step gives; None where it fails, and the error has been told."""
        outcome = {}
        try:
            value, error = attempt(work, "a picture", lambda _: None)
        except OSError as fault:  # of the machine: no picture would fare better
            value, error = None, machine_error(fault)
            outcome = {"outcome": INTERRUPTED}
        except Exception as fault:  # noqa: BLE001, where EVALKIT_STRICT raises it
            value, error = None, f"{type(fault).__name__}: {fault}"
        if value is None:
            emit({"number": number, "error": error, **outcome})
        return value

    def next_read() -> tuple[dict[str, Any], Read] | None:
        while (task := tasks.recv()) is not None:
            picture = done(
                task["number"], lambda: read(task["source"], task["page"], strip=strip)
            )
            if picture is not None:
                return task, picture
        return None

    def finish(task: Mapping[str, Any], made: Made) -> None:
        facts = done(
            task["number"], lambda: write(made, restorer, task["target"], sheet)
        )
        if facts is not None:
            rss_mib = process.memory_info().rss / MIB
            emit({"number": task["number"], "rss_mib": rss_mib, **facts})

    reader, writers = ThreadPoolExecutor(1), ThreadPoolExecutor(n_writers)
    writing: deque[Future[None]] = deque()
    emit({"ready": True, "pid": os.getpid()})
    ahead = reader.submit(next_read)
    while (ready := ahead.result()) is not None:
        task, picture = ready
        ahead = reader.submit(next_read)
        told = 0.0

        def progress(n_done: int, n_parts: int, number: int = task["number"]) -> None:
            nonlocal told
            if time.monotonic() - told > PART_S:
                told = time.monotonic()
                emit({"number": number, "part": n_done / n_parts})

        progress(0, 1)
        made = done(
            task["number"],
            partial(
                restore,
                restorer,
                task["source"],
                picture,
                progress,
                task["facts"],
                Path(task["stop"]).exists if "stop" in task else None,
            ),
        )
        if made is not None:
            writing.append(writers.submit(finish, task, made))
        most = 0 if made and made.restored.image.nbytes > LARGE_BYTES else n_writers
        while len(writing) > most:
            writing.popleft().result()
    for write_ in writing:
        write_.result()


@dataclass(frozen=True, slots=True)
class Read:
    """A picture, what its file says beside it, notes, and the seconds that took."""

    picture: Picture
    metadata: Metadata
    notes: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Made:
    """A picture that was read and restored, and the seconds of the restorer."""

    source: Read
    restored: Restored
    seconds: float


def read(source: str, page: int | None = None, *, strip: bool = False) -> Read:
    """Read a picture; with `strip` without what its file says of date and place.

    Raises
    ------
    ImageError, OSError
        As in `read_image`; `page` is from 0, and None for the first of a file whose
        pages nobody has counted: that there are others is noted.

    """
    begin = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = read_image(source, page=page or 0)
        count = n_pages(Path(source)) if page is None else 1
        metadata = Metadata() if strip else read_metadata(source)
    # the restorer may warn meanwhile, in its own thread
    kinds = (ProfileWarning, MetadataWarning)
    notes = [str(w.message) for w in caught if issubclass(w.category, kinds)]
    if count > 1:
        notes.append(f"page 1 of {count}: the others are left out")
    return Read(picture, metadata, notes, time.perf_counter() - begin)


def restore(
    restorer: Restorer,
    source: str,
    picture: Read,
    progress: Progress | None = None,
    facts: Mapping[str, float] | None = None,
    cancel: Cancel | None = None,
) -> Made:
    """Restore what was read from the file `source`, of which `facts` are known."""
    begin = time.perf_counter()
    facts = facts or {"is_pdf": float(picture_kind(Path(source)) == "pdf")}
    restored = restorer.knowing(facts).restore(
        picture.picture, source=Path(source).stem, progress=progress, cancel=cancel
    )
    return Made(picture, restored, time.perf_counter() - begin)


def write(
    made: Made, restorer: Restorer, target: str, sheet: Sheet | None = None
) -> dict[str, Any]:
    """Write an output, which says what made it, to a file.

    Parameters
    ----------
    made
        What a restorer made, and of what.
    restorer
        That restorer.
    target
        The file.
    sheet
        What the output is to fill in print.

    Returns
    -------
    dict
        ``seconds`` of all, ``restorer_seconds``, ``megapixels`` of the source, ``size``
        (width and height of the output), ``notes``, and ``at``, the time (UTC).

    Raises
    ------
    ImageError, OSError
        As in `write_image`.

    """
    begin = time.perf_counter()
    image, metadata = made.restored.image, made.source.metadata
    notes = [*made.source.notes, *made.restored.notes]
    if sheet:
        image, note = sheet.fill(image)
        metadata = replace(metadata, dpi=sheet.dpi)
        notes.append(note)
    image, lost = fitted(Path(target).suffix, image)
    metadata = metadata.made_by(
        f"evalkit {version('evalkit')}",
        caution(restorer.plan.spec.name),
        parameters=json.dumps(_without_folders(restorer.parameters)),
        why="; ".join(note for note in made.restored.notes if note.startswith(WHY)),
    )
    write_image(target, image, metadata)
    height, width = made.source.picture.shape[:2]
    seconds = made.source.seconds + made.seconds + time.perf_counter() - begin
    return {
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "seconds": seconds,
        "restorer_seconds": made.seconds,
        "megapixels": height * width / 1e6,
        "size": [image.shape[1], image.shape[0]],
        "notes": notes + lost,
    }


def caution(name: str, language: Language = "en") -> str:
    """What must be said of a restorer's pictures; of an interpolation's nothing."""
    return "" if name in HOW else text("caution.generated", language)


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
