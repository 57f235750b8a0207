"""What a worker does in a process of its own: load, restore, measure, once or often."""

import faulthandler
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from evalkit.downloads.files import digest
from evalkit.errors import OutputRejectedError, SourceChangedError
from evalkit.images import pixel_sha256, read_image, write_image
from evalkit.profiling.budget import limit_memory
from evalkit.profiling.clock import torch_flags
from evalkit.profiling.concurrency import pass_barrier
from evalkit.profiling.experiments import next_run
from evalkit.profiling.memory import MemoryPeaks, cuda_reserved_mib
from evalkit.profiling.monitor import Monitor, stage_spans
from evalkit.profiling.nvml import device_index
from evalkit.restorers import (
    Restored,
    Restorer,
    load_restorer,
    parse_condition,
    plan_restorer,
)
from evalkit.restorers.engines.tf32 import uses_tf32

Emit = Callable[[dict[str, Any]], None]

ALIGNED = "aligned-face"
"""The kind of a source that is one aligned face and nothing else."""

ROTATED_PX = 7
"""How far each of the rotating pictures is moved from the one before."""


def series_cell(
    emit: Emit,
    *,
    condition: str,
    source: str,
    path: str,
    kind: str,
    target: str | None,
    n_warm: int,
    sha256: str | None = None,
    others: Sequence[str] = (),
    runs: Sequence[int] = (),
    max_warm_up: int = 0,
    may_be_slow: bool = False,
    batch: int = 1,
    rotating: bool = False,
    traced: bool = False,
    is_watched: bool = True,
    timeout_s: float = 3600.0,
    facts: Mapping[str, float] | None = None,
) -> None:
    """Load a restorer once, run it in a series, emit each run's record.

    The first run is cold, and so are those after it until times are stable (see
    `evalkit.profiling.experiments.is_warm`), at most `max_warm_up` of them.

    Parameters
    ----------
    emit
        Takes a record's measured columns as soon as a run has ended.
    condition
        A condition's name.
    source, path, kind, others
        From the table `evalkit.tables.IMAGES`; `others` are the study's sources.
    target
        Where the output goes; None to write it to a temporary file, so that a
        timed run does all that a user's run does.
    n_warm
        Runs after the cold ones, numbered from 1 again.
    sha256
        The digest of the file `path`, compared before and behind each run.
    runs
        In place of `n_warm`: their numbers, cold ones included.
    max_warm_up
        Cold runs after the first.
    may_be_slow
        Fewer of them where they take long: `evalkit.profiling.experiments.n_repeats`.
    batch
        How many copies of the picture each run restores, from files to files.
    rotating
        Follow each run by one of the experiment ``rotating``, of the picture moved by
        `ROTATED_PX` more, so that nothing can be remembered.
    traced
        Emit, last, all samples of the monitor: rows of `evalkit.tables.TIMELINE`.
    is_watched
        See `loaded`.
    timeout_s
        The limit of each run, the first with the loading. A run that takes longer ends
        this process by SIGALRM, even within a library, and says where it was.
    facts
        See `evalkit.restorers.Restorer.knowing`.

    """
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    with (
        loaded(condition, is_watched=is_watched) as (restorer, monitor, load_columns),
        TemporaryDirectory() as folder,
    ):
        restorer, load_end = restorer.knowing(facts or {}), time.perf_counter()
        stages = [(load_end - load_columns["load_time_s"], load_end, "load")]
        output = Path(target) if target else Path(folder) / "output.png"
        copies = _Copies(restorer, Path(path), Path(folder), batch)
        alone = partial(restorer.restore, others=others) if others else restorer.restore
        restore = copies.restore if batch > 1 else alone
        tf32 = uses_tf32(restorer.plan)
        times_s: list[float] = []
        before: list[tuple[float, float]] = []  # warm runs, begin and end
        asked_for = None if may_be_slow else n_warm
        while run := next_run(times_s, n_warm, runs, max_warm_up, asked_for):
            number, phase = run
            check_unchanged(Path(path), sha256)
            begin = time.perf_counter()
            record = measure(restore, source, Path(path), kind, output, monitor, before)
            check_unchanged(Path(path), sha256)
            signal.setitimer(signal.ITIMER_REAL, timeout_s)
            times_s.append(record["wall_time_s"])
            stages += stage_spans(begin, record)
            if phase == "warm":
                before.append((begin, begin + record["wall_time_s"]))
            columns = {"run": number, "phase": phase, "tf32": tf32}
            record["notes"] += copies.notes()
            if not times_s[1:]:
                record |= load_columns | {"cuda_context_mib": context_mib(monitor)}
            emit(record | columns)
            if rotating:
                moved = Path(folder) / "moved.png"
                step = len(times_s) * ROTATED_PX
                write_image(moved, np.roll(read_image(path), step, axis=1))
                begin = time.perf_counter()
                record = measure(alone, source, moved, kind, output, monitor, before)
                if phase == "warm":
                    before.append((begin, begin + record["wall_time_s"]))
                emit(record | columns | {"experiment": "rotating"})
        if traced and monitor:
            emit({"samples": monitor.timeline(stages)})
    signal.setitimer(signal.ITIMER_REAL, 0)


