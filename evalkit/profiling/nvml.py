"""NVIDIA's management library: only this module uses it; null where it is silent."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pynvml

from evalkit.errors import EvalkitError
from evalkit.profiling.memory import MIB, with_descendants
from evalkit.provenance import visible_gpus

NAMESPACE = Path("/proc/self/ns/pid")
"""A link that tells whether process ids are the host's; see `own_processes`."""

CUDA_FILE = Path("/dev/nvidia-uvm")
"""The file that a process with a CUDA context holds open; NVML opens others."""

LEAST_CONTEXT_MIB = 100.0
"""Less than a CUDA context takes on any GPU, and more than the driver keeps of each
process without listing it (9 MiB on an H200)."""

Processes = Mapping[int, float | None]
"""MiB of device memory by process id; None where NVML does not say how much."""

_SILENT = (
    pynvml.NVMLError_NotSupported,
    pynvml.NVMLError_NoPermission,
    pynvml.NVMLError_FunctionNotFound,  # an older driver
    pynvml.NVMLError_ArgumentVersionMismatch,
    pynvml.NVMLError_NotFound,  # no sample within the window
    pynvml.NVMLError_NoData,
    pynvml.NVMLError_NotReady,
    pynvml.NVMLError_Timeout,
    pynvml.NVMLError_Unknown,  # what WSL answers for some queries
)
_LOST = (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_ResetRequired)

_REASONS = {
    pynvml.nvmlClocksEventReasonGpuIdle: "gpu idle",
    pynvml.nvmlClocksEventReasonApplicationsClocksSetting: "application clocks setting",
    pynvml.nvmlClocksEventReasonSwPowerCap: "software power cap",
    pynvml.nvmlClocksEventReasonHwSlowdown: "hardware slowdown",
    pynvml.nvmlClocksEventReasonSyncBoost: "sync boost",
    pynvml.nvmlClocksEventReasonSwThermalSlowdown: "software thermal slowdown",
    pynvml.nvmlClocksEventReasonHwThermalSlowdown: "hardware thermal slowdown",
    pynvml.nvmlClocksEventReasonHwPowerBrakeSlowdown: "hardware power brake slowdown",
    pynvml.nvmlClocksEventReasonDisplayClockSetting: "display clock setting",
}


class GpuBusyError(EvalkitError):
    """Other processes use the GPU: its times and memory would not be ours alone."""


class GpuLostError(EvalkitError):
    """The GPU fell off the bus or waits for a reset: no further figure is true."""


class Memory(NamedTuple):
    """A device's memory, contexts included, in MiB; None where unknown.

    Attributes
    ----------
    total_mib, used_mib
        Where `reserved_mib` is None (the driver knows version 1 of the query only),
        the driver's own part is in `used_mib`.
    reserved_mib
        What the driver and firmware keep.

    """

    total_mib: float | None = None
    used_mib: float | None = None
    reserved_mib: float | None = None


