"""The rates of a device."""

import importlib
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from evalkit.profiling import floors
from evalkit.profiling.floors import measure_rates, shortest_s
from evalkit.profiling.isolation import run_cell


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(floors, "LEAST_S", {"cpu": 0.05, "cuda": 0.5})
    monkeypatch.setattr(floors, "COPIED_BYTES", {"cpu": 2**24, "cuda": 2**28})


def test_a_product_and_a_copy_have_plausible_rates():
    found = []
    measure_rates(found.append, device="cpu", precision="fp32")
    (rate,) = found
    assert 1e-4 < rate["matrix_tflop_s"] < 100
    assert 0.1 < rate["copy_gib_s"] < 2000


def test_the_quicker_of_products_and_convolution_counts(monkeypatch):
    from torch.utils.flop_counter import FlopCounterMode

    counts, found = [], []

    def shortest_s(work, _kind):
        with FlopCounterMode(display=False) as counter:
            work()
        counts.append(counter.get_total_flops())
        return 1.0

    monkeypatch.setattr(floors, "shortest_s", shortest_s)
    measure_rates(found.append, device="cpu", precision="fp32")
    *products, convolution, copy = counts
    assert copy == 0 < max(products) < convolution
    assert found[0]["matrix_tflop_s"] == pytest.approx(convolution / 1e12)


class Factors(TorchDispatchMode):
    """Sees the matrices and maps that are multiplied, as sets of values."""

    def __init__(self):
        super().__init__()
        self.n_different = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "mm" in str(func) or "convolution" in str(func):
            self.n_different += [factor.unique().numel() for factor in args[:2]]
        return func(*args, **(kwargs or {}))


def benchmark_rate(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    real_esrgan = importlib.import_module("real_esrgan")
    monkeypatch.setattr(floors, "SIDES", {"cpu": (64,)})
    monkeypatch.setattr(floors, "CONVOLUTION", (16, 32))
    return real_esrgan.operations_per_s("cpu", "fp32")


def study_rate(monkeypatch):
    monkeypatch.setattr(floors, "SIDES", {"cpu": (64,)})
    monkeypatch.setattr(floors, "CONVOLUTION", (16, 32))
    measure_rates(lambda _: None, device="cpu", precision="fp32")


@pytest.mark.parametrize("seconds", [(1, 9), (9, 1)])
def test_the_better_of_product_and_convolution_is_the_rate(monkeypatch, seconds):
    """A stand-in for the clock; 2 * 64**3 operations, 2 * 9 * 16**2 * 30**2."""
    monkeypatch.setattr(floors, "SIDES", {"cpu": (64,)})
    monkeypatch.setattr(floors, "CONVOLUTION", (16, 32))
    times = iter(seconds)
    monkeypatch.setattr(floors, "shortest_s", lambda _work, _kind: next(times))
    product, convolution = 524_288 / seconds[0], 4_147_200 / seconds[1]
    rate = floors.operations_per_s("cpu", "fp32")
    assert rate == max(product, convolution)
    assert product != convolution


@pytest.mark.parametrize("measured", [benchmark_rate, study_rate])
def test_rates_are_of_random_values_and_not_of_ones(monkeypatch, measured):
    """A GPU multiplies constant matrices faster: few bits change."""
    with Factors() as factors:
        measured(monkeypatch)
    assert factors.n_different
    assert min(factors.n_different) > 1000


@pytest.mark.parametrize(
    ("precision", "word"), [("fp32", "highest"), ("tf32", "high"), ("fp16", "highest")]
)
def test_on_a_gpu_single_precision_is_exact_unless_it_is_tf32(
    monkeypatch, precision, word
):
    """PyTorch's words for both; it is ended before it would need the GPU."""
    told = []

    class EndError(Exception):
        pass

    def tell(said):
        told.append(said)
        raise EndError

    monkeypatch.setattr(torch.cuda, "set_device", lambda _device: None)
    monkeypatch.setattr(torch, "set_float32_matmul_precision", tell)
    with pytest.raises(EndError):
        measure_rates(lambda _: None, device="cuda:0", precision=precision)
    assert told == [word]


def test_without_a_network_only_the_copy_is_measured():
    found = []
    measure_rates(found.append, device="cpu", precision="none")
    assert found[0]["matrix_tflop_s"] is None
    assert found[0]["copy_gib_s"] > 0


def test_the_shortest_call_counts_after_one_to_warm_up(monkeypatch):
    now, passed = [0.0], iter([100.0, 3.0, 1.0, 2.0])

    def work():
        now[0] += next(passed)

    monkeypatch.setattr(floors.time, "perf_counter", lambda: now[0])
    assert shortest_s(work, "cpu") == 1.0


@pytest.mark.gpu
def test_a_gpu_multiplies_faster_in_half_precision():
    rates = {}
    for precision in ("fp32", "fp16"):
        found = []
        result = run_cell(
            "evalkit.profiling.floors:measure_rates",
            {"device": "cuda:0", "precision": precision},
            on_message=found.append,
            start_method="spawn",
        )
        assert result.outcome == "ok", result.error
        rates[precision] = found[0]["matrix_tflop_s"]
    assert rates["fp16"] > rates["fp32"] > 1
