"""A cost that is known is measured; memory is taken apart without losing any."""

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evalkit import study
from evalkit.experiments import measure_cost, summarise_cost, summarise_memory
from evalkit.images import write_image
from evalkit.profiling import nvml
from evalkit.profiling.isolation import run_cell
from evalkit.profiling.nvml import GpuBusyError
from evalkit.restorers import load_restorer
from evalkit.study import runner as _compute
from evalkit.study import worker as _worker
from evalkit.study.run_folder import open_run
from evalkit.tables import IMAGES, RECORDS

N_MIB = 512


def runs_of(monkeypatch, folder, device, n_runs):
    """A known cost, measured in a process of its own: one tuple a run."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    path = folder / "source.png"
    write_image(path, np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    told = []
    result = run_cell(
        "measured_cells:known",
        {"path": str(path), "n_mib": N_MIB, "device": device, "n_runs": n_runs},
        on_message=told.append,
        start_method="forkserver" if device == "cpu" else "spawn",
        preload=(),
    )
    assert result.outcome == "ok", result.error
    return list(zip(told[::2], told[1::2], strict=True))


def test_512_mib_and_half_a_second_are_measured(monkeypatch, tmp_path):
    """To 1 % and 5 ms; a sleep may be late on a busy machine, not every time."""
    runs = runs_of(monkeypatch, tmp_path, "cpu", 4)
    off_s, sleeps_s = [], []
    for told, truth in runs:
        found = told["found"]
        stages = found["stages_s"]
        timed = found["wall_time_s"] - stages["decode"] - stages["encode"]
        off_s.append(abs(timed - truth["took_s"]))
        sleeps_s.append(stages["sleep"])
        for peaks in (found, told["sampled"]):
            taken_mib = peaks["peak_rss_mib"] - told["before"]["rss_mib"]
            assert taken_mib == pytest.approx(N_MIB, rel=0.01)
        assert found["notes"][0] == "known"
    assert min(off_s) < 0.005
    assert min(sleeps_s) == pytest.approx(0.5, abs=0.005)


@pytest.mark.gpu
def test_512_mib_of_a_gpu_are_measured(monkeypatch, tmp_path):
    ((told, _),) = runs_of(monkeypatch, tmp_path, "cuda", 1)
    found = told["found"]
    assert found["cuda_allocated_peak_mib"] == pytest.approx(N_MIB, rel=0.01)
    context_mib = told["before"]["nvml_device_delta_mib"]
    taken_mib = found["nvml_device_delta_mib"] - context_mib
    assert taken_mib == pytest.approx(N_MIB, rel=0.01)


@pytest.fixture
def run(tmp_path):
    """A run folder with one picture, ``cup``."""
    run = open_run(str(tmp_path / "run"))
    run.write(IMAGES, IMAGES.frame([{"source": "cup", "sha256": "1", "path": "cup"}]))
    return run


def cost_row(number, **measured):
    return {
        "experiment": "cost",
        "key": "k",
        "run": max(number, 1),
        "machine": "m",
        "phase": "warm" if number else "cold",
        "condition": "c",
        "outcome": "ok",
        "source": "cup",
        "source_sha256": "1",
        **measured,
    }


def test_what_nvml_saw_is_torch_context_and_a_rest(run):
    first = {"start_rss_mib": 300, "loaded_rss_mib": 900, "cuda_context_mib": 450}
    rows = [
        cost_row(
            0,
            **first,
            peak_rss_mib=1500,
            nvml_device_delta_mib=2600,
            cuda_reserved_peak_mib=2000,
        ),
        cost_row(
            1,
            peak_rss_mib=1400,
            nvml_device_delta_mib=2700,
            cuda_reserved_peak_mib=2100,
        ),
    ]
    run.records.append(rows)
    (row,) = summarise_memory(run).to_dict("records")
    assert row["nvml_device_delta_mib"] == 2700
    assert row["cuda_reserved_peak_mib"] == 2100
    assert row["cuda_context_mib"] == 450
    assert row["rest_mib"] == 2700 - 2100 - 450
    assert [row[f"{when}_rss_mib"] for when in ("start", "loaded", "peak")] == [
        300,
        900,
        1500,
    ]
    assert (run.path / "tables" / "memory.md").is_file()


def test_the_cost_has_the_utilisation_and_energy_of_the_whole_series(run):
    """Each warm run tells of the series up to itself: the last one counts."""
    meters = [(5.0, 100.0, 900.0), (90.0, 250.0, 500.0), (40.0, 200.0, 800.0)]
    rows = [
        cost_row(n, gpu_busy_percent=busy, mean_power_w=power, energy_j=energy)
        | {"wall_time_s": seconds, "tf32": True}
        for n, (seconds, (busy, power, energy)) in enumerate(
            zip([9.0, 2.0, 4.0], meters, strict=True)
        )
    ]
    run.records.append(rows)
    (row,) = summarise_cost(run).to_dict("records")
    assert row["gpu_busy_percent"] == 40
    assert row["mean_power_w"] == 200
    assert row["energy_j"] == 200 * 3  # the median run of 2 s and 4 s
    assert row["tf32"] is True


class Meter:
    """Stands in for the monitor of a GPU that loses 100 MiB more with each answer."""

    lost_mib = 400

    def summary(self, begin_s, end_s):
        self.lost_mib += 100
        return {"nvml_device_delta_mib": self.lost_mib}


def test_the_context_is_read_after_the_first_run(monkeypatch):
    """Which loads kernels and libraries. No GPU is needed: the figures are invented."""
    meter, order, emitted = Meter(), [], []

    @contextmanager
    def loaded(_condition, **_):
        yield (
            load_restorer("lanczos"),
            meter,
            {"load_time_s": 1.0},
        )

    def measure(*given):
        order.append(("run", len(given[6])))
        return {"wall_time_s": 1.0, "notes": [], "stages_s": {"encode": 0.1}}

    def reserved():
        order.append("context")
        return 300.0

    monkeypatch.setattr(_worker, "loaded", loaded)
    monkeypatch.setattr(_worker, "measure", measure)
    monkeypatch.setattr(_worker, "cuda_reserved_mib", reserved)
    told = dict.fromkeys(("condition", "source", "path", "kind"), "x")
    _worker.series_cell(emitted.append, **told, target="x", n_warm=2)
    # each with the warm runs before it
    assert order == [("run", 0), "context", ("run", 0), ("run", 1)]
    assert [record.get("cuda_context_mib") for record in emitted] == [200, None, None]


def test_without_a_gpu_or_a_monitor_there_is_no_context(monkeypatch):
    assert _worker.context_mib(Meter()) is None
    monkeypatch.setattr(_worker, "cuda_reserved_mib", lambda: 300.0)
    assert _worker.context_mib(None) is None
    assert _worker.context_mib(Meter()) == 200


def test_what_was_not_measured_leaves_no_rest(run):
    run.records.append([cost_row(0, start_rss_mib=300, peak_rss_mib=1500)])
    (row,) = summarise_memory(run).to_dict("records")
    assert row["peak_rss_mib"] == 1500
    for name in ("rest_mib", "nvml_device_delta_mib", "cuda_context_mib"):
        assert pd.isna(row[name]), name


def test_without_a_cost_run_the_table_is_empty(run):
    assert summarise_memory(run).empty
    assert RECORDS.columns.keys() >= {"sm_clock_mhz", "cuda_context_mib"}


def test_nothing_is_timed_beside_others_unless_it_is_allowed(run, album, monkeypatch):
    """Pictures may be made there: only their cost would be wrong."""
    monkeypatch.setattr(_compute, "device_index", lambda _device: 0)
    monkeypatch.setattr(nvml, "foreign_processes", lambda _device: {4_000_001: 9})
    images, told = run.images(str(album)), []
    assert len(study.restore(run, "lanczos", images, say=told.append)) == 2
    with pytest.raises(GpuBusyError, match="4000001"):
        measure_cost(run, "lanczos", images, repeats=1, say=told.append)
    busy = replace(run, allow_busy=True)
    found = measure_cost(busy, "lanczos", images, repeats=1, say=told.append)
    assert list(found["outcome"]) == ["ok", "ok"]
    assert any("4000001" in line for line in told)
