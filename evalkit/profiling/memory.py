"""Memory of a process, its children, and torch's on the GPU; null where unknown."""

import os
import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

MIB = 2**20
_PROC = Path("/proc")
_highest_before_resets_mib = 0.0


class MemoryPeaks:
    """The highest memory since this object was made.

    Making it forgets the peaks of this process, so one at a time is in use.

    Notes
    -----
    The resident set is this process's alone, counted by the kernel (VmHWM), not
    sampled, so that no short peak is missed; pages shared with others count in full.
    Where the kernel cannot forget a peak (not Linux), it is that since the process
    began. Torch's figures are its caching allocator's, added over devices: they leave
    out the CUDA context and other libraries.

    """

    def __init__(self) -> None:
        reset_peak_rss()
        if cuda := _used_cuda():
            for device in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(device)

    def read(self) -> dict[str, float | None]:
        """Columns of the table ``records``.

        Returns
        -------
        dict
            ``peak_rss_mib``, and ``cuda_allocated_peak_mib`` and
            ``cuda_reserved_peak_mib``, null when torch has not used CUDA.

        """
        return {
            "peak_rss_mib": peak_rss_mib(),
            "cuda_allocated_peak_mib": _cuda_mib("max_memory_allocated"),
            "cuda_reserved_peak_mib": _cuda_mib("max_memory_reserved"),
        }


def cuda_reserved_mib() -> float | None:
    """Memory that torch's allocator holds now, over devices; None if CUDA is unused."""
    return _cuda_mib("memory_reserved")


def _cuda_mib(name: str) -> float | None:
    """A figure of torch's allocator, added over devices."""
    cuda = _used_cuda()
    if cuda is None:
        return None
    return float(sum(map(getattr(cuda, name), range(cuda.device_count())))) / MIB


def _used_cuda() -> Any:
    """``torch.cuda`` if this process has used it, else None."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None


def rss_mib(pid: int | str = "self") -> float | None:
    """The resident set of a process now; None where it is unknown, or gone."""
    try:
        statm = _read(f"{_PROC}/{pid}/statm")
    except OSError:
        return None
    return int(statm.split()[1]) * resource.getpagesize() / MIB or None


def peak_rss_mib() -> float:
    """The highest resident set of this process since `reset_peak_rss`, or its start."""
    peak_mib = process_peak_rss_mib("self")
    if peak_mib is None:
        return max_rss_mib(resource.getrusage(resource.RUSAGE_SELF))
    return peak_mib


def max_rss_mib(usage: resource.struct_rusage) -> float:
    """The highest resident set by getrusage(2): in KiB there, on macOS in bytes."""
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MIB


def reset_peak_rss() -> bool:
    """Begin a new peak of this process's resident set.

    Returns
    -------
    bool
        False where the kernel cannot; `peak_rss_mib` then goes on as before.

    References
    ----------
    proc_pid_clear_refs(5): writing 5 sets the peak to the present size.

    """
    global _highest_before_resets_mib
    _highest_before_resets_mib = whole_peak_rss_mib()
    try:
        (_PROC / "self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


def whole_peak_rss_mib() -> float:
    """The highest resident set of this process since its start, resets or not."""
    return max(_highest_before_resets_mib, peak_rss_mib())


def process_peak_rss_mib(pid: int | str) -> float | None:
    """The kernel's peak of a process's resident set; None if unknown, or gone."""
    try:
        text = (_PROC / str(pid) / "status").read_text(encoding="utf-8")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def with_descendants(pid: int) -> list[int]:
    """A process and all that it started; it alone where the kernel does not say."""
    return [pid, *(p for child in _children(pid) for p in with_descendants(child))]


def _children(pid: int) -> list[int]:
    """The process's children; none where the kernel does not say."""
    children: list[int] = []
    tasks = f"{_PROC}/{pid}/task"
    try:
        for thread in os.listdir(tasks):  # noqa: PTH208 - see _read
            with suppress(OSError):  # that thread has just ended
                children += map(int, _read(f"{tasks}/{thread}/children").split())
    except OSError:
        return []
    return children


def _read(file: str) -> bytes:
    """A short file, twice as fast as pathlib does: the monitor reads many a second."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        return os.read(descriptor, 4096)
    finally:
        os.close(descriptor)
