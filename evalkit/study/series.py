"""What a worker does in its process: load, then restore once or in a series."""

import faulthandler
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from evalkit.images import pixel_sha256, read_image, write_image
from evalkit.profiling.experiments import is_warm
from evalkit.restorers import Restored, Restorer
from evalkit.restorers.engines.tf32 import uses_tf32
from evalkit.study.cells import check_unchanged, context_mib, loaded, measure

Emit = Callable[[dict[str, Any]], None]

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
    runs: Sequence[int] = (),
    max_warm_up: int = 0,
    batch: int = 1,
    rotating: bool = False,
    traced: bool = False,
    is_watched: bool = True,
    timeout_s: float = 3600.0,
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
    source, path, kind
        From the table `evalkit.tables.IMAGES`.
    target
        Where the output goes; None to write it to a temporary file, so that a
        timed run does all that a user's run does.
    n_warm
        Runs after the cold ones, numbered from 1 again.
    sha256
        Of the file `path`, to be compared before and behind each run.
    runs
        In place of `n_warm`: their numbers, cold ones included.
    max_warm_up
        Cold runs after the first.
    batch
        How many copies of the picture each run restores, from files to files.
    rotating
        Follow each run by one of the experiment ``rotating``, of the picture moved by
        `ROTATED_PX` more, so that nothing can be remembered.
    traced
        Emit, last, all samples of the monitor: rows of `evalkit.tables.TIMELINE`.
    is_watched
        See `evalkit.study.cells.loaded`.
    timeout_s
        Of each run, the first with the loading. A run that takes longer ends this
        process by SIGALRM, even within a library, and says where it was.

    """
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    with (
        loaded(condition, is_watched=is_watched) as (restorer, monitor, once),
        TemporaryDirectory() as folder,
    ):
        now = time.perf_counter()
        stages = [(now - once["load_time_s"], now, "load")]
        output = Path(target) if target else Path(folder) / "output.png"
        copies = _Copies(restorer, Path(path), Path(folder), batch)
        restore = copies.restore if batch > 1 else restorer.restore
        tf32 = uses_tf32(restorer.plan)
        times_s: list[float] = []
        before: list[tuple[float, float]] = []  # warm runs, begin and end
        while run := _next_run(times_s, n_warm, runs, max_warm_up):
            number, phase = run
            check_unchanged(Path(path), sha256)
            begin = time.perf_counter()
            found = measure(restore, source, Path(path), kind, output, monitor, before)
            check_unchanged(Path(path), sha256)
            signal.setitimer(signal.ITIMER_REAL, timeout_s)
            times_s.append(found["wall_time_s"])
            stages += _stages(begin, found)
            if phase == "warm":
                before.append((begin, begin + found["wall_time_s"]))
            told = {"run": number, "phase": phase, "tf32": tf32}
            found["notes"] += copies.notes()
            if not times_s[1:]:
                found |= once | {"cuda_context_mib": context_mib(monitor)}
            emit(found | told)
            if rotating:
                moved = Path(folder) / "moved.png"
                step = len(times_s) * ROTATED_PX
                write_image(moved, np.roll(read_image(path), step, axis=1))
                begin = time.perf_counter()
                found = measure(restore, source, moved, kind, output, monitor, before)
                if phase == "warm":
                    before.append((begin, begin + found["wall_time_s"]))
                emit(found | told | {"experiment": "rotating"})
        if traced and monitor:
            emit({"samples": _timeline(monitor.samples(), stages)})
    signal.setitimer(signal.ITIMER_REAL, 0)


def _next_run(
    times_s: Sequence[float], n_warm: int, runs: Sequence[int], max_warm_up: int
) -> tuple[int, str] | None:
    """Number and phase of the run after those of `times_s`; None at the end."""
    n_done = len(times_s)
    ends = (n for n in range(1, n_done + 1) if n > max_warm_up or is_warm(times_s[:n]))
    n_cold = next(ends, n_done + 1)
    phase = "cold" if n_done < n_cold else "warm"
    if runs:
        return (runs[n_done], phase) if n_done < len(runs) else None
    number = n_done + 1 if phase == "cold" else n_done + 1 - n_cold
    return (number, phase) if n_done < n_cold + n_warm else None


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
        """Whether the copies of the last run differ; their pictures are let go."""
        digests = [pixel_sha256(restored.image) for restored in self._results]
        self._results = []
        n_others = sum(digest != digests[0] for digest in digests)
        return [f"{n_others} of {self._n} outputs differ from the first"][
            : n_others > 0
        ]


def _stages(begin_s: float, found: dict[str, Any]) -> list[tuple[float, float, str]]:
    """Begin, end and name of each stage of a run.

    Those that alternate from tile to tile are put together, in the order in which they
    began; what no stage accounts for is before the last, the encoding.
    """
    stages_s = dict(found["stages_s"])
    end_s = begin_s + found["wall_time_s"]
    last_s = end_s - stages_s.pop("encode")
    edges = begin_s + np.cumsum([0.0, *stages_s.values()])
    spans = list(zip(edges[:-1], edges[1:], stages_s, strict=True))
    return [*spans, (edges[-1], last_s, "other"), (last_s, end_s, "encode")]


def _timeline(samples: Any, stages: list[tuple[float, float, str]]) -> list[Any]:
    """The monitor's samples since the loading began, each with its stage."""
    columns = ["time_s", "rss_mib", "process_mib", "device_used_mib"]
    start_s, end_s = stages[0][0], stages[-1][1]
    rows = []
    for sample in samples[columns].to_dict("records"):
        now = sample["time_s"]
        inside = [name for begin, end, name in stages if begin <= now < end]
        if start_s <= now <= end_s:
            stage = inside[0] if inside else None
            rows.append(sample | {"time_s": now - start_s, "stage": stage})
    return rows
