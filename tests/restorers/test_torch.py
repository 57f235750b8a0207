import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from evalkit.errors import OutOfMemoryError, SettingError
from evalkit.restorers._protocol import Context
from evalkit.restorers.engines import torch as _torch
from evalkit.restorers.engines.canvas import Tiling
from evalkit.restorers.engines.tiling import LoadedNetwork, restore_tiled
from evalkit.restorers.engines.torch import TorchEngine, pick_device, pick_precision

IMPOSSIBLE_BYTES = 2**60


@pytest.fixture
def gpus(monkeypatch):
    """``gpus(n)``: let PyTorch count n devices."""
    return lambda n: monkeypatch.setattr(torch.cuda, "device_count", lambda: n)


@pytest.fixture
def cpu_units(monkeypatch):
    """``cpu_units(*names)``: the units that the CPU has."""
    return lambda *names: monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: dict.fromkeys(names, True)
    )


def test_auto_is_the_first_gpu_or_the_cpu(gpus):
    gpus(2)
    assert pick_device("auto") == "cuda:0"
    assert pick_device("cuda") == "cuda:0"
    assert pick_device("cuda:1") == "cuda:1"
    gpus(0)
    assert pick_device("auto") == "cpu"
    assert pick_device("cpu") == "cpu"


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda0", "cpu:0", "mps"])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(SettingError, match="expected auto, cpu, cuda or cuda:N"):
        pick_device(device)


def test_a_gpu_that_is_not_there_is_refused_and_those_that_are_named(gpus):
    gpus(2)
    with pytest.raises(SettingError, match="known: auto, cpu, cuda:0, cuda:1"):
        pick_device("cuda:2")
    gpus(0)
    with pytest.raises(SettingError, match=r"known: auto, cpu$"):
        pick_device("cuda")


def test_asking_for_a_device_makes_no_cuda_context():
    pick_device("auto")
    assert not torch.cuda.is_initialized()


def test_auto_precision_is_that_of_the_original_or_the_short_one_of_the_device(
    cpu_units,
):
    cpu_units("avx512_bf16")
    assert pick_precision("auto", "cuda:0", "upstream") == "fp16"
    assert pick_precision("auto", "cuda:0", "tuned") == "fp16"
    assert pick_precision("auto", "cpu", "upstream") == "fp32"
    assert pick_precision("auto", "cpu", "tuned") == "bf16"
    cpu_units("avx2")
    assert pick_precision("auto", "cpu", "tuned") == "fp32"


def test_a_precision_that_would_be_emulated_is_refused_and_the_others_are_named(
    cpu_units,
):
    cpu_units("avx512_bf16")
    assert pick_precision("bf16", "cpu", "tuned") == "bf16"
    with pytest.raises(SettingError, match="known: auto, fp32, bf16"):
        pick_precision("fp16", "cpu", "tuned")
    cpu_units("avx2")
    with pytest.raises(SettingError, match=r"known: auto, fp32$"):
        pick_precision("bf16", "cpu", "tuned")
    # the original runs it as it can
    assert pick_precision("fp16", "cpu", "upstream") == "fp16"


def test_tf32_is_of_the_tuned_runner_on_cuda(cpu_units):
    cpu_units("avx512_bf16")
    assert pick_precision("tf32", "cuda:0", "tuned") == "tf32"
    assert pick_precision("fp32", "cuda:0", "tuned") == "fp32"
    for device, runner in (("cpu", "tuned"), ("cpu", "upstream"), ("cuda", "upstream")):
        with pytest.raises(SettingError, match="'tf32' is of the tuned runner on CUDA"):
            pick_precision("tf32", device, runner)