class Device:
    """One GPU; see `open_device`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def meters(self) -> dict[str, float | None]:
        """Everything but memory, as of now; None is unknown, never 0.

        Returns
        -------
        dict
            ``gpu_busy_percent``: share of the last 1/6 s to 1 s in which any kernel
            ran, not a share of the GPU's arithmetic. ``gpu_memory_busy_percent``: in
            which device memory was read or written. ``power_w``: averaged over a
            second, on A100 (GA100) and older devices of the moment. ``energy_j``:
            counted since the driver was loaded. ``sm_clock_mhz``, ``temperature_c``.
            ``throttle_bits``: why the clocks are not at their highest, for
            `throttle_reasons`; 0 when they are.

        Raises
        ------
        GpuLostError
            The device does not answer any more.

        """
        busy = self._ask(pynvml.nvmlDeviceGetUtilizationRates)
        power_mw = self._ask(pynvml.nvmlDeviceGetPowerUsage)
        energy_mj = self._ask(pynvml.nvmlDeviceGetTotalEnergyConsumption)
        return {
            "gpu_busy_percent": None if busy is None else busy.gpu,
            "gpu_memory_busy_percent": None if busy is None else busy.memory,
            "power_w": None if power_mw is None else power_mw / 1000,
            "energy_j": None if energy_mj is None else energy_mj / 1000,
            "sm_clock_mhz": self._ask(
                pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM
            ),
            "temperature_c": self._first(
                pynvml.nvmlDeviceGetTemperatureV,
                pynvml.nvmlDeviceGetTemperature,  # of older drivers
                argument=(pynvml.NVML_TEMPERATURE_GPU,),
            ),
            "throttle_bits": self._first(
                pynvml.nvmlDeviceGetCurrentClocksEventReasons,
                pynvml.nvmlDeviceGetCurrentClocksThrottleReasons,  # of older drivers
            ),
        }

    def processes(self) -> Processes | None:
        """Processes with a context on the device; None where NVML lists none."""
        queries = (
            pynvml.nvmlDeviceGetComputeRunningProcesses,
            pynvml.nvmlDeviceGetGraphicsRunningProcesses,
        )
        answers = [self._ask(query) for query in queries]
        if answers == [None, None]:
            return None
        sizes_mib: dict[int, float | None] = {}
        for process in (p for answer in answers for p in answer or ()):
            size = process.usedGpuMemory
            size_mib = sizes_mib.get(process.pid)
            if size is not None:  # listed twice: as compute and as graphics
                size_mib = max(size_mib or 0.0, size / MIB)
            sizes_mib[process.pid] = size_mib
        return sizes_mib

    def memory(self) -> Memory:
        """The device's memory now."""
        sizes = self._ask(pynvml.nvmlDeviceGetMemoryInfo, version=pynvml.nvmlMemory_v2)
        if sizes is not None:
            return Memory(sizes.total / MIB, sizes.used / MIB, sizes.reserved / MIB)
        sizes = self._ask(pynvml.nvmlDeviceGetMemoryInfo)
        return Memory(sizes.total / MIB, sizes.used / MIB) if sizes else Memory()

    def _first(
        self, *queries: Callable[..., Any], argument: tuple[Any, ...] = ()
    ) -> Any:
        answers = (self._ask(query, *argument) for query in queries)
        return next((answer for answer in answers if answer is not None), None)

    def _ask(self, query: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        try:
            return query(self._handle, *arguments, **options)
        except _LOST as error:
            raise GpuLostError(
                f"the GPU does not answer ({error}): see the kernel's log for Xid "
                "errors; the machine may need a restart"
            ) from error
        except _SILENT:
            return None


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """The names of the reasons in `Device.meters`."""
    ones = [1 << n for n in range(64) if bits >> n & 1]
    return tuple(_REASONS.get(bit, f"reason {bit:#x}") for bit in ones)


def device_index(device: str) -> int | None:
    """The number in a setting such as ``cuda:1`` (``cuda`` is 0); None for ``cpu``."""
    return None if device == "cpu" else int(device.partition(":")[2] or 0)


@contextmanager
def open_device(index: int = 0) -> Iterator[Device | None]:
    """Open one GPU for readings.

    Parameters
    ----------
    index
        Its place among those that ``CUDA_VISIBLE_DEVICES`` leaves, by bus (torch's
        order where the GPUs are alike or ``CUDA_DEVICE_ORDER=PCI_BUS_ID``).

    Yields
    ------
    Device or None
        None without a driver or that GPU.

    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # which one: `evalkit.provenance.machine`
        yield None
        return
    try:
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        uuids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
        visible = visible_gpus(uuids)
        yield Device(handles[visible[index]]) if index < len(visible) else None
    finally:
        pynvml.nvmlShutdown()


def own_processes(
    before: Processes | None,
    after: Processes | None,
    pids: Collection[int],
    grown_mib: float | None = None,
    namespace: Path = NAMESPACE,
) -> frozenset[int] | None:
    """NVML's ids of our processes; None when they cannot be told from others'.

    Parameters
    ----------
    before, after
        The device's processes before ours used it, and now.
    pids
        Ours, as this system numbers them.
    grown_mib
        How much more of the device's memory is used now than before; None is unknown.
    namespace
        Says whether this system numbers processes as the host does. Where it does
        not (a container), a number of NVML that is equal to one of ours means
        nothing, and ours is the one that is new, if one is, where the memory that is
        new is its own: else ours may be hidden.

    """
    if after is None:
        return None
    if _numbers_as_host(namespace):
        return frozenset(after.keys() & set(pids))
    if before is None:
        return None
    new = frozenset(after.keys() - before.keys())
    hidden_mib = (grown_mib or 0.0) - (memory_of(after, new) or 0.0)
    return new if len(new) <= 1 and hidden_mib < LEAST_CONTEXT_MIB else None


def memory_of(
    processes: Processes | None, pids: Collection[int] | None
) -> float | None:
    """Memory of some processes in MiB; None if one of them is not listed, or silent."""
    if processes is None or not pids:
        return None
    sizes = [processes.get(pid) for pid in pids]
    measured = [size for size in sizes if size is not None]
    return sum(measured) if len(measured) == len(sizes) else None


def foreign_processes(device: int, namespace: Path = NAMESPACE) -> Processes | None:
    """Processes with a context on a GPU that neither are this one nor started by it.

    Parameters
    ----------
    device
        See `open_device`.
    namespace
        As in `own_processes`: in a container every process counts as foreign; see
        `check_alone`.

    Returns
    -------
    Processes or None
        None when there is no such GPU, or NVML does not list its processes.

    """
    with open_device(device) as opened:
        processes = opened.processes() if opened else None
    if processes is None or not _numbers_as_host(namespace):
        return processes
    ours = with_descendants(os.getpid())
    return {pid: mib for pid, mib in processes.items() if pid not in ours}


def check_alone(
    device: int | None,
    *,
    allow_busy: bool = False,
    namespace: Path = NAMESPACE,
    proc: Path = Path("/proc"),
) -> list[str]:
    """Refuse to time anything on a GPU that others use.

    In a container, where NVML's numbers are not this system's, as many processes as
    have a CUDA context here are taken for ours, and a note says so.

    Parameters
    ----------
    device
        See `open_device`; None for no GPU.
    allow_busy
        Return a note instead.
    namespace
        As in `own_processes`.
    proc
        The kernel's folder of this system's processes.

    Raises
    ------
    GpuBusyError
        Others have a context on it.

    """
    foreign = None if device is None else foreign_processes(device)
    if not foreign:
        return []
    n_ours = 0 if _numbers_as_host(namespace) else _n_contexts(proc)
    if len(foreign) <= n_ours:
        return [
            f"{len(foreign)} processes are on GPU {device}, and {n_ours} of ours may "
            "be: in this container they cannot be told apart, and are taken for ours"
        ]
    text = f"other processes are on GPU {device}: {sorted(foreign)} (NVML's numbers)"
    if not allow_busy:
        raise GpuBusyError(
            f"{text}; its times and memory would not be ours alone. End them, or "
            "measure with allow_busy=True, which marks the records"
        )
    return [text]


def _n_contexts(proc: Path) -> int:
    """How many have a CUDA context: this process, or one that it started."""
    n_contexts = 0
    for pid in with_descendants(os.getpid()):
        files = set()
        with suppress(OSError):  # it has ended
            for link in (proc / str(pid) / "fd").iterdir():
                with suppress(OSError):  # closed since: the folder itself, for one
                    files.add(link.readlink())
        n_contexts += CUDA_FILE in files
    return n_contexts


def _numbers_as_host(namespace: Path) -> bool:
    """Whether process ids are the host's; the inode is PROC_PID_INIT_INO of Linux."""
    try:
        return namespace.readlink().name == "pid:[4026531836]"
    except OSError:  # no such namespaces here
        return True