def limited_cell(
    emit: Emit,
    *,
    budget_mib: int,
    device: str,
    **arguments: Any,
) -> None:
    """Restore in so much memory; see `evalkit.profiling.budget.limit_memory`.

    Give it a ``timeout_s``: OpenBLAS, for one, asks for memory again and again.
    """
    limit_memory(budget_mib, device)
    series_cell(emit, **arguments, is_watched=False)


def gated_cell(emit: Emit, *, barrier: str, **arguments: Any) -> None:
    """Restore once, pass the barrier with all others, and go on."""

    def emit_and_wait(record: dict[str, Any]) -> None:
        emit(record)
        if record["phase"] == "cold":
            pass_barrier(barrier)

    series_cell(emit_and_wait, **arguments)


@contextmanager
def loaded(
    condition: str, *, is_watched: bool = True
) -> Iterator[tuple[Restorer, Monitor | None, dict[str, Any]]]:
    """Load a restorer under a monitor, in a process that has used no GPU yet.

    With `is_watched` false there is no monitor: it would take its share of a memory
    limit.

    Yields
    ------
    tuple
        The restorer; the monitor, if any; the columns of ``records`` that belong to
        the first run: ``load_time_s``, and with a monitor the resident set
        before and after the load.

    """
    # the parent has fetched what can be had: no download belongs in a timed cell
    os.environ["EVALKIT_OFFLINE"] = "1"
    # NVML's order of GPUs; CUDA's own is by speed
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    parameters = parse_condition(condition)
    device = plan_restorer(**parameters).resolved.get("device", "cpu")
    watch = Monitor(device_index=device_index(device)) if is_watched else nullcontext()
    with watch as monitor:
        start = time.perf_counter()
        restorer = load_restorer(**parameters)
        end = time.perf_counter()
        load_columns = {"load_time_s": end - start}
        if monitor:
            for name, at in (("start_rss_mib", start), ("loaded_rss_mib", end)):
                load_columns[name] = monitor.summary(at, at)["peak_rss_mib"]
        yield restorer, monitor, load_columns


def context_mib(monitor: Monitor | None) -> float | None:
    """What the device has lost and torch does not hold: the context, libraries' own.

    Ask it after a run: CUDA loads a kernel, and cuDNN its libraries, when they are
    first used.
    """
    moment, reserved_mib = time.perf_counter(), cuda_reserved_mib()
    if monitor is None or reserved_mib is None:
        return None
    lost: float | None = monitor.summary(moment, moment)["nvml_device_delta_mib"]
    return None if lost is None else lost - reserved_mib


