"""NVIDIA's management library: the one room that asks it; null where it is silent."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from evalkit.errors import EvalkitError
from evalkit.provenance import visible_gpus

MIB = 2**20
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


class GpuLostError(EvalkitError):
    """The GPU fell off the bus or waits for a reset: no further figure is true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What NVML says of one device at one moment; None is unknown, never 0.

    Attributes
    ----------
    device_total_mib, device_used_mib
        Of all processes, contexts included. Where `device_reserved_mib` is None (the
        driver knows version 1 of the query only), the driver's own part is in it.
    device_reserved_mib
        What the driver and firmware keep.
    processes
        Those with a context on the device, by NVML's process ids: inside a container
        they are the host's (see `own_processes`).
    gpu_busy_percent
        Share of the last 1/6 s to 1 s in which any kernel ran; not a share of the
        GPU's arithmetic.
    gpu_memory_busy_percent
        Share of the same time in which device memory was read or written.
    power_w
        Averaged over a second, on A100 (GA100) and older devices of the moment.
    energy_j
        Counted since the driver was loaded: differences mean something.
    temperature_c, sm_clock_mhz, memory_clock_mhz
        Of the chip, its processors and its memory.
    throttle_reasons
        Why the clocks are not at their highest; empty when they are.

    """

    device_total_mib: float | None
    device_used_mib: float | None
    device_reserved_mib: float | None
    processes: Processes | None
    gpu_busy_percent: float | None
    gpu_memory_busy_percent: float | None
    power_w: float | None
    energy_j: float | None
    temperature_c: float | None
    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    throttle_reasons: tuple[str, ...] | None


class Device:
    """One GPU; see `open_device`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def read(self) -> Reading:
        """Ask everything once.

        Raises
        ------
        GpuLostError
            The device does not answer any more.

        """
        total, used, reserved = self._memory()
        busy = self._ask(pynvml.nvmlDeviceGetUtilizationRates)
        power_mw = self._ask(pynvml.nvmlDeviceGetPowerUsage)
        energy_mj = self._ask(pynvml.nvmlDeviceGetTotalEnergyConsumption)
        return Reading(
            device_total_mib=total,
            device_used_mib=used,
            device_reserved_mib=reserved,
            processes=self.processes(),
            gpu_busy_percent=None if busy is None else float(busy.gpu),
            gpu_memory_busy_percent=None if busy is None else float(busy.memory),
            power_w=None if power_mw is None else power_mw / 1000,
            energy_j=None if energy_mj is None else energy_mj / 1000,
            temperature_c=self._temperature_c(),
            sm_clock_mhz=self._ask(pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._ask(
                pynvml.nvmlDeviceGetClockInfo, pynvml.NVML_CLOCK_MEM
            ),
            throttle_reasons=self._throttle_reasons(),
        )

    def processes(self) -> Processes | None:
        """Those with a context on the device; None where NVML does not list them."""
        queries = (
            pynvml.nvmlDeviceGetComputeRunningProcesses,
            pynvml.nvmlDeviceGetGraphicsRunningProcesses,
        )
        answers = [self._ask(query) for query in queries]
        if answers == [None, None]:
            return None
        found: dict[int, float | None] = {}
        for process in (p for answer in answers for p in answer or ()):
            size = process.usedGpuMemory
            known = found.get(process.pid)
            if size is not None:  # listed twice: as compute and as graphics
                known = max(known or 0.0, size / MIB)
            found[process.pid] = known
        return found

    def _memory(self) -> tuple[float | None, float | None, float | None]:
        memory = self._ask(pynvml.nvmlDeviceGetMemoryInfo, version=pynvml.nvmlMemory_v2)
        if memory is not None:
            return memory.total / MIB, memory.used / MIB, memory.reserved / MIB
        memory = self._ask(pynvml.nvmlDeviceGetMemoryInfo)
        if memory is None:
            return None, None, None
        return memory.total / MIB, memory.used / MIB, None

    def _temperature_c(self) -> float | None:
        for query in (
            pynvml.nvmlDeviceGetTemperatureV,
            pynvml.nvmlDeviceGetTemperature,  # of older drivers
        ):
            found = self._ask(query, pynvml.NVML_TEMPERATURE_GPU)
            if found is not None:
                return float(found)
        return None

    def _throttle_reasons(self) -> tuple[str, ...] | None:
        for query in (
            pynvml.nvmlDeviceGetCurrentClocksEventReasons,
            pynvml.nvmlDeviceGetCurrentClocksThrottleReasons,  # of older drivers
        ):
            bits = self._ask(query)
            if bits is not None:
                ones = [1 << n for n in range(64) if bits >> n & 1]
                return tuple(_REASONS.get(bit, f"reason {bit:#x}") for bit in ones)
        return None

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


@contextmanager
def open_device(uuid: str | None = None) -> Iterator[Device | None]:
    """Open one GPU for readings.

    Parameters
    ----------
    uuid
        As torch has it (``torch.cuda.get_device_properties(0).uuid``) or as
        ``nvidia-smi -L`` shows it; None for the first that CUDA may see.

    Yields
    ------
    Device or None
        None without a driver, a GPU or one of that name.

    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # which one: `evalkit.provenance.machine`
        yield None
        return
    try:
        handle = _find(uuid)
        yield None if handle is None else Device(handle)
    finally:
        pynvml.nvmlShutdown()


def own_processes(
    before: Processes | None,
    after: Processes | None,
    pids: Collection[int],
    namespace: Path = Path("/proc/self/ns/pid"),
) -> frozenset[int] | None:
    """NVML's ids of our processes; None when they cannot be told from others'.

    Parameters
    ----------
    before, after
        The device's processes before ours used it, and now.
    pids
        Ours, as this system numbers them.
    namespace
        Says whether this system numbers processes as the host does. Where it does
        not (a container), a number of NVML that is equal to one of ours means
        nothing, and ours is the one that is new, if one is.

    """
    if after is None:
        return None
    if _numbers_as_host(namespace):
        return frozenset(after.keys() & set(pids))
    if before is None:
        return None
    new = frozenset(after.keys() - before.keys())
    return new if len(new) <= 1 else None


def memory_of(
    processes: Processes | None, pids: Collection[int] | None
) -> float | None:
    """Memory of some processes in MiB; None if one of them is not listed, or silent."""
    if processes is None or not pids:
        return None
    sizes = [processes.get(pid) for pid in pids]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def _find(uuid: str | None) -> Any | None:
    if uuid is None:
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        seen = visible_gpus([pynvml.nvmlDeviceGetUUID(handle) for handle in handles])
        return handles[seen[0]] if seen else None
    names = (
        [uuid] if "GPU-" in uuid or "MIG-" in uuid else [f"GPU-{uuid}", f"MIG-{uuid}"]
    )
    for name in names:
        try:
            return pynvml.nvmlDeviceGetHandleByUUID(name)
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_InvalidArgument):
            continue
    return None


def _numbers_as_host(namespace: Path) -> bool:
    """Whether process ids are the host's; the inode is PROC_PID_INIT_INO of Linux."""
    try:
        return namespace.readlink().name == "pid:[4026531836]"
    except OSError:  # no such namespaces here
        return True
