"""NVML's behaviour, by a stand-in: what is unknown is None, never 0.

No GPU is needed: the functions of `pynvml` that ask the driver are replaced by ones
that answer as NVIDIA's NVML API reference says drivers do (values invented, errors of
the kinds documented for each call). The test marked ``gpu`` asks a real one.
"""

import os
from types import SimpleNamespace

import pynvml
import pytest

from evalkit.profiling import nvml
from evalkit.profiling.nvml import (
    GpuBusyError,
    GpuLostError,
    Memory,
    check_alone,
    device_index,
    foreign_processes,
    memory_of,
    open_device,
    own_processes,
    throttle_reasons,
)

MIB = 2**20


def process(pid, mib):
    size = None if mib is None else mib * MIB
    return SimpleNamespace(pid=pid, usedGpuMemory=size)


class Driver:
    """The stand-in for a driver: answers by name; an error code is raised."""

    def __init__(self, monkeypatch):
        self.is_open = 0
        self.answers = {
            "nvmlDeviceGetCount": 2,
            "nvmlDeviceGetMemoryInfo_v1": SimpleNamespace(
                total=80_000 * MIB, used=1_600 * MIB
            ),
            "nvmlDeviceGetMemoryInfo_v2": SimpleNamespace(
                total=80_000 * MIB, used=1_000 * MIB, reserved=600 * MIB
            ),
            "nvmlDeviceGetComputeRunningProcesses": [process(4242, 900)],
            "nvmlDeviceGetGraphicsRunningProcesses": [],
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=62, memory=31),
            "nvmlDeviceGetPowerUsage": 312_500,
            "nvmlDeviceGetTotalEnergyConsumption": 9_876_543,
            "nvmlDeviceGetTemperatureV": 61,
            "nvmlDeviceGetTemperature": 60,
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetCurrentClocksEventReasons": 0x4 | 0x40,
            "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4,
        }
        for name in self.answers:
            if "MemoryInfo" not in name:
                monkeypatch.setattr(pynvml, name, self.answer(name))
        for name, replacement in {
            "nvmlInit": self.open,
            "nvmlShutdown": self.close,
            "nvmlDeviceGetMemoryInfo": self.memory,
            "nvmlDeviceGetHandleByIndex": lambda index: f"handle {index}",
            "nvmlDeviceGetUUID": lambda handle: f"GPU-{handle}",
        }.items():
            monkeypatch.setattr(pynvml, name, replacement)

    def answer(self, name):
        return lambda *arguments: self.tell(name)

    def tell(self, name):
        answer = self.answers[name]
        if isinstance(answer, type) and issubclass(answer, pynvml.NVMLError):
            raise answer()
        return answer

    def memory(self, handle, version=None):
        return self.tell(f"nvmlDeviceGetMemoryInfo_v{2 if version else 1}")

    def open(self):
        self.is_open += 1

    def close(self):
        self.is_open -= 1


@pytest.fixture
def driver(monkeypatch) -> Driver:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return Driver(monkeypatch)


@pytest.fixture
def read(driver):
    """All that a device says: meters, ``memory`` and ``processes``."""

    def read():
        with open_device() as device:
            told = {"memory": device.memory(), "processes": device.processes()}
            return told | device.meters()

    return read


def test_a_device_is_read(read, driver):
    assert read() == {
        "memory": Memory(80_000, 1_000, 600),
        "processes": {4242: 900},
        "gpu_busy_percent": 62,
        "gpu_memory_busy_percent": 31,
        "power_w": 312.5,
        "energy_j": 9_876.543,
        "temperature_c": 61,
        "sm_clock_mhz": 1980,
        "throttle_bits": 0x44,
    }
    assert throttle_reasons(0x44) == ("software power cap", "hardware thermal slowdown")
    assert driver.is_open == 0


SILENT = [
    pynvml.NVMLError_NotSupported,
    pynvml.NVMLError_NoPermission,
    pynvml.NVMLError_FunctionNotFound,
    pynvml.NVMLError_Unknown,
]


@pytest.mark.parametrize("error", SILENT, ids=lambda error: error.__name__)
def test_what_is_not_supported_is_none_and_never_zero(read, driver, error):
    for name in driver.answers:
        if name != "nvmlDeviceGetCount":
            driver.answers[name] = error
    told = read()
    assert told.pop("memory") == (None, None, None)
    assert set(told.values()) == {None}


