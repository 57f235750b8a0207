"""The benchmarks run, and those of a GPU say without one that they measured nothing."""

import subprocess
import sys

import gpen
import gpu
import pytest

from evalkit.errors import OutOfMemoryError
from evalkit.paths import SHIPPED

ON_GPU = gpu.Form(device="cuda:0", precision="fp16")


@pytest.mark.slow
def test_a_gpus_benchmarks_run_in_small_on_a_cpu_and_measure_no_target():
    file = SHIPPED / "benchmarks" / "gpu.py"
    text = subprocess.check_output(
        [sys.executable, "-W", "ignore", file, "--runs", "1"], text=True
    )
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    works = [row.split(" | ")[0] for row in rows]
    for work in ("32x24; RealESRGANer", "48x36; RealESRGANer", "batch of 2;"):
        assert any(work in told for told in works)
    for work in ("one face;", "2 faces together;", "batch of 2 pictures;", "G2 / G11"):
        assert any(work in told for told in works)
    assert ">= 2.5x: not measured: no GPU" in text
    assert ">= 5x: not measured: no GPU" in text
    assert "at most 2.5 times as long: not measured: no GPU" in text
    assert not any(word in text for word in ("met", "missed", "MiB,"))


@pytest.mark.parametrize(
    ("time_s", "expected"),
    [(0.17, "takes 2.41 times as long (at most 2.5: met)"), (0.2, "missed)")],
)
def test_the_time_is_held_against_the_operations_at_the_measured_rate(
    time_s, expected, monkeypatch
):
    """28.2 TFLOP at 400 TFLOP/s; a stand-in tells the rate."""
    monkeypatch.setattr(gpu, "operations_per_s", lambda device, precision: 4e14)
    found = gpu.Found(time_s=time_s, network_s=None, peak_mib=None)
    told = gpu.floor_told(ON_GPU, found)
    assert told.startswith("x4plus's 28.2 TFLOP take 0.0705 s at 400 TFLOP/s")
    assert told.endswith(expected)


def test_a_target_is_met_missed_or_not_measured():
    assert gpu.verdict(ON_GPU, 2.5, 2.5) == ">= 2.5x: met"
    assert gpu.verdict(ON_GPU, 2.4, 2.5) == ">= 2.5x: missed"
    assert gpu.verdict(gpu.TINY, 9, 2.5) == ">= 2.5x: not measured: no GPU"


@pytest.mark.slow
def test_the_engine_that_gpens_benchmark_times_can_be_made(monkeypatch):
    monkeypatch.setattr(gpen, "SIDE", 256)
    assert gpen.tuned(0, "cpu", "fp32")(gpen.faces(1, 0)).shape == (1, 3, 256, 256)


def test_a_card_without_room_for_the_large_picture_is_said_and_the_rest_goes_on(
    monkeypatch, capsys
):
    """Stand-ins load nothing and find the same each time, but for the second."""
    found = gpu.Found(time_s=0.1, network_s=0.05, peak_mib=900)
    answers = [found, OutOfMemoryError("out of memory at a picture"), found, found]

    def measured(calls, form, n_runs):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return dict.fromkeys(calls, answer)

    monkeypatch.setattr(gpu, "load", lambda *_: None)
    monkeypatch.setattr(gpu, "measured", measured)
    monkeypatch.setattr(gpu, "operations_per_s", lambda device, precision: 4e14)
    gpu.real_esrgan(ON_GPU, 1)
    first, second, *others = capsys.readouterr().out.splitlines()[:4]
    assert first.endswith("| 1.00x | 900 | 900 | >= 2.5x: missed |")
    assert "2048x1536; RealESRGANer | not measured: out of memory" in second
    assert all("batch of 5" in row for row in others)
