"""The monitor: planted figures are found, its death is survived, it leaves nothing.

No GPU is needed: the monitor's process is given a stand-in for the driver, in
``standin/``. Tests marked ``gpu`` use a real one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from evalkit.profiling import monitor
from evalkit.profiling.monitor import UNKNOWN, Monitor
from evalkit.tables import RECORDS

QUIET = {
    "count": 1,
    "used_mib": 1000,
    "processes": {},
    "busy": 0,
    "power_mw": 70_000,
    "counted_w": 200,
    "temperature_c": 40,
    "clock_mhz": 1980,
    "throttle_bits": 0,
}


@pytest.fixture
def driver(monkeypatch, tmp_path):
    """``driver(name=answer, ...)`` changes what the stand-in's one GPU says."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "standin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    file = tmp_path / "nvml.json"
    monkeypatch.setenv("EVALKIT_TEST_NVML", str(file))

    def change(**answers):
        temporary = tmp_path / "nvml.new"
        temporary.write_text(json.dumps(QUIET | answers), encoding="utf-8")
        temporary.replace(file)

    change()
    return change


def summary_of(watch, seconds=0.3):
    begin = time.perf_counter()
    time.sleep(seconds)
    return watch.summary(begin, time.perf_counter())


def test_the_names_are_columns_of_records():
    assert UNKNOWN.keys() <= RECORDS.columns.keys()


def test_a_block_of_memory_is_found_while_it_is_there():
    with Monitor() as watch:
        before = summary_of(watch)["peak_rss_mib"]
        begin = time.perf_counter()
        block = np.ones(256 * 2**20, np.uint8)
        time.sleep(0.2)
        del block
        during = watch.summary(begin, time.perf_counter())["peak_rss_mib"]
        after = summary_of(watch)["peak_rss_mib"]
    assert during - before == pytest.approx(256, rel=0.01)
    assert after == pytest.approx(before, abs=3)
    assert watch.summary(begin, begin + 0.1)["peak_rss_mib"] > before  # and later


def test_children_are_counted_and_the_monitor_is_not():
    program = "x = b'x' * (200 * 2**20); print(1, flush=True); input()"
    pipe = subprocess.PIPE
    me = psutil.Process()  # other tests may have left servers of workers
    mine = (me, *me.children(recursive=True))
    own = sum(process.memory_info().rss for process in mine) / 2**20
    with Monitor() as watch:
        alone = summary_of(watch)["peak_rss_mib"]
        command = [sys.executable, "-c", program]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
            child.stdout.readline()
            with_child = summary_of(watch)["peak_rss_mib"]
            child.communicate(b"\n")
    assert alone == pytest.approx(own, abs=5)
    assert 200 <= with_child - alone < 260


def test_samples_are_apart_as_asked(driver):
    with Monitor(device_index=0) as watch:
        time.sleep(1)
    samples = watch.samples()
    passed = samples["time_s"].diff().dropna()
    assert passed.min() >= 0.015
    assert passed.median() < 0.06
    asked = samples.loc[samples["power_w"].notna(), "time_s"].diff().dropna()
    assert asked.min() >= 0.05
    assert asked.median() < 0.2
    assert set(samples["power_w"].dropna()) == {70}


def test_without_a_gpu_its_columns_are_unknown():
    with Monitor() as watch:
        found = summary_of(watch)
    assert found.pop("peak_rss_mib") > 10
    assert found.pop("notes") == []
    assert set(found.values()) == {None}


def test_a_gpu_is_measured_above_what_it_was_before(driver):
    with Monitor(device_index=0) as watch:
        driver(
            used_mib=1700,
            processes={os.getpid(): 640},
            busy=62,
            temperature_c=71,
            throttle_bits=0x44,
            clock_mhz=1500,
        )
        time.sleep(0.2)
        found = summary_of(watch, 1)
        driver()
    assert found["nvml_device_delta_mib"] == 700
    assert found["nvml_process_peak_mib"] == 640
    assert found["gpu_busy_percent"] == 62
    assert found["gpu_memory_busy_percent"] == 31
    assert found["mean_power_w"] == pytest.approx(200, rel=0.3)  # not the sensor's 70
    assert found["energy_j"] == pytest.approx(200, rel=0.3)
    assert found["temperature_c"] == 71
    assert found["sm_clock_mhz"] == 1500
    assert found["throttle_reasons"] == (
        "software power cap; hardware thermal slowdown"
    )
    assert found["notes"] == []


