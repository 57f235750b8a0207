"""The monitor's process: it reads the meters, and writes a record for each sample."""

import itertools
import math
import os
import signal
import struct
import time
from contextlib import nullcontext
from typing import Any

from evalkit.profiling.memory import rss_mib, with_descendants
from evalkit.profiling.nvml import Device, memory_of, open_device, own_processes
from evalkit.profiling.parents import die_with_parent

METERS = (
    *("gpu_busy_percent", "gpu_memory_busy_percent", "power_w", "energy_j"),
    *("sm_clock_mhz", "temperature_c", "throttle_bits"),
)
"""Asked at most once in ``power_ms``; the rest of `COLUMNS` with every sample."""

COLUMNS = (
    *("time_s", "rss_mib", "device_used_mib", "process_mib", "n_foreign"),
    *METERS,
)

RECORD = struct.Struct(f"={len(COLUMNS)}d")
"""One sample: `COLUMNS` in order, NaN where unknown or not asked."""


def sample(
    parent: int, pid: int, device_index: int | None, memory_ms: float, power_ms: float
) -> None:
    """Write samples to standard output until this process is killed.

    Parameters
    ----------
    parent
        Process id of who asks.
    pid, device_index, memory_ms, power_ms
        See `evalkit.profiling.monitor.Monitor`.

    """
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    opened = nullcontext() if device_index is None else open_device(device_index)
    with opened as device:
        gpu = _Gpu(device) if device else None
        every = math.ceil(power_ms / memory_ms)
        for tick in itertools.count():
            is_whole = tick % every == 0
            if is_whole:
                pids = [p for p in with_descendants(pid) if p != os.getpid()]
            found = {
                "time_s": time.perf_counter(),
                "rss_mib": sum(rss_mib(p) or 0.0 for p in pids) or None,
                **(gpu.read(pids, is_whole=is_whole) if gpu else {}),
            }
            values = [found.get(name) for name in COLUMNS]
            os.write(1, RECORD.pack(*(math.nan if v is None else v for v in values)))
            time.sleep(memory_ms / 1000)


class _Gpu:
    def __init__(self, device: Device) -> None:
        self._device, self._before = device, device.processes()

    def read(self, pids: list[int], *, is_whole: bool) -> dict[str, Any]:
        processes = self._device.processes()
        own = own_processes(self._before, processes, pids)
        return {
            "device_used_mib": self._device.memory().used_mib,
            "process_mib": memory_of(processes, own),
            "n_foreign": None
            if processes is None or own is None
            else len(processes) - len(own),
            **(self._device.meters() if is_whole else {}),
        }
