"""The monitor's process: it reads the meters, and writes a record for each sample."""

import itertools
import math
import os
import signal
import struct
import time
from contextlib import nullcontext

from evalkit.profiling.memory import rss_mib, with_descendants
from evalkit.profiling.nvml import (
    Device,
    Processes,
    memory_of,
    open_device,
    own_processes,
)
from evalkit.profiling.parents import die_with_parent

MEMORY_MS, POWER_MS = 20.0, 50.0
"""Pause between samples of memory, and least time between those of `METERS`."""

EVERY = math.ceil(POWER_MS / MEMORY_MS)
"""One of so many samples has `METERS`."""

METERS = (
    *("gpu_busy_percent", "gpu_memory_busy_percent", "power_w", "energy_j"),
    *("sm_clock_mhz", "temperature_c", "throttle_bits"),
)
"""Read at most once in `POWER_MS`; the other `COLUMNS` are read for every sample."""

COLUMNS = (
    *("time_s", "rss_mib", "device_used_mib", "process_mib"),
    *("n_processes", "n_foreign", *METERS),
)

RECORD = struct.Struct(f"={len(COLUMNS)}d")
"""One sample: `COLUMNS` in order, NaN where unknown or not read."""


def sample(pid: int, device_index: int | None) -> None:
    """Write samples of the parent, `pid`, to standard output until killed."""
    die_with_parent(pid)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    opened = nullcontext() if device_index is None else open_device(device_index)
    with opened as device:
        before = device.processes() if device else None
        before_mib = device.memory().used_mib if device else None
        for tick in itertools.count():
            is_whole = tick % EVERY == 0
            if is_whole:
                pids = [p for p in with_descendants(pid) if p != os.getpid()]
            readings = {
                "time_s": time.perf_counter(),
                "rss_mib": sum(rss_mib(p) or 0.0 for p in pids) or None,
                **(_of_gpu(device, before, before_mib, pids) if device else {}),
                **(device.meters() if device and is_whole else {}),
            }
            values = [readings.get(name) for name in COLUMNS]
            os.write(1, RECORD.pack(*(math.nan if v is None else v for v in values)))
            time.sleep(MEMORY_MS / 1000)


def _of_gpu(
    device: Device,
    before: Processes | None,
    before_mib: float | None,
    pids: list[int],
) -> dict[str, float | None]:
    earlier_mib = device.memory().used_mib
    processes = device.processes()
    used_mib = device.memory().used_mib
    known = [mib for mib in (earlier_mib, used_mib) if mib is not None]
    # the lesser: what was allocated between the readings is in one of them only
    grown_mib = min(known) - before_mib if known and before_mib is not None else None
    ours = own_processes(before, processes, pids, grown_mib)
    return {
        "device_used_mib": used_mib,
        "process_mib": memory_of(processes, ours),
        "n_processes": None if processes is None else len(processes),
        "n_foreign": None
        if processes is None or ours is None
        else len(processes) - len(ours),
    }
