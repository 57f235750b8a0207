"""The rates of a device."""

import pytest

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