def test_the_first_version_of_memory_includes_the_reserve(read, driver):
    driver.answers["nvmlDeviceGetMemoryInfo_v2"] = pynvml.NVMLError_FunctionNotFound
    assert read()["memory"] == (80_000, 1_600, None)


def test_older_drivers_are_asked_in_their_way(read, driver):
    for name in ("TemperatureV", "CurrentClocksEventReasons"):
        driver.answers[f"nvmlDeviceGet{name}"] = pynvml.NVMLError_FunctionNotFound
    assert read()["temperature_c"] == 60
    assert read()["throttle_bits"] == 4


def test_no_throttling_is_told_from_unknown(read, driver):
    driver.answers["nvmlDeviceGetCurrentClocksEventReasons"] = 0
    assert read()["throttle_bits"] == 0
    assert throttle_reasons(0) == ()
    assert throttle_reasons(1 << 40) == ("reason 0x10000000000",)


def test_an_idle_device_is_zero_and_not_unknown(read, driver):
    driver.answers["nvmlDeviceGetUtilizationRates"] = SimpleNamespace(gpu=0, memory=0)
    driver.answers["nvmlDeviceGetComputeRunningProcesses"] = []
    assert read()["gpu_busy_percent"] == 0
    assert read()["processes"] == {}


@pytest.mark.parametrize(
    "error", [pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_ResetRequired]
)
def test_a_lost_gpu_is_an_error_that_says_what_to_do(read, driver, error):
    driver.answers["nvmlDeviceGetPowerUsage"] = error
    with pytest.raises(GpuLostError, match="Xid"):
        read()
    assert driver.is_open == 0


def test_a_mistake_of_ours_is_not_hidden(read, driver):
    driver.answers["nvmlDeviceGetPowerUsage"] = pynvml.NVMLError_Uninitialized
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        read()


def test_a_process_without_a_figure_is_unknown(read, driver):
    """As under WSL and Windows' display model."""
    driver.answers["nvmlDeviceGetComputeRunningProcesses"] = [process(7, None)]
    assert read()["processes"] == {7: None}
    assert memory_of(read()["processes"], {7}) is None


def test_a_process_listed_twice_counts_once(read, driver):
    driver.answers["nvmlDeviceGetGraphicsRunningProcesses"] = [
        process(4242, 900),
        process(99, 30),
    ]
    assert read()["processes"] == {4242: 900, 99: 30}


def test_memory_is_added_over_known_processes_only():
    processes = {1: 10.0, 2: 20.0, 3: None}
    assert memory_of(processes, {1, 2}) == 30
    assert memory_of(processes, {1, 3}) is None
    assert memory_of(processes, {1, 4}) is None
    assert memory_of(processes, frozenset()) is None
    assert memory_of(processes, None) is None
    assert memory_of(None, {1}) is None


@pytest.fixture
def host(tmp_path):
    """The link that tells the first namespace of process ids; see pid_namespaces(7)."""
    link = tmp_path / "host"
    link.symlink_to("pid:[4026531836]")
    return link


@pytest.fixture
def container(tmp_path):
    link = tmp_path / "container"
    link.symlink_to("pid:[4026532198]")
    return link


def test_on_the_host_processes_are_known_by_their_ids(host):
    before, after = {5: 1.0}, {5: 1.0, 12: 2.0, 13: 3.0}
    assert own_processes(before, after, [12, 77], namespace=host) == {12}
    assert own_processes(before, after, [77], namespace=host) == set()


def test_in_a_container_ours_is_the_one_that_is_new(container):
    before, after = {12: 1.0}, {12: 1.0, 30_001: 2.0}
    assert own_processes(before, after, [12], namespace=container) == {30_001}
    assert own_processes(before, before, [12], namespace=container) == set()


def test_two_new_ones_in_a_container_cannot_be_told_apart(container):
    assert own_processes({}, {1: 1.0, 2: 2.0}, [1], namespace=container) is None
    assert own_processes(None, {1: 1.0}, [1], namespace=container) is None


@pytest.mark.parametrize(
    ("grown_mib", "expected"),
    [
        (8009.0, {30_001}),  # the driver's own part beside ours
        (11_000.0, None),  # ours is hidden, and the one that is new another's
        (None, {30_001}),
    ],
)
def test_in_a_container_the_new_one_must_account_for_what_the_gpu_holds(
    container, grown_mib, expected
):
    after = {30_001: 8000.0}
    assert own_processes({}, after, [12], grown_mib, container) == expected


