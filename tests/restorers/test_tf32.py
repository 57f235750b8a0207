"""TF32: said where it is, and off where an exact single precision is asked for.

No GPU is needed: PyTorch's switches are there without one, and what has to be a device
(its capability, streams, events) is a stand-in.
"""

import contextlib
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from evalkit.imports.basicsr import missing
from evalkit.restorers import gpen, plan_restorer
from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.tf32 import calculating_in, single_precision, uses_tf32
from evalkit.restorers.engines.torch import TorchEngine
from evalkit.restorers.gpen import generators as _gpen_generators

X4 = "realesrgan-animevideo-x4"


@pytest.fixture
def capability(monkeypatch):
    """``capability(9, 0)``: that of the GPU; an H100's unless told."""

    def tell(*version):
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda _device: version
        )

    tell(9, 0)
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    return tell


def on_cuda(runner, precision):
    return {"device": "cuda:0", "runner": runner, "precision": precision}


@pytest.mark.usefixtures("capability")
@pytest.mark.parametrize(
    ("runner", "precision", "expected"),
    [
        ("tuned", "fp32", "fp32"),
        ("tuned", "tf32", "tf32"),
        ("tuned", "fp16", "fp32"),
        ("upstream", "fp32", "tf32"),
        ("upstream", "fp16", "tf32"),
    ],
)
def test_single_precision_is_exact_unless_it_is_upstreams(runner, precision, expected):
    assert single_precision(on_cuda(runner, precision)) == expected


def test_what_pytorch_or_the_gpu_or_nvidia_forbid_is_not_said_to_be(
    capability, monkeypatch
):
    asked = on_cuda("upstream", "fp32")
    with monkeypatch.context() as changed:
        changed.setattr(torch.backends.cudnn, "allow_tf32", False)
        assert single_precision(asked) == "fp32"
        assert single_precision(on_cuda("tuned", "tf32")) == "tf32"
    with monkeypatch.context() as changed:
        changed.setenv("NVIDIA_TF32_OVERRIDE", "0")
        assert single_precision(asked) == "fp32"
    capability(7, 5)  # of Turing
    assert (
        single_precision(asked) == single_precision(on_cuda("tuned", "tf32")) == "fp32"
    )


def test_without_cuda_nothing_is_said(capability):
    plan = plan_restorer(X4, device="cpu")
    assert uses_tf32(plan) is None
    assert single_precision({}) is None
    part = replace(plan, resolved=on_cuda("upstream", "fp32"))
    tuned = replace(plan, resolved=on_cuda("tuned", "fp16"))
    assert uses_tf32(tuned) is False
    assert uses_tf32(replace(tuned, parts=(part,))) is True


class Event:
    """Stands in for CUDA's, and for its streams; all is done at once."""

    def __init__(self, *_, **__):
        self.time_s = 0.0

    def record(self):
        self.time_s = time.perf_counter()

    def synchronize(self):
        pass

    def wait_event(self, event):
        pass

    def elapsed_time(self, later):
        return 1000 * (later.time_s - self.time_s)


@pytest.fixture
def streams(monkeypatch):
    """``streams(engine)`` lets an engine of the CPU work as it does on CUDA."""
    empty = torch.empty
    for name, stand_in in {
        "cuda.Event": Event,
        "cuda.stream": lambda _stream: contextlib.nullcontext(),
        "cuda.device": lambda _device: contextlib.nullcontext(),
        "Tensor.pin_memory": lambda tensor: tensor,
        "Tensor.record_stream": lambda _tensor, _stream: None,
        "empty": lambda *shape, pin_memory=False, **more: empty(*shape, **more),
    }.items():
        monkeypatch.setattr(f"torch.{name}", stand_in)

    def start(engine, batch):
        engine._streams = [Event() for _ in range(3)]
        with torch.inference_mode():
            return engine._start_on_cuda(torch.from_numpy(batch), Stopwatch(), "x")()

    return start


class Seeing(torch.nn.Conv2d):
    """A network that remembers PyTorch's switches at its calls."""

    def forward(self, batch):
        self.seen = (
            torch.backends.cudnn.allow_tf32,
            torch.get_float32_matmul_precision(),
        )
        return super().forward(batch)


@pytest.mark.parametrize(
    ("precision", "is_tf32"), [("fp32", False), ("tf32", True), ("bf16", False)]
)
@pytest.mark.parametrize("before", [True, False])
def test_the_engine_calculates_as_asked_and_leaves_the_switches(
    streams, monkeypatch, precision, is_tf32, before
):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    network = Seeing(3, 3, 3, padding=1)
    batch = np.zeros((1, 3, 4, 4), np.float32)
    engine = TorchEngine(network, "cpu", precision)
    assert streams(engine, batch).shape == batch.shape
    assert network.seen == (is_tf32, "highest")
    assert torch.backends.cudnn.allow_tf32 is before
    assert precision in engine.name


def test_threads_do_not_see_the_switches_of_each_other():
    wrong = []

    def work(precision):
        for _ in range(20):
            with calculating_in(precision):
                time.sleep(0.0005)
                if torch.backends.cudnn.allow_tf32 is not (precision == "tf32"):
                    wrong.append(precision)

    threads = [threading.Thread(target=work, args=(p,)) for p in ("fp32", "tf32")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert torch.backends.cudnn.allow_tf32 is True


@pytest.fixture
def planned(capability, monkeypatch):
    """``planned(**settings)``: a plan of GPEN for a machine that has a GPU."""
    monkeypatch.setattr(
        gpen, "pick_device", lambda device: "cpu" if device == "cpu" else "cuda:0"
    )
    settings = {"weights": "random", "detector": "cascade"}
    return lambda **more: plan_restorer("gpen-256", **settings, **more)


def test_upstream_gpen_on_cuda_says_whose_kernels_ran(planned):
    assert gpen.OUR_KERNELS in planned(runner="upstream").notes
    assert gpen.OUR_KERNELS not in planned(runner="upstream", device="cpu").notes
    assert gpen.OUR_KERNELS not in planned().notes


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"runner": "upstream"}, "tf32"),
        ({"precision": "fp32"}, "fp32"),
        ({"precision": "tf32"}, "tf32"),
        ({}, "fp16"),
    ],
)
def test_gpens_engine_is_told_what_its_runner_means(
    planned, monkeypatch, settings, expected
):
    told = []
    monkeypatch.setattr(
        "evalkit.restorers.engines.torch.TorchEngine",
        lambda *given, **_: told.append(given[1:]),
    )
    resolved = planned(**settings).resolved
    _gpen_generators.engine_for(None, 8, resolved, resolved["precision"])
    assert told == [("cuda:0", expected)]


@pytest.mark.usefixtures("capability")
@pytest.mark.parametrize(
    ("precision", "said"),
    [("fp32", ", fp32 with TF32 in convolutions, cuda:0"), ("fp16", ", fp16, cuda:0")],
)
def test_realesrganer_says_what_its_single_precision_is(
    need, monkeypatch, precision, said
):
    need(not missing("realesrgan", "this test"), missing("realesrgan", "this test"))
    from evalkit.restorers.realesrgan import upstream

    monkeypatch.setattr(upstream, "_upsampler", lambda *_: None)
    plan = plan_restorer(X4, device="cpu")
    resolved = plan.resolved | on_cuda("upstream", precision)
    restorer = upstream.UpstreamRealESRGAN(replace(plan, resolved=resolved), None, 4)
    assert said in restorer.notes[0]
