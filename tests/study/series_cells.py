"""The series as it runs in its process, with planted faults, times and leaks."""

import ctypes
import os

import numpy as np

from evalkit.errors import OutOfMemoryError
from evalkit.images import pixel_sha256, read_image
from evalkit.study import _series

MIB = 2**20
FAULTS = {2: "crash", 4: "hang", 5: "oom", 7: "exit"}
TIMES_S = [2.0, 1.5, 1.0, 1.0, 1.0, *(1.0, 1.5) * 6]
real_measure = _series.measure


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

    _series.measure = measure
    _series.series_cell(emit, runs=runs, **arguments)


def leaking(emit, **arguments):
    """Keep 1 MiB more after each run."""
    kept = []

    def measure(*given):
        kept.append(np.ones(MIB, np.uint8))
        return real_measure(*given)

    _series.measure = measure
    _series.series_cell(emit, **arguments)


def timed(emit, **arguments):
    """Say that runs took `TIMES_S`."""
    times_s = iter(TIMES_S)

    def measure(*given):
        return real_measure(*given) | {"wall_time_s": next(times_s)}

    _series.measure = measure
    _series.series_cell(emit, **arguments)


def steady(emit, **arguments):
    """Say that each run took 2 s."""
    _series.measure = lambda *given: real_measure(*given) | {"wall_time_s": 2.0}
    _series.series_cell(emit, **arguments)


def remembering(emit, **arguments):
    """Say that a picture seen before takes half the time."""
    seen = set()

    def measure(restorer, source, path, *more):
        found = real_measure(restorer, source, path, *more)
        digest = pixel_sha256(read_image(path))
        seen_before = digest in seen
        seen.add(digest)
        return found | {"wall_time_s": 1.0 if seen_before else 2.0}

    _series.measure = measure
    _series.series_cell(emit, **arguments)
