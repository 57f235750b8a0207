"""One list of what running out of memory looks like, and all who go by it."""

import errno
import mmap
import os
import re
import sysconfig
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from evalkit.errors import CancelledError, OutOfMemoryError, OutputRejectedError
from evalkit.imports.basicsr import missing
from evalkit.machine.out_of_memory import (
    PATTERNS,
    SIGNS,
    is_out_of_memory,
    oom_as_ours,
    sign_in,
)
from evalkit.profiling import isolation
from evalkit.profiling._worker import _describe
from evalkit.profiling.budget import is_starved
from evalkit.restorers import load_restorer, plan_restorer
from evalkit.restorers._protocol import Context
from evalkit.restorers.engines.canvas import Tiling
from evalkit.restorers.engines.tiling import LoadedNetwork, restore_tiled
from evalkit.restorers.engines.torch import Engine

IMPOSSIBLE_BYTES = 2**60

NO_ENGINE = "GET was unable to find an engine to execute this computation"
RAISED = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
    NotImplementedError(NO_ENGINE),
    NotImplementedError("FIND" + NO_ENGINE.removeprefix("GET")),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCre"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate"),
    RuntimeError("CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY"),
    RuntimeError("Error in execution: bfc_arena.cc:376 Failed to allocate memory for"),
    RuntimeError("Available memory of 16 is smaller than requested bytes of 32"),
    RuntimeError("could not create a primitive"),
    RuntimeError("could not create a primitive descriptor for the matmul primitive"),
    RuntimeError("can't start new thread"),
    RuntimeError("std::bad_alloc"),
    cv2.error("OpenCV(5.0.0) error: (-4:Insufficient memory) Failed to allocate 78"),
    MemoryError(),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    ImportError("_C.so: failed to map segment from shared object"),
]
NAMES = [f"{type(error).__name__} {error}"[:50] for error in RAISED]

OTHERS = [
    RuntimeError("shapes differ"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDNN_STATUS_NOT_SUPPORTED_SHARED_MEMORY_INSUFFICIENT"),
    ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),
    ImportError("_C.so: failed to map segment from shared object: Operation not permit"
                "ted"),
    ValueError("the name out of memory is taken"),
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
]  # fmt: skip


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.words[:40])
def test_what_is_said_is_known(sign):
    assert sign_in(sign.words)
    assert is_starved(f"crash; its last output: {sign.words.upper()}")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_has_a_source(pattern):
    matches = [w for w in SIGNS if re.search(pattern, w.words, re.IGNORECASE)]
    assert matches
    assert all(sign.source for sign in matches)


@pytest.mark.parametrize("file", sorted({w.file for w in SIGNS if w.file}))
def test_what_is_said_stands_in_the_library(file, need):
    found = [*Path(sysconfig.get_path("platlib")).glob(file)]
    need(found, f"install what requirements.lock names: there is no {file}")
    with found[0].open("rb") as library:
        content = mmap.mmap(library.fileno(), 0, access=mmap.ACCESS_READ)
        for sign in SIGNS:
            if sign.file == file:
                assert content.find(sign.words.encode()) >= 0, sign


@pytest.mark.parametrize("error", RAISED, ids=NAMES)
def test_running_out_of_memory_is_our_error_and_outcome(error):
    assert is_out_of_memory(error)
    assert _describe(error)[0] == "oom"
    with pytest.raises(OutOfMemoryError) as caught, oom_as_ours("a tile"):
        raise error
    assert caught.value.__cause__ is error
    assert str(caught.value).startswith("out of memory at a tile: ")
    assert "Compile with" not in str(caught.value)


@pytest.mark.parametrize(
    "allocate",
    [
        lambda: torch.empty(IMPOSSIBLE_BYTES, dtype=torch.uint8),
        lambda: np.empty(IMPOSSIBLE_BYTES, np.uint8),
        lambda: bytearray(IMPOSSIBLE_BYTES),
    ],
    ids=["torch", "numpy", "python"],
)
def test_running_out_of_memory_in_earnest_is_our_error(allocate):
    expected = pytest.raises(OutOfMemoryError, match="out of memory at a tile")
    with expected, oom_as_ours("a tile"):
        allocate()


