"""Memory of a process: blocks of a known size are found to one per cent."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from evalkit.profiling import memory
from evalkit.profiling.isolation import run_cell
from evalkit.profiling.memory import (
    MemoryPeaks,
    cuda_reserved_mib,
    peak_rss_mib,
    rss_mib,
    with_descendants,
)
from evalkit.tables import RECORDS


def wait_until(is_true):
    end = time.monotonic() + 10
    while not is_true():
        assert time.monotonic() < end, "still not so"
        time.sleep(0.01)


@pytest.fixture
def blocks(monkeypatch) -> list[dict]:
    """The peaks around nothing, 256 MiB and nothing, in a process of their own."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    found = []
    run_cell(
        "isolation_cells:peaks", {"n_mib": 256}, on_message=found.append, preload=()
    )
    return found


def test_a_block_is_in_the_peak_of_its_run_only(blocks):
    before, during, after = (m["peak_rss_mib"] - m["before"] for m in blocks)
    assert before == pytest.approx(0, abs=1)
    assert during == pytest.approx(256, rel=0.01)
    assert after == pytest.approx(0, abs=1)


def test_the_whole_peak_outlives_a_reset(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    result = run_cell("isolation_cells:peaks", {"n_mib": 256}, preload=())
    assert result.peak_rss_mib > 256


def test_the_names_are_columns_of_records():
    assert MemoryPeaks().read().keys() <= RECORDS.columns.keys()


def test_without_cuda_its_memory_is_unknown_and_not_zero():
    found = MemoryPeaks().read()
    assert found["peak_rss_mib"] >= rss_mib() - 1
    assert found["cuda_allocated_peak_mib"] is None
    assert found["cuda_reserved_peak_mib"] is None
    assert cuda_reserved_mib() is None


class StandInTorch:
    """What MemoryPeaks asks of torch.cuda, for two devices; no GPU is here."""

    def __init__(self):
        self.reset = []
        self.cuda = SimpleNamespace(
            is_initialized=lambda: True,
            device_count=lambda: 2,
            reset_peak_memory_stats=self.reset.append,
            max_memory_allocated=lambda device: [3, 5][device] * 2**20,
            max_memory_reserved=lambda device: [4, 8][device] * 2**20,
            memory_reserved=lambda device: [2, 7][device] * 2**20,
        )


def test_torchs_peaks_are_reset_and_added_over_devices(monkeypatch):
    torch = StandInTorch()
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = MemoryPeaks().read()
    assert torch.reset == [0, 1]
    assert found["cuda_allocated_peak_mib"] == 8
    assert found["cuda_reserved_peak_mib"] == 12
    assert cuda_reserved_mib() == 9


@pytest.mark.gpu
def test_a_tensor_on_the_gpu_is_found():
    import torch

    torch.cuda.init()
    peaks = MemoryPeaks()
    tensor = torch.empty(512 * 2**20, dtype=torch.uint8, device="cuda")
    del tensor
    found = peaks.read()
    assert found["cuda_allocated_peak_mib"] == pytest.approx(512, rel=0.01)
    assert found["cuda_reserved_peak_mib"] >= 512


def test_a_process_and_all_that_it_started_are_found():
    """A child and a grandchild."""
    inner = "import subprocess; subprocess.run(['sleep', '600'])"
    with subprocess.Popen([sys.executable, "-c", inner]) as child:
        try:
            wait_until(lambda: len(with_descendants(child.pid)) == 2)
            grandchild = psutil.Process(child.pid).children()[0]
            assert with_descendants(child.pid) == [child.pid, grandchild.pid]
            assert child.pid in with_descendants(os.getpid())
            grandchild.kill()
        finally:
            child.kill()


def test_the_resident_set_of_another_process_is_as_psutil_has_it():
    with subprocess.Popen(["sleep", "600"]) as child:
        other = psutil.Process(child.pid)
        # it grows until it sleeps
        wait_until(lambda: (other.name(), other.status()) == ("sleep", "sleeping"))
        found, expected = rss_mib(child.pid), other.memory_info().rss / 2**20
        child.kill()
    assert found == pytest.approx(expected, rel=0.1)


def test_a_process_that_is_gone_has_no_size():
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert rss_mib(child.pid) is None  # while it waits to be asked how it ended
    child.wait()
    assert rss_mib(child.pid) is None
    assert memory.process_peak_rss_mib(child.pid) is None
    assert with_descendants(child.pid) == [child.pid]


def test_without_proc_the_peak_is_the_resource_modules(monkeypatch, tmp_path):
    by_kernel = peak_rss_mib()
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert rss_mib() is None
    assert memory.reset_peak_rss() is False
    assert peak_rss_mib() >= by_kernel - 1