def test_a_run_between_two_questions_to_the_driver_has_all_figures(driver):
    """A run of a millisecond: none is null but what NVML does not say."""
    driver(busy=62, processes={os.getpid(): 640})
    with Monitor(device_index=0) as watch:
        time.sleep(0.2)
        begin = time.perf_counter()
        end = begin + 0.001
        found = watch.summary(begin, end)
    assert None not in found.values()
    assert found["gpu_busy_percent"] == 62
    # not the sensor's 70; a busy machine notes the time a little late
    assert found["mean_power_w"] == pytest.approx(200, rel=0.3)
    assert found["energy_j"] == pytest.approx(0.001 * found["mean_power_w"])
    assert found["throttle_reasons"] == "none"


SHARES = {"in its first quarter": (0, 0.3), "in its middle": (0.5, 0.8), "all": (0, 2)}
MOMENTS_S = np.arange(-0.5, 1.6, 0.02)
WINDOW_S = 1 / 6
"""Of NVML's utilisation on an H100, says NVIDIA's reference."""


def planted(watch, monkeypatch, **columns):
    """Samples at `MOMENTS_S`, of which one in `EVERY` has those columns."""
    samples = np.full(len(MOMENTS_S), np.nan, monitor.RECORD)
    samples["time_s"] = MOMENTS_S
    for name, values in columns.items():
        samples[name][:: monitor.EVERY] = values[:: monitor.EVERY]
    monkeypatch.setattr(watch, "_n_samples", lambda: len(samples))
    monkeypatch.setattr(watch, "_read", lambda first, stop: samples[first:stop])


@pytest.mark.parametrize("share", SHARES)
def test_the_busy_share_of_a_run_of_a_second_is_that_of_all_of_it(share, monkeypatch):
    """A GPU's answers, computed: what NVML says of a moment is of its last 1/6 s."""
    start, stop = SHARES[share]

    def worked_s(until):
        return np.clip(until, start, stop) - start

    said = 100 * (worked_s(MOMENTS_S) - worked_s(MOMENTS_S - WINDOW_S)) / WINDOW_S
    watch = Monitor(device_index=0)
    planted(watch, monkeypatch, gpu_busy_percent=said, energy_j=50 * MOMENTS_S)
    found = watch.summary(0.0, 1.2)
    true = 100 * (min(stop, 1.2) - start) / 1.2
    assert found["gpu_busy_percent"] == pytest.approx(true, abs=8 if stop > 1 else 2)
    assert found["mean_power_w"] == pytest.approx(50)
    assert found["energy_j"] == pytest.approx(60)


def test_a_short_run_has_the_utilisation_and_power_of_its_series(monkeypatch):
    """Of runs of 0.3 s, 0.1 s apart; the GPU works for the first half of each."""
    runs = [(0.4 * n, 0.4 * n + 0.3) for n in range(3)]
    fine_s = np.arange(-1, 2, 0.001)
    works = np.any([(b <= fine_s) & (fine_s < b + 0.15) for b, _ in runs], axis=0)
    in_runs = np.any([(b <= fine_s) & (fine_s < e) for b, e in runs], axis=0)
    worked_s = np.cumsum(works) / 1000
    used_j = np.cumsum(np.where(in_runs, 200, 50)) / 1000
    before, now = (np.interp(MOMENTS_S - d, fine_s, worked_s) for d in (WINDOW_S, 0))
    watch = Monitor(device_index=0)
    planted(
        watch,
        monkeypatch,
        gpu_busy_percent=100 * (now - before) / WINDOW_S,
        energy_j=np.interp(MOMENTS_S, fine_s, used_j),
    )
    found = watch.summary(*runs[-1], runs[:-1])
    assert found["gpu_busy_percent"] == pytest.approx(50, abs=5)
    assert found["mean_power_w"] == pytest.approx(200, rel=0.1)  # with gaps 173
    assert found["energy_j"] == pytest.approx(found["mean_power_w"] * 0.3)


def test_a_gpu_without_a_counter_has_a_power_and_no_energy(driver):
    driver(counted_w=None)
    with Monitor(device_index=0) as watch:
        found = summary_of(watch)
    assert found["mean_power_w"] == 70
    assert found["energy_j"] is None


def test_what_a_driver_does_not_support_is_unknown_and_not_zero(driver):
    driver(**{name: None for name in QUIET if name not in ("count", "used_mib")})
    with Monitor(device_index=0) as watch:
        found = summary_of(watch)
    assert found.pop("nvml_device_delta_mib") == 0
    assert found.pop("peak_rss_mib") > 10
    assert found.pop("notes") == []
    assert set(found.values()) == {None}


def test_others_on_the_gpu_are_marked(driver):
    driver(processes={4_000_001: 900, 4_000_002: 30})
    with Monitor(device_index=0) as watch:
        assert summary_of(watch)["notes"] == ["other processes were on the GPU: 2"]