def check_unchanged(path: Path, sha256: str | None) -> None:
    """Refuse a picture that is not the one that the study looked at.

    Raises
    ------
    SourceChangedError
        Its file has another digest than `sha256`; null is not compared.
    """
    if sha256 and (actual := digest(path)) != sha256:
        raise SourceChangedError(
            f"{path} changed while the study ran: expected sha256 {sha256}, found "
            f"{actual}; run the study again"
        )


def measure(
    restore: Callable[..., Restored],
    source: str,
    path: Path,
    kind: str,
    output: Path,
    monitor: Monitor | None = None,
    before: Sequence[tuple[float, float]] = (),
) -> dict[str, Any]:
    """Restore one picture as a user's run does, from its file to a file, and time it.

    `restore` is a restorer's; `source`, `path` and `kind` are from the table
    `evalkit.tables.IMAGES`. What a monitor measures is left out where there is none;
    `before` as in its `summary`.

    Returns
    -------
    dict
        The measured columns of ``records``.

    Raises
    ------
    OutputRejectedError
        The restorer left torch's global flags changed.

    """
    # a restorer without torch is not made to import it
    flags = torch_flags() if "torch" in sys.modules else None
    memory = MemoryPeaks()
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    begin = time.perf_counter()
    picture = read_image(path)
    decoded = time.perf_counter()
    restored = restore(picture, aligned=kind == ALIGNED, source=source)
    computed = time.perf_counter()
    write_image(output, restored.image)
    end = time.perf_counter()
    peaks = memory.read()
    if flags is not None and torch_flags() != flags:
        raise OutputRejectedError(
            f"torch's global flags were {flags} and the restorer left {torch_flags()}: "
            "what runs after it in this process is not comparable"
        )
    meters = monitor.summary(begin, end, before) if monitor else {"notes": []}
    sizes = (columns.get("peak_rss_mib") for columns in (peaks, meters))
    height, width = restored.image.shape[:2]
    return {
        "started_at": started_at,
        "outcome": "ok",
        "wall_time_s": end - begin,
        "stages_s": {
            "decode": decoded - begin,
            **restored.stages_s,
            "encode": end - computed,
        },
        "output_sha256": pixel_sha256(restored.image),
        "output_width_px": width,
        "output_height_px": height,
        **peaks,
        **meters,
        # the kernel misses no peak of this process, the monitor sees its children
        "peak_rss_mib": max(size for size in sizes if size is not None),
        "notes": restored.notes + meters["notes"],
    }


class _Copies:
    """Restores copies of a picture at once, as if it were the one picture."""

    def __init__(self, restorer: Restorer, path: Path, folder: Path, n: int) -> None:
        self._restorer, self._path, self._folder, self._n = restorer, path, folder, n
        self._results: list[Restored] = []

    def restore(self, image: Any, *, aligned: bool, source: str) -> Restored:
        """Decode the other copies, restore all, encode the other outputs."""
        start = time.perf_counter()
        images = [image, *(read_image(self._path) for _ in range(self._n - 1))]
        stages_s = {"decode_copies": time.perf_counter() - start}
        self._results = self._restorer.restore_batch(
            images, aligned=aligned, sources=[source] * self._n
        )
        start = time.perf_counter()
        for number, restored in enumerate(self._results[1:]):
            write_image(self._folder / f"copy-{number}.png", restored.image)
        for restored in self._results:
            for stage, seconds in restored.stages_s.items():
                stages_s[stage] = stages_s.get(stage, 0.0) + seconds
        stages_s["encode_copies"] = time.perf_counter() - start
        first = self._results[0]
        return Restored(image=first.image, stages_s=stages_s, notes=list(first.notes))

    def notes(self) -> list[str]:
        """Whether the copies of the last run differ; forgets their pictures."""
        digests = [pixel_sha256(restored.image) for restored in self._results]
        self._results = []
        n_others = sum(digest != digests[0] for digest in digests)
        return [f"{n_others} of {self._n} outputs differ from the first"][
            : n_others > 0
        ]
