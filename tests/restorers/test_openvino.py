import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from evalkit.paths import cache_dir
from evalkit.restorers.engines import openvino as _openvino
from evalkit.restorers.engines.openvino import (
    ConversionError,
    compile_network,
    engine_on_cpu,
    import_openvino,
)
from evalkit.restorers.engines.torch import TorchEngine, cpu_has

EXAMPLE = torch.linspace(0, 1, 3 * 8 * 8).reshape(1, 3, 8, 8)


class Enlarger(torch.nn.Module):
    """A small network with the layers of Real-ESRGAN's."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.last = torch.nn.Conv2d(8, 12, 3, padding=1)
        self.activation = torch.nn.PReLU(8)

    def forward(self, batch):
        features = self.activation(self.first(batch))
        return torch.nn.functional.pixel_shuffle(self.last(features), 2)


def batch_of(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, np.float32)


def compiled(module=None, precision="fp32"):
    return compile_network(
        module or Enlarger(),
        EXAMPLE,
        precision=precision,
        takes_any_size=True,
    )


@pytest.mark.parametrize(
    "shape", [(1, 3, 8, 8), (1, 3, 1, 1), (1, 3, 1, 31), (2, 3, 17, 9), (5, 3, 2, 2)]
)
def test_it_gives_what_pytorch_gives_for_any_size_and_number(shape, shared_cache):
    batch = batch_of(*shape)
    with torch.inference_mode():
        expected = Enlarger()(torch.from_numpy(batch)).numpy()
    output = compiled()(batch)
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (1, 3, 2, 2), (2, 3, 40, 30)])
def test_bf16_is_near_fp32(shape, shared_cache, need):
    need(cpu_has("bf16"), "run this on a CPU with avx512_bf16 or amx_bf16 units")
    batch = batch_of(*shape)
    output = compiled(precision="bf16")(batch)
    off = np.abs(output - compiled()(batch)).max()
    assert 0 < off < 0.02


def test_an_output_is_not_overwritten_by_the_next_call(shared_cache):
    engine = compiled()
    first = engine(batch_of(1, 3, 8, 8))
    kept = first.copy()
    engine(batch_of(1, 3, 8, 8, seed=1))
    np.testing.assert_array_equal(first, kept)


def test_the_second_time_nothing_is_converted(monkeypatch):
    compiled()
    monkeypatch.setattr(_openvino, "_convert", None)
    compiled()
    with pytest.raises(TypeError):
        compiled(torch.nn.Sequential(Enlarger()))


def test_another_network_value_or_attribute_is_another_entry():
    class Wider(Enlarger):
        factor = 2

        def forward(self, batch):
            return super().forward(batch) * self.factor

    batch = batch_of(1, 3, 8, 8)
    compiled()
    modules = [Wider(), Wider(), Enlarger()]
    modules[1].factor = 3
    with torch.no_grad():
        modules[2].last.weight[0, 0, 0, 0] += 1e-3
    for module in modules:
        with torch.inference_mode():
            expected = module(torch.from_numpy(batch)).numpy()
        np.testing.assert_allclose(compiled(module)(batch), expected, atol=1e-5)
    assert len(list((cache_dir() / "openvino").iterdir())) == 4


def test_a_conversion_that_fails_leaves_nothing_and_pytorch_stands_in():
    class Untraceable(Enlarger):
        def forward(self, batch):
            raise RuntimeError("cannot be traced")

    module = Untraceable()
    with pytest.raises(ConversionError, match="cannot be traced"):
        compiled(module)
    engine, notes = engine_on_cpu(module, EXAMPLE, precision="fp32")
    assert isinstance(engine, TorchEngine)
    assert notes == ["PyTorch runs it: OpenVINO failed: cannot be traced"]
    assert not list(cache_dir().glob("openvino/*"))


def test_a_result_that_is_not_pytorchs_is_refused():
    class Inconstant(Enlarger):  # tracing keeps the way that the example goes
        def forward(self, batch):
            return super().forward(batch) * (1 if len(batch) == 1 else 2)

    with pytest.raises(ConversionError, match="not PyTorch's"):
        compiled(Inconstant())
    assert not list(cache_dir().glob("openvino/*"))


def test_a_network_of_one_size_may_still_have_any_number(shared_cache):
    engine = compile_network(Enlarger(), EXAMPLE, precision="fp32")
    assert engine(batch_of(3, 3, 8, 8)).shape == (3, 3, 16, 16)


def test_a_converted_network_that_is_damaged_is_converted_anew():
    batch = batch_of(1, 3, 8, 8)
    expected = compiled()(batch)
    (folder,) = (cache_dir() / "openvino").iterdir()
    whole = (folder / "network.xml").read_text(encoding="utf-8")
    (folder / "network.xml").write_text(whole[:99], encoding="utf-8")
    np.testing.assert_array_equal(compiled()(batch), expected)
    assert (folder / "network.xml").read_text(encoding="utf-8").endswith(whole[-99:])


def test_without_openvino_pytorch_runs_the_network(monkeypatch):
    import_openvino.cache_clear()
    monkeypatch.setitem(sys.modules, "openvino", None)
    engine, notes = engine_on_cpu(Enlarger(), EXAMPLE, precision="fp32")
    import_openvino.cache_clear()
    assert engine.name.startswith("PyTorch")
    assert "cannot be imported" in notes[0]


def test_threads_do_not_mix_their_batches(shared_cache):
    engine = compiled()
    batches = [batch_of(1, 3, 20 + seed, 30, seed=seed) for seed in range(4)]
    expected = [engine(batch) for batch in batches]
    outputs = [[] for _ in batches]

    def work(number):
        outputs[number] += [engine(batches[number]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, made in enumerate(outputs):
        assert len(made) == 20
        assert all(np.array_equal(output, expected[number]) for output in made)


SPY = """
import sys
seen = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and seen.append(event))
if sys.argv[1] == "openvino first":
    sys.modules["openvino_telemetry"] = None  # or this very test would report
    import openvino
    del sys.modules["openvino_telemetry"]
from evalkit.restorers.engines import openvino as _openvino
import torch
module = torch.nn.Conv2d(3, 3, 3, padding=1)
_openvino.compile_network(
    module, torch.rand(1, 3, 8, 8), precision="fp32"
)
print(seen)
"""


@pytest.mark.slow
@pytest.mark.parametrize("order", ["evalkit first", "openvino first"])
def test_nothing_is_reported_and_the_home_folder_stays_empty(order, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    told = {"HOME": str(home), "EVALKIT_CACHE": str(tmp_path / "cache")}
    seen = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", SPY, order], env=os.environ | told
    )
    assert seen.strip() == b"[]"
    assert not list(home.iterdir())
