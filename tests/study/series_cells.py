"""The series as it runs in its process, with planted faults, times and leaks."""

import ctypes
import os
import signal
from pathlib import Path

import numpy as np

from evalkit.errors import OutOfMemoryError
from evalkit.images import pixel_sha256, read_image
from evalkit.study import worker as _worker
from evalkit.study.worker import gated_cell

MIB = 2**20
FAULTS = {2: "crash", 4: "hang", 5: "oom", 7: "exit"}
TIMES_S = [2.0, 1.5, 1.0, 1.0, 1.0, *(1.0, 1.5) * 6]
real_measure = _worker.measure


def faulty(emit, *, runs, **arguments):
    """Fail in the runs of `FAULTS`, each in its own way."""
    numbers = iter(runs)

    def measure(*given):
        fault = FAULTS.get(next(numbers))
        if fault == "crash":
            ctypes.string_at(0)
        elif fault == "hang":
            ctypes.CDLL(None).sleep(600)
        elif fault == "oom":
            raise OutOfMemoryError("the device has 3 GiB")
        elif fault == "exit":
            os._exit(3)
        return real_measure(*given)

    _worker.measure = measure
    _worker.series_cell(emit, runs=runs, **arguments)


def leaking(emit, **arguments):
    """Keep 1 MiB more after each run."""
    kept = []

    def measure(*given):
        kept.append(np.ones(MIB, np.uint8))
        return real_measure(*given)

    _worker.measure = measure
    _worker.series_cell(emit, **arguments)


def timed(emit, **arguments):
    """Say that runs took `TIMES_S`."""
    times_s = iter(TIMES_S)

    def measure(*given):
        return real_measure(*given) | {"wall_time_s": next(times_s)}

    _worker.measure = measure
    _worker.series_cell(emit, **arguments)


def steady(emit, **arguments):
    """Say that each run took 2 s."""
    _worker.measure = lambda *given: real_measure(*given) | {"wall_time_s": 2.0}
    _worker.series_cell(emit, **arguments)


def slow(emit, **arguments):
    """Say that runs took 9, 6, 7 and 8 s."""
    times_s = iter([9.0, 6.0, 7.0, 8.0] * 2)
    _worker.measure = lambda *given: (
        real_measure(*given) | {"wall_time_s": next(times_s)}
    )
    _worker.series_cell(emit, **arguments)


def remembering(emit, **arguments):
    """Say that a picture seen before takes half the time."""
    seen = set()

    def measure(restorer, source, path, *more):
        found = real_measure(restorer, source, path, *more)
        digest = pixel_sha256(read_image(path))
        seen_before = digest in seen
        seen.add(digest)
        return found | {"wall_time_s": 1.0 if seen_before else 2.0}

    _worker.measure = measure
    _worker.series_cell(emit, **arguments)


def series_cell(emit, **arguments):
    """As it is."""
    _worker.series_cell(emit, **arguments)


def killed(emit, **_):
    """As by a person, another program or a scheduler."""
    os.kill(os.getpid(), signal.SIGKILL)


def killed_but_for_2(emit, *, source, **arguments):
    """Spare the source ``2``."""
    if source != "2":
        os.kill(os.getpid(), signal.SIGKILL)
    _worker.series_cell(emit, source=source, **arguments)


def killed_once(emit, *, path, **arguments):
    """After the first run of all, and never again."""
    mark = Path(path).with_suffix(".killed")

    def emit_and_end(found):
        emit(found)
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    if "barrier" in arguments:
        gated_cell(emit_and_end, path=path, **arguments)
    else:
        _worker.series_cell(emit_and_end, path=path, **arguments)


def failing(emit, **_):
    """As a restorer that is wrong."""
    raise ValueError("the tile is -1 px")