@pytest.fixture
def _has_context(monkeypatch):
    """As if torch had used CUDA in this process."""
    monkeypatch.setattr(monitor, "cuda_reserved_mib", lambda: 512.0)


@pytest.mark.usefixtures("_has_context")
def test_a_container_that_hides_our_process_is_noted(driver):
    """NVML lists none, or only others, though this process has a context."""
    with Monitor(device_index=0) as watch:
        assert summary_of(watch)["notes"] == [monitor.HIDDEN_PROCESSES]
    driver(processes={4_000_001: 900})
    with Monitor(device_index=0) as watch:
        assert summary_of(watch)["notes"] == [
            "other processes were on the GPU: 1",
            monitor.HIDDEN_PROCESSES,
        ]


@pytest.mark.usefixtures("_has_context")
def test_a_process_that_is_listed_is_not_said_to_be_hidden(driver):
    with Monitor(device_index=0) as watch:
        driver(processes={os.getpid(): 640})
        time.sleep(0.1)
        assert summary_of(watch)["notes"] == []


def test_processes_that_nobody_can_tell_apart_are_noted(monkeypatch):
    """What `own_processes` leaves unknown in a container: two that are new."""
    watch = Monitor(device_index=0)
    planted(watch, monkeypatch, n_processes=np.full(len(MOMENTS_S), 2.0))
    assert watch.summary(0.0, 1.0)["notes"] == [monitor.HIDDEN_PROCESSES]


def test_processes_that_cannot_be_told_apart_for_a_while_are_noted(monkeypatch):
    """Another joined in the middle: before, ours was the one that was new."""
    watch = Monitor(device_index=0)
    n = len(MOMENTS_S)
    n_foreign = np.where(np.arange(n) < n // 2, 0.0, np.nan)
    planted(watch, monkeypatch, n_processes=np.full(n, 1.0), n_foreign=n_foreign)
    assert watch.summary(0.0, 1.0)["notes"] == [monitor.HIDDEN_PROCESSES]


def test_a_lost_gpu_ends_the_monitor_and_not_the_work(driver):
    with Monitor(device_index=0) as watch:
        driver(is_lost=True)
        found = summary_of(watch)
    (note,) = found.pop("notes")
    assert "the GPU does not answer" in note
    assert found == UNKNOWN


def test_a_monitor_that_is_killed_leaves_its_columns_unknown():
    with Monitor() as watch:
        good = summary_of(watch)
        watch._process.kill()
        found = summary_of(watch)
    (note,) = found.pop("notes")
    assert note == "monitor: ended (exit code -9), what it measures is unknown"
    assert found == UNKNOWN
    assert good["peak_rss_mib"] > 10


@pytest.mark.slow
def test_a_monitor_that_hangs_is_waited_for_for_two_seconds():
    with Monitor() as watch:
        watch._process.send_signal(signal.SIGSTOP)
        start = time.perf_counter()
        found = summary_of(watch)
        assert time.perf_counter() - start < 10
        assert found["peak_rss_mib"] is None
        assert "did not answer" in found["notes"][0]


def test_a_gap_is_noted():
    with Monitor() as watch:
        begin = time.perf_counter()
        watch._process.send_signal(signal.SIGSTOP)
        time.sleep(0.4)
        watch._process.send_signal(signal.SIGCONT)
        time.sleep(0.1)
        (note,) = watch.summary(begin, time.perf_counter())["notes"]
    assert "without a sample" in note
    assert float(note.split()[1]) >= 0.3


def test_a_monitor_that_cannot_start_is_a_note(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Monitor() as watch:
        (note,) = summary_of(watch)["notes"]
    assert "ended (exit code 1)" in note


def test_it_ends_with_the_block_and_with_its_parent():
    program = (
        "import os, time; from evalkit.profiling.monitor import Monitor\n"
        "with Monitor() as watch:\n"
        "    print(watch._process.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.kill()
    end = time.monotonic() + 5
    while psutil.pid_exists(pid):
        assert time.monotonic() < end
        time.sleep(0.01)
    with Monitor() as watch:
        pass
    assert not psutil.pid_exists(watch._process.pid)


@pytest.mark.gpu
def test_memory_of_a_real_gpu_is_found():
    import torch

    with Monitor(device_index=0) as watch:
        torch.empty(1, device="cuda")  # no kernel, which would be loaded, too
        context = summary_of(watch)["nvml_device_delta_mib"]
        block = torch.empty(512 * 2**20, dtype=torch.uint8, device="cuda")
        torch.cuda.synchronize()
        found = summary_of(watch)["nvml_device_delta_mib"]
        del block
    assert found - context == pytest.approx(512, rel=0.01)
