"""A stand-in for a driver, for processes that tests start: no GPU is needed.

It is NVIDIA's module, found behind this one on the path, whose questions are answered
from the JSON file named by ``EVALKIT_TEST_NVML`` (re-read each time; the behaviour is
what NVML's reference says, the values are invented).
"""

import importlib.util
import json
import os
import sys
import time
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace

MIB = 2**20


def _told(name):
    told = json.loads(Path(os.environ["EVALKIT_TEST_NVML"]).read_text(encoding="utf-8"))
    if told.get("is_lost"):
        raise sys.modules["pynvml"].NVMLError_GpuIsLost
    if told[name] is None:
        raise sys.modules["pynvml"].NVMLError_NotSupported
    return told[name]


def _memory(_handle, version=None):
    used = _told("used_mib") * MIB
    return SimpleNamespace(total=80_000 * MIB, used=used, reserved=600 * MIB)


def _processes(_handle):
    return [
        SimpleNamespace(pid=int(pid), usedGpuMemory=mib * MIB)
        for pid, mib in _told("processes").items()
    ]


def _utilisation(_handle):
    return SimpleNamespace(gpu=_told("busy"), memory=_told("busy") // 2)


def _energy_mj(_handle):
    """The counter of a device that takes as many watts as it is told."""
    return _told("counted_w") * time.perf_counter() * 1000


def _stand_in():
    here = Path(__file__).resolve().parent
    behind = [p for p in sys.path if Path(p).resolve() != here]
    spec = PathFinder.find_spec("pynvml", behind)
    real = sys.modules["pynvml"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(real)
    vars(real).update(
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: _told("count"),
        nvmlDeviceGetHandleByIndex=str,
        nvmlDeviceGetUUID=str,
        nvmlDeviceGetMemoryInfo=_memory,
        nvmlDeviceGetComputeRunningProcesses=_processes,
        nvmlDeviceGetGraphicsRunningProcesses=lambda _handle: [],
        nvmlDeviceGetUtilizationRates=_utilisation,
        nvmlDeviceGetPowerUsage=lambda _handle: _told("power_mw"),
        nvmlDeviceGetTotalEnergyConsumption=_energy_mj,
        nvmlDeviceGetTemperatureV=lambda _handle, _sensor: _told("temperature_c"),
        nvmlDeviceGetTemperature=lambda _handle, _sensor: _told("temperature_c"),
        nvmlDeviceGetClockInfo=lambda _handle, _clock: _told("clock_mhz"),
        nvmlDeviceGetCurrentClocksEventReasons=lambda _handle: _told("throttle_bits"),
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda _handle: _told(
            "throttle_bits"
        ),
    )


if __name__ == "pynvml":  # not when pytest looks for doctests
    _stand_in()
