"""What the tests of limits run in processes of their own."""

import ctypes
import mmap
import time
from pathlib import Path

import numpy as np

from evalkit.profiling.budget import limit_memory
from evalkit.profiling.concurrency import pass_barrier

MIB = 2**20


def written_mib() -> float:
    """What RLIMIT_DATA counts, as the kernel has it: VmData of proc_pid_status(5)."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    line = next(line for line in lines if line.startswith("VmData"))
    return int(line.split()[1]) / 1024


def needing(emit, budget_mib, needs_mib):
    emit({"own_mib": written_mib()})
    limit_memory(budget_mib, "cpu")
    np.ones(needs_mib * MIB, np.uint8)


def reserving(emit, budget_mib, reserved_mib):
    """Map memory that may only be read: it is no data, and costs nothing."""
    limit_memory(budget_mib, "cpu")
    with mmap.mmap(-1, reserved_mib * MIB, prot=mmap.PROT_READ) as reserved:
        emit({"mapped_mib": len(reserved) / MIB})


def not_looking(emit, budget_mib, needs_mib):
    """Write to what malloc gave without a look at it, as some libraries do."""
    limit_memory(budget_mib, "cpu")
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    ctypes.memset(libc.malloc(ctypes.c_size_t(needs_mib * MIB)) or 0, 1, 1)


def sleeping(emit, barrier, delay_s, dies=False):
    time.sleep(delay_s)
    if dies:
        raise MemoryError
    emit({"ready_s": time.perf_counter()})
    pass_barrier(barrier)
    emit({"begin_s": time.perf_counter()})