@pytest.mark.slow
def test_the_packages_of_real_esrgan_can_be_imported_once_mended():
    code = (
        "from evalkit.imports.basicsr import import_basicsr; import_basicsr();"
        "import basicsr, realesrgan, facexlib"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def network():
    torch.manual_seed(0)
    return torch.nn.Conv2d(3, 3, 3, padding=1)


@pytest.mark.parametrize(("precision", "off"), [("fp32", 0), ("bf16", 0.02)])
def test_the_engine_gives_what_the_module_gives(precision, off):
    batch = np.random.default_rng(0).random((2, 3, 9, 7), np.float32)
    with torch.inference_mode():
        expected = network()(torch.from_numpy(batch)).numpy()
    output = TorchEngine(network(), "cpu", precision)(batch)
    assert output.dtype == np.float32
    assert np.abs(output - expected).max() <= off


def test_the_engine_leaves_global_flags_alone():
    def flags():
        return (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_num_threads(),
            torch.get_default_dtype(),
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.allow_tf32,
            torch.backends.cuda.matmul.allow_tf32,
            torch.get_float32_matmul_precision(),
        )

    before = flags()
    TorchEngine(network(), "cpu", "fp32")(np.zeros((1, 3, 4, 4), np.float32))
    assert flags() == before


def test_a_network_that_runs_out_of_memory_raises_our_error():
    class Hungry(torch.nn.Module):
        def forward(self, batch):
            return torch.empty(IMPOSSIBLE_BYTES, dtype=torch.uint8)

    with pytest.raises(OutOfMemoryError, match=r"\(1, 3, 4, 4\) on cpu"):
        TorchEngine(Hungry(), "cpu", "fp32")(np.zeros((1, 3, 4, 4), np.float32))


def test_stages_that_overlap_with_the_network_add_up_to_what_passed():
    watch = _torch.Stopwatch()
    time.sleep(0.1)
    for stage, passed_s in (("upload", 5.0), ("network", 0.06), ("download", 15.0)):
        watch.add(stage, passed_s)
    stages_s = watch.settled()
    assert stages_s["network"] == 0.06
    assert 0.1 <= sum(stages_s.values()) < 5
    assert stages_s["download"] == pytest.approx(3 * stages_s["upload"])


def test_stages_that_do_not_overlap_stay_as_they_are():
    watch = _torch.Stopwatch()
    time.sleep(0.1)
    watch.add("network", 0.06)
    watch.add("upload", 0.03)
    assert watch.settled() == {"network": 0.06, "upload": 0.03}
    watch.add_rest("blend")
    assert 0.01 <= watch.stages_s["blend"] < 5


class FakeStream:
    def __init__(self, device=None):
        self.waited_for = []

    def wait_event(self, event):
        self.waited_for.append(event)


class FakeEvent:
    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.recorded_s = time.perf_counter()

    def synchronize(self):
        assert self.recorded_s

    def elapsed_time(self, other):
        return 1000 * (other.recorded_s - self.recorded_s)


@pytest.fixture
def queued(monkeypatch):
    """Makes an engine that goes CUDA's way on the CPU: only the hardware is faked."""
    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "Stream", FakeStream)
    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: None)
    monkeypatch.setattr(
        torch, "empty", lambda *a, pin_memory=False, **k: empty(*a, **k)
    )

    class OnFakeCuda(TorchEngine):
        def start_then(self, batch, watch, then, stage="blend"):
            def widened(output):
                return then(output.float())

            with torch.inference_mode():
                tensor = torch.from_numpy(batch)
                return self._queue(tensor, watch, "a test", widened, stage)

    def make(module, precision):
        engine = OnFakeCuda(module, "cpu", precision)
        engine._streams = [FakeStream() for _ in range(3)]
        engine.n_ahead = 1
        return engine

    return make


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_leaves_a_gpu_is_levels(queued, precision, dtype):
    chance = np.random.default_rng(0)
    sources = [
        chance.integers(0, np.iinfo(dtype).max, (40, 60, 3), dtype) for _ in range(3)
    ]

    def restored(engine, **tiling):
        step = LoadedNetwork(engine=engine, tiling=Tiling(**tiling), in_fp32=None)
        call = Context(progress=lambda *_: None, cancel=lambda: False)
        made, _ = restore_tiled(sources, step, call)
        return np.stack(made).astype(int), set(call.watch.stages_s)

    for tile in (0, 20):
        tiling = {"scale": 1, "tile": tile, "margin": 1}
        expected, _ = restored(TorchEngine(network(), "cpu", precision), **tiling)
        output, stages = restored(queued(network(), precision), **tiling)
        np.testing.assert_array_equal(output, expected)
        assert stages == {"upload", "network", "blend", "download"}


class Stream:
    """Stands in for a CUDA stream: notes what it is told."""

    def __init__(self, told, name):
        self.told, self.name = told, name

    def wait_stream(self, other):
        self.told.append(f"{self.name} waits for {other.name}")


class Weights(torch.nn.Conv2d):
    """Stands in for a network that can be moved to CUDA."""

    def __init__(self, told):
        super().__init__(3, 3, 3)
        self.told = told

    def to(self, device, dtype, memory_format):
        self.told.append(f"weights to {device}, {dtype}, {memory_format}")
        return self


@pytest.fixture
def cuda(monkeypatch):
    """What is told to streams that stand in for CUDA's."""
    told, names = [], iter(("upload", "network", "download"))
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: Stream(told, next(names)))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: told.append("room is made"))
    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda device: Stream(told, f"that of {device}")
    )
    return told


def test_the_network_waits_until_its_weights_are_laid_out(cuda):
    TorchEngine(Weights(cuda), "cuda:0", "fp16")
    assert cuda[-2:] == [
        "weights to cuda:0, torch.float16, torch.channels_last",
        "network waits for that of cuda:0",
    ]


def test_a_network_may_keep_its_maps_channel_by_channel_and_is_prepared_in_place(cuda):
    prepare = lambda _: cuda.append("prepared")  # noqa: E731
    TorchEngine(Weights(cuda), "cuda:0", "fp16", layout="nchw", prepare=prepare)
    assert cuda[-3:] == [
        "weights to cuda:0, torch.float16, torch.contiguous_format",
        "prepared",
        "network waits for that of cuda:0",
    ]


@pytest.mark.parametrize("name", ["Stream", "empty_cache"])
def test_no_room_for_streams_or_a_context_is_our_error(name, cuda, monkeypatch):
    def starved(*_):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(torch.cuda, name, starved)
    with pytest.raises(OutOfMemoryError, match="at loading the network: CUDA error"):
        TorchEngine(Weights(cuda), "cuda:0", "fp16")


def test_what_pytorch_holds_without_using_it_is_free_too(cuda, monkeypatch):
    engine = TorchEngine(Weights(cuda), "cuda:0", "fp16")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 300)
    assert engine.free_bytes == 2400
    cuda.clear()
    engine.make_room()
    assert cuda == ["room is made"]


def test_a_cpu_is_not_asked_what_is_free(cuda):
    engine = TorchEngine(network(), "cpu", "fp32")
    engine.make_room()
    assert engine.free_bytes == 3 * 2**30
    assert cuda == []


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_on_cuda_overlapping_calls_give_what_the_cpu_gives(precision):
    batches = np.random.default_rng(0).random((6, 2, 3, 65, 33), np.float32)
    engine = TorchEngine(network(), "cuda:0", precision)
    watch = _torch.Stopwatch()
    started = [engine.start(batch, watch) for batch in batches]
    for batch, finish in zip(batches, started, strict=True):
        expected = TorchEngine(network(), "cpu", "fp32")(batch)
        assert np.abs(finish() - expected).max() < 0.02
    assert set(watch.stages_s) == {"upload", "network", "download"}