def test_an_unsupported_list_is_unknown(host, container):
    assert own_processes({}, None, [1], namespace=host) is None
    assert own_processes({}, None, [1], namespace=container) is None


@pytest.mark.parametrize(
    ("device", "index"), [("cpu", None), ("cuda", 0), ("cuda:3", 3)]
)
def test_a_setting_names_a_device(device, index):
    assert device_index(device) == index


def test_others_on_the_gpu_are_told_and_ours_are_not(driver, host):
    ours = [process(os.getpid(), 300), process(4242, 900)]
    driver.answers["nvmlDeviceGetComputeRunningProcesses"] = ours
    assert foreign_processes(0, host) == {4242: 900}


def test_in_a_container_everyone_counts_as_another(driver, container):
    driver.answers["nvmlDeviceGetComputeRunningProcesses"] = [process(os.getpid(), 3)]
    assert foreign_processes(0, container) == {os.getpid(): 3}


def test_a_busy_gpu_is_refused_or_marked(driver):
    with pytest.raises(GpuBusyError, match=r"GPU 0: \[4242\].*allow_busy=True"):
        check_alone(0)
    (note,) = check_alone(0, allow_busy=True)
    assert "4242" in note


@pytest.fixture
def proc(tmp_path):
    """The kernel's files of this process, which has NVML and CUDA open."""
    files = tmp_path / "proc" / str(os.getpid()) / "fd"
    files.mkdir(parents=True)
    for number, target in enumerate(("nvidiactl", "nvidia0", "nvidia-uvm")):
        (files / str(number)).symlink_to(f"/dev/{target}")
    return tmp_path / "proc"


def test_our_own_context_is_no_stranger_in_a_container(driver, container, proc):
    """It has another number there: the host's."""
    (note,) = check_alone(0, namespace=container, proc=proc)
    assert note.startswith("1 processes are on GPU 0, and 1 of ours may be")
    two = [process(4242, 900), process(4243, 900)]
    driver.answers["nvmlDeviceGetComputeRunningProcesses"] = two
    with pytest.raises(GpuBusyError, match=r"\[4242, 4243\]"):
        check_alone(0, namespace=container, proc=proc)


def test_what_a_process_holds_open_is_found(driver, container, tmp_path, monkeypatch):
    """In the kernel's own list, with a file in place of CUDA's."""
    file = tmp_path / "nvidia-uvm"
    monkeypatch.setattr(nvml, "CUDA_FILE", file)
    with file.open("wb"):
        assert len(check_alone(0, namespace=container)) == 1
    with pytest.raises(GpuBusyError):
        check_alone(0, namespace=container)


def test_who_uses_no_gpu_takes_nobody_for_its_own(driver, container, host, proc):
    """Not even on a host, where our processes are known by their numbers."""
    with pytest.raises(GpuBusyError, match="4242"):
        check_alone(0, namespace=host, proc=proc)
    (proc / str(os.getpid()) / "fd" / "2").unlink()
    for empty in (proc, proc / "none"):
        with pytest.raises(GpuBusyError, match="4242"):
            check_alone(0, namespace=container, proc=empty)


def test_a_gpu_of_our_own_is_not_refused(driver):
    driver.answers["nvmlDeviceGetComputeRunningProcesses"] = []
    assert check_alone(0) == []


def test_without_a_list_or_a_gpu_nothing_is_refused(driver):
    assert check_alone(None) == []
    assert check_alone(7) == []
    for name in ("Compute", "Graphics"):
        name = f"nvmlDeviceGet{name}RunningProcesses"
        driver.answers[name] = pynvml.NVMLError_NotSupported
    assert foreign_processes(0) is None
    assert check_alone(0) == []


def test_the_first_device_is_the_first_that_cuda_sees(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    with open_device() as device:
        assert device._handle == "handle 1"
    with open_device(1) as device:
        assert device._handle == "handle 0"
    with open_device(2) as device:
        assert device is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with open_device() as device:
        assert device is None


def test_without_a_driver_there_is_no_device(monkeypatch):
    def fail():
        raise pynvml.NVMLError_LibraryNotFound

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    with open_device() as device:
        assert device is None


@pytest.mark.gpu
def test_a_real_device_is_read():
    with open_device() as device:
        if device is None:
            pytest.skip("needs an NVIDIA GPU")
        memory, meters = device.memory(), device.meters()
    # without the driver's own part an idle GPU's may be 0
    assert 0 <= memory.used_mib < memory.total_mib
    assert meters["temperature_c"] is None or 0 < meters["temperature_c"] < 120
