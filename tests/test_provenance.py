"""Machine, versions and commit: true, quick, and nothing that names a person."""

import getpass
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pynvml
import pytest

from evalkit import provenance
from evalkit.provenance import (
    commit,
    environment,
    environment_digest,
    machine,
    versions,
)

STAND_IN = {
    "nvmlInit": lambda: None,
    "nvmlShutdown": lambda: None,
    "nvmlSystemGetDriverVersion": lambda: "570.86.15",
    "nvmlDeviceGetCount": lambda: 2,
    "nvmlDeviceGetHandleByIndex": lambda index: index,
    "nvmlDeviceGetUUID": lambda handle: ["GPU-aaaa-1", "GPU-bbbb-2"][handle],
    "nvmlDeviceGetName": lambda handle: ["NVIDIA H200", "NVIDIA A10"][handle],
    "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(
        total=[143_771, 23_028][handle] * 2**20
    ),
}


@pytest.fixture
def two_gpus(monkeypatch):
    """A stand-in for NVML that answers as its reference says; no GPU is here."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name, answer in STAND_IN.items():
        monkeypatch.setattr(pynvml, name, answer)


@pytest.fixture
def no_gpu(monkeypatch):
    def fail():
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)


def test_the_machine_is_described():
    found = machine()
    assert found["cores"] == len(psutil.Process().cpu_affinity())
    assert 0 < found["memory_gib"] <= psutil.virtual_memory().total / 2**30
    assert found["cpu"]
    assert found["python"].endswith(".".join(map(str, sys.version_info[:3])))


def test_the_name_is_short_and_the_same_every_time(no_gpu):
    name = machine()["machine"]
    assert name == machine()["machine"]
    assert len(name) < 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_other_hardware_has_another_name(no_gpu, monkeypatch):
    name = machine()["machine"]
    monkeypatch.setattr(provenance, "_memory_gib", lambda: 1.9)
    other = machine()["machine"]
    assert other != name
    monkeypatch.setattr(provenance, "_memory_gib", lambda: 1.8)
    assert machine()["machine"] == other


@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        ("Intel(R) Xeon(R) Platinum 8488C", "intel-xeon-platinum-8488c-8c"),
        ("Intel(R) Core(TM) i7-8700 CPU @ 3.20GHz", "intel-core-i7-8700-8c"),
        ("AMD Ryzen 7 5800X 8-Core Processor", "amd-ryzen-7-5800x-8c"),
        ("AMD Ryzen 7 7840U w/ Radeon 780M Graphics", "amd-ryzen-7-7840u-8c"),
    ],
)
def test_the_noise_of_processor_names_is_left_out(cpu, name):
    assert provenance._short_name(cpu, 8, []) == name


def test_without_a_gpu_the_reason_is_said(no_gpu):
    found = machine()
    assert found["gpus"] == []
    assert found["driver"] is None
    assert found["nvml_error"] == "NVML Shared Library Not Found"


def test_gpus_are_listed(two_gpus):
    found = machine()
    assert found["gpus"] == [
        {"name": "NVIDIA H200", "memory_mib": 143_771},
        {"name": "NVIDIA A10", "memory_mib": 23_028},
    ]
    assert found["driver"] == "570.86.15"
    assert found["machine"].startswith("2x-nvidia-h200-")


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["NVIDIA A10"]),
        ("1,0", ["NVIDIA A10", "NVIDIA H200"]),
        ("GPU-bb", ["NVIDIA A10"]),
        ("0,7,1", ["NVIDIA H200"]),
        ("", []),
        ("-1", []),
    ],
)
def test_only_gpus_that_cuda_sees_count(two_gpus, monkeypatch, visible, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu["name"] for gpu in machine()["gpus"]] == names


def test_versions_are_those_installed():
    found = versions(["numpy", "no-such-package"])
    assert found == {"numpy": metadata.version("numpy"), "no-such-package": None}


def texts(value):
    """Every text in a nested value, keys too."""
    if isinstance(value, dict):
        return [t for pair in value.items() for item in pair for t in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


def test_nothing_names_the_host_the_user_or_a_folder():
    words = {word for text in texts(environment()) for word in text.split()}
    assert not {socket.gethostname(), getpass.getuser()} & words
    for folder in (Path.home(), Path.cwd(), Path(sys.prefix)):
        assert not any(str(folder) in word for word in words)


def test_the_digest_changes_with_the_environment_only():
    found = environment()
    assert environment_digest(found) == environment_digest(environment())
    other = found | {"variables": {"OMP_NUM_THREADS": "1"}}
    assert environment_digest(other) != environment_digest(found)
    backwards = dict(reversed(found.items()))
    assert environment_digest(backwards) == environment_digest(found)


def test_it_is_quick_and_leaves_torch_alone():
    code = "import sys, time; from evalkit.provenance import environment; "
    code += "s = time.process_time(); environment(); print(time.process_time() - s); "
    code += "assert 'torch' not in sys.modules"
    command = [sys.executable, "-c", code]
    start = time.perf_counter()
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert time.perf_counter() - start < 5
    assert float(told) < 0.5


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A repository with one commit, as the clone."""

    def git(*arguments):
        who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
        command = ["git", *who, "-C", str(tmp_path), *arguments]
        return subprocess.run(
            command, check=True, capture_output=True, text=True
        ).stdout

    git("init")
    (tmp_path / "file").write_text("one", encoding="utf-8")
    git("add", "file")
    git("commit", "-m", "one")
    monkeypatch.setattr(provenance, "CLONE", tmp_path.resolve())
    return SimpleNamespace(path=tmp_path, head=git("rev-parse", "HEAD").strip())


def test_the_commit_is_that_of_the_clone(clone):
    assert commit() == {"commit": clone.head, "dirty": False}


def test_a_changed_or_new_file_makes_the_clone_dirty(clone):
    (clone.path / "new").write_text("two", encoding="utf-8")
    assert commit() == {"commit": clone.head, "dirty": True}


def test_outside_a_clone_the_commit_is_unknown(clone, monkeypatch):
    unknown = {"commit": None, "dirty": None}
    inside = clone.path / "copy"
    inside.mkdir()
    monkeypatch.setattr(provenance, "CLONE", inside.resolve())
    assert commit() == unknown
    monkeypatch.setattr(provenance, "CLONE", None)
    assert commit() == unknown


def test_without_git_the_commit_is_unknown(clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert commit() == {"commit": None, "dirty": None}