@pytest.mark.parametrize("error", [*OTHERS, CancelledError("x")], ids=str)
def test_other_errors_pass_as_they_are(error):
    with pytest.raises(type(error)) as caught, oom_as_ours("a tile"):
        raise error
    assert caught.value is error


class Device(Engine):
    """Stands in for a GPU that has no room for windows wider than 40 px."""

    def __init__(self, error):
        super().__init__("fake")
        self.error = error

    def start(self, batch, watch):
        if batch.shape[-1] > 40:
            raise self.error
        return lambda: batch.repeat(4, axis=2).repeat(4, axis=3)


def call():
    return Context(progress=lambda done, total: None, cancel=lambda: False)


def in_tiles(error):
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    tiling = Tiling(scale=4, tile=64, margin=2)
    step = LoadedNetwork(engine=Device(error), tiling=tiling, in_fp32=None)
    return picture, restore_tiled([picture], step, call())


@pytest.mark.parametrize("error", RAISED, ids=NAMES)
def test_the_tile_halves_for_every_one_of_them(error):
    picture, ((output,), notes) = in_tiles(error)
    expected = picture.repeat(4, axis=0).repeat(4, axis=1)
    assert np.abs(output.astype(int) - expected).max() <= 1
    assert [note[:10] for note in notes] == ["tile 32 px", "tile 16 px"]


def test_the_tile_does_not_halve_for_another_error():
    with pytest.raises(RuntimeError, match="shapes differ"):
        in_tiles(OTHERS[0])


@pytest.fixture
def guarded(need):
    need(not missing("realesrgan", "this test"), missing("realesrgan", "this test"))
    from evalkit.restorers.realesrgan.upstream import _guarded

    return _guarded


@pytest.mark.parametrize("error", RAISED, ids=NAMES)
def test_a_starved_upstream_is_out_of_memory_and_not_rejected(guarded, error):
    def network(tile):
        raise error

    with pytest.raises(OutOfMemoryError) as caught:
        guarded(network, call(), 1)(torch.zeros(1, 3, 4, 4))
    assert _describe(caught.value)[0] == "oom"


def test_a_failing_upstream_is_rejected(guarded):
    def network(tile):
        raise OTHERS[1]

    with pytest.raises(OutputRejectedError) as caught:
        guarded(network, call(), 1)(torch.zeros(1, 3, 4, 4))
    assert _describe(caught.value)[0] == "rejected"


def test_upstreams_output_is_looked_at_inside_the_guard(guarded, monkeypatch):
    def starved(output):
        raise RAISED[0]

    monkeypatch.setattr(torch, "isfinite", starved)
    with pytest.raises(OutOfMemoryError):
        guarded(lambda tile: tile, call(), 1)(torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize("code", [1, 3, -6])
def test_last_words_that_name_memory_make_a_crash_an_oom(code):
    facts = {"code": code, "is_late": False}
    for words in ("what():  std::bad_alloc", "OpenBLAS error: Memory allocation still "
                  "failed after 10 retries, giving up.", NO_ENGINE):  # fmt: skip
        assert isolation._result(None, facts, words, None).outcome == "oom"
    assert isolation._result(None, facts, "a complaint", None).outcome == "crash"


def test_no_room_for_what_a_restorer_needs_first_is_our_error(monkeypatch):
    """A CUDA context, say: load_restorer gives no error of PyTorch."""

    def build(plan):
        raise RAISED[1]

    plan = plan_restorer("lanczos")
    starved = replace(plan, spec=replace(plan.spec, build=build))
    monkeypatch.setattr("evalkit.restorers.plan_restorer", lambda *_, **__: starved)
    with pytest.raises(OutOfMemoryError, match="at loading lanczos: CUDA error"):
        load_restorer("lanczos")


def test_no_room_on_the_host_is_our_error_whoever_restores(astronaut, monkeypatch):
    def starved(*_, **__):
        raise cv2.error("(-4:Insufficient memory) Failed to allocate 786432 bytes")

    restorer = load_restorer("lanczos")
    monkeypatch.setattr(type(restorer), "_restore", starved)
    with pytest.raises(OutOfMemoryError, match="at a picture of 512x512 px"):
        restorer.restore(astronaut)
