"""What the tests of budgets and instances run in place of a restorer."""

import ctypes
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from evalkit.profiling.concurrency import pass_barrier

SLEEP_S = 0.2


def record(run, phase, wall_time_s=SLEEP_S):
    return {
        "run": run,
        "phase": phase,
        "started_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "outcome": "ok",
        "wall_time_s": wall_time_s,
        "load_time_s": 0.001 if phase == "cold" else None,
        "output_sha256": "same",
        "peak_rss_mib": 100.0,
    }


def needing_600(emit, *, budget_mib, timeout_s, **_others):
    """Work from 600 MiB on, and fail below it in each way that libraries know."""
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    if budget_mib >= 600:
        emit(record(1, "cold", 0.002))
    elif budget_mib >= 500:
        raise RuntimeError("could not create a primitive descriptor")
    elif budget_mib >= 400:
        time.sleep(60)
    elif budget_mib >= 300:
        ctypes.string_at(0)
    else:
        raise ValueError("planted")


def sleeping(emit, *, barrier, n_warm, path, **_others):
    """Take a place each, of which there are three; sleep instead of restoring."""
    place = next(n for n in range(9) if _takes(Path(f"{path}.place-{n}")))
    if place >= 3:
        raise MemoryError
    emit(record(1, "cold"))
    pass_barrier(barrier)
    for run in range(1, n_warm + 1):
        found = record(run, "warm")
        time.sleep(SLEEP_S)
        emit(found)


def _takes(place: Path) -> bool:
    try:
        place.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
