"""On CUDA a picture is cut by the memory that is free; devices here are stand-ins."""

import math
import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evalkit.errors import OutOfMemoryError
from evalkit.records.keys import record_key
from evalkit.restorers import load_restorer, plan_restorer, restorers
from evalkit.restorers._protocol import Context
from evalkit.restorers.engines.canvas import SEAM, Job, TileOutput, Tiling
from evalkit.restorers.engines.tiling import LoadedNetwork, _blended, restore_tiled
from evalkit.restorers.engines.torch import Engine
from evalkit.restorers.gpen.background import REALESRNET
from evalkit.restorers.realesrgan.network import (
    NETWORKS,
    TILE_STEP,
    VALUE_BYTES,
    build_module,
)
from evalkit.restorers.realesrgan.tuned import TunedRealESRGAN

GIB = 2**30
X4PLUS = NETWORKS["realesrgan-x4plus"]
EAGER_KIB = 13.27
"""What an earlier measurement of x4plus found for a source pixel in fp32."""
BYTES = {"fp32": EAGER_KIB * 1024, "fp16": EAGER_KIB * 512, "bf16": EAGER_KIB * 512}


class Device(Engine):
    """Stands in for x4plus on a GPU with so much free memory, and holds it to that."""

    def __init__(self, free_gib, precision="fp16", network=X4PLUS, hidden_gib=0.0):
        super().__init__("fake", precision)
        self.free_gib, self.hidden_gib = free_gib, hidden_gib
        self.network, self.shapes, self.n_rooms = network, [], 0

    @property
    def free_bytes(self):
        return int(self.free_gib * GIB)

    def make_room(self):
        self.n_rooms += 1

    def start(self, batch, watch):
        self.shapes.append(batch.shape)
        values = self.network.peak_values * math.prod(batch.shape) / 3
        taken = values * (4 if self.precision == "fp32" else 2)
        if taken > (self.free_gib - self.hidden_gib) * GIB:
            raise NotImplementedError("GET was unable to find an engine to execute")
        scale = self.network.scale
        return lambda: batch.repeat(scale, axis=2).repeat(scale, axis=3)


def gradient(height, width):
    """A picture that is nowhere constant."""
    row = np.arange(width) % 251
    return np.broadcast_to(row[None, :, None], (height, width, 3)).astype(np.uint8)


def call():
    return Context(progress=lambda done, total: None, cancel=lambda: False)


def made(device, height, width, **more):
    network = device.network
    more = {"in_fp32": None, **more}
    step = LoadedNetwork(
        engine=device, tiling=network.tiling("cuda:0", "auto"), fit=network.fit, **more
    )
    (output,), notes = restore_tiled([gradient(height, width)], step, call())
    assert output.shape == (height * network.scale, width * network.scale, 3)
    return notes


def test_a_picture_that_fits_is_not_cut():
    device = Device(5.0)
    assert made(device, 768, 1024) == [
        "tile none: 1024x768 px need 4.90 GiB, 5.00 may be taken"
    ]
    assert device.shapes == [(1, 3, 768, 1024)]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("free_gib", [0.75, 1, 3, 4.5, 8, 22, 70])
@pytest.mark.parametrize("size", [(768, 1024), (1200, 1600), (1536, 2048)])
def test_what_is_cut_fits_at_the_first_attempt(size, free_gib, precision):
    tiling, note = X4PLUS.fit(Device(free_gib, precision), *size)
    (row, *_), (column, *_) = tiling.rows_and_columns(*size)
    window_px = (row.stop - row.start) * (column.stop - column.start)
    px_bytes = X4PLUS.peak_values * VALUE_BYTES[precision]
    assert window_px * px_bytes <= free_gib * GIB
    fits = math.prod(size) * px_bytes <= free_gib * GIB
    assert (tiling.tile == 0) == fits
    assert note.startswith("tile none:" if fits else f"tile {tiling.tile} px:")


@pytest.mark.parametrize("network", [*NETWORKS.values(), REALESRNET])
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_tile_needs_3_gib_at_most_and_a_larger_one_more(network, precision):
    side = network.auto_tile("cuda:0", precision)
    assert side % TILE_STEP == side % network.step == 0
    needed = [
        (tile + 2 * network.margin_px + SEAM) ** 2 * network._px_bytes(precision)
        for tile in (side, side + TILE_STEP)
    ]
    assert needed[0] <= 3 * GIB < needed[1]
    if network == X4PLUS:
        window_px = (side + 2 * network.margin_px + SEAM) ** 2
        assert window_px * BYTES[precision] <= 3 * GIB


def test_the_tiles_of_a_cpu_are_what_they_were():
    sides = {
        (name, precision): NETWORKS[name].auto_tile("cpu", precision)
        for name in ("realesrgan-x4plus", "realesrgan-x2plus", "realesrgan-general-x4")
        for precision in ("fp32", "bf16")
    }
    assert list(sides.values()) == [352, 512, 704, 1024, 512, 512]


class Held(TorchDispatchMode):
    """Adds up what tensors hold at once; a convolution has a copy of its output."""

    def __init__(self, given):
        super().__init__()
        self.now = self.peak = 0
        self.seen = {tensor.untyped_storage()._cdata for tensor in given}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(output):
            storage = tensor.untyped_storage()
            key, n_values = storage._cdata, storage.nbytes() // 4
            if key not in self.seen:
                self.seen.add(key)
                self.now += n_values
                weakref.finalize(storage, self.drop, key, n_values)
            copied = n_values if "conv" in str(func) else 0
            self.peak = max(self.peak, self.now + copied)
        return output

    def drop(self, key, n_values):
        self.seen.discard(key)
        self.now -= n_values


@pytest.mark.parametrize("network", [*NETWORKS.values(), REALESRNET])
def test_the_peak_is_that_of_the_networks_tensors(network):
    with torch.device("meta"):
        module, source = build_module(network), torch.empty(1, 3, 64, 64)
    with torch.inference_mode(), Held([*module.parameters(), source]) as held:
        module(source)
    assert network.peak_values == pytest.approx(held.peak / 64**2, rel=0.09)
    assert network.peak_values >= held.peak / 64**2


def test_what_an_output_becomes_on_the_device_is_counted():
    """More than a compact network itself takes in fp16."""
    network, side = NETWORKS["realesrgan-animevideo-x4"], 64
    tiling = network.tiling("cuda:0", 0)
    canvas = TileOutput(np.zeros((side, side, 3), np.uint16), tiling)
    output = torch.zeros(1, 3, 4 * side, 4 * side, dtype=torch.float16)
    with torch.inference_mode(), Held([output]) as held:
        values = output.float()
        levels = [
            part.contiguous() for part in _blended([canvas], [Job(0, 0, 0)], values)
        ]
    taken = output.nbytes + 4 * held.peak
    assert levels[1].shape == (4 * side, 4 * side, 3)
    assert taken > network.peak_values * VALUE_BYTES["fp16"] * side**2
    room = network.fit(Device(1, "fp16", network), side, side)[0].room_px
    assert taken / side**2 == pytest.approx(GIB / room, rel=1e-4)


def test_the_article_s_picture_needs_about_5_gib_in_fp16():
    assert X4PLUS.peak_values * 4 / 1024 == pytest.approx(EAGER_KIB, rel=0.02)
    needed = X4PLUS.peak_values * 2 * 1024 * 768 / GIB
    assert needed == pytest.approx(5, rel=0.03)


def test_memory_that_is_short_all_the_same_halves_the_tile():
    """Kernels take memory that nobody has counted: here a quarter of what is free."""
    device = Device(3.0, hidden_gib=0.75)
    notes = made(device, 768, 1024)
    assert [note.split(":")[0] for note in notes] == ["tile 512 px", "tile 256 px"]
    assert "unable to find an engine" in notes[1]
    assert device.n_rooms == 1


def test_each_call_asks_again():
    device = Device(3.0)
    first, second = made(device, 768, 1024), None
    device.free_gib = 70
    second = made(device, 768, 1024)
    assert first[0].startswith("tile 512 px: 1024x768 px need 4.90 GiB, 3.00 may be")
    assert second[0].startswith("tile none: 1024x768 px need 4.90 GiB, 70.00 may be")


def test_in_fp32_a_picture_is_cut_anew():
    class Overflowing(Device):
        def start(self, batch, watch):
            super().start(batch, watch)
            return lambda: np.full((1, 3, 3072, 4096), np.nan, np.float32)

    notes = made(Overflowing(6), 768, 1024, in_fp32=lambda: Device(6, "fp32"))
    assert [note.split(":")[0] for note in notes] == [
        "tile none",
        "in fp32",
        f"tile {X4PLUS.auto_tile('cuda', 'fp32', 6 * GIB)} px",
    ]


def test_windows_go_together_only_as_far_as_memory_allows():
    room = X4PLUS.fit(Device(70), 64, 64)[0].batch_px
    scarce = X4PLUS.fit(Device(0.1), 64, 64)[0].batch_px
    assert room == 512 * 512
    assert scarce == int(0.1 * GIB) // (2 * X4PLUS.peak_values)


@pytest.mark.parametrize(("n_fit", "n_batches"), [(9, 1), (3, 2), (1, 5)])
def test_pictures_go_together_only_as_far_as_memory_allows(n_fit, n_batches):
    picture_gib = X4PLUS.peak_values * 2 * 600 * 600 / GIB
    device = Device((n_fit + 0.5) * picture_gib)
    step = LoadedNetwork(
        engine=device,
        tiling=X4PLUS.tiling("cuda:0", "auto"),
        fit=X4PLUS.fit,
        in_fp32=None,
    )
    outputs, notes = restore_tiled([gradient(600, 600)] * 5, step, call())
    assert len(outputs) == 5
    assert len(device.shapes) == n_batches
    assert device.shapes[0][0] == min(n_fit, 5)
    assert [note.split(":")[0] for note in notes] == ["tile none"]


@pytest.fixture
def gpu(monkeypatch):
    """PyTorch counts one device; asking what is free on it is an error."""

    def asked(*_):
        raise AssertionError("a plan must not depend on the memory that is free")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", asked)


ON_CUDA = [
    ("realesrgan-animevideo-x4", {}),
    ("hybrid", {"faces": "gpen-256", "background": "realesrgan-animevideo-x4"}),
    ("gpen-256", {"background": "realesrgan"}),
]


@pytest.mark.parametrize(("name", "settings"), ON_CUDA)
def test_the_key_does_not_depend_on_the_memory_that_is_free(name, settings, gpu):
    plan = plan_restorer(name, **settings)
    assert plan.resolved["device"] == "cuda:0"
    assert plan.resolved["tile"] == "auto"
    told = {"source_sha256": "a", "weights_sha256": [], "restorer": name}
    keys = {
        record_key(**told, setting=plan_restorer(name, tile=tile, **settings).resolved,
                   code_sha256="b")
        for tile in ("auto", 0, 512)
    }  # fmt: skip
    assert len(keys) == 3  # nor is it that of a tile that was asked for


def test_the_original_is_not_cut_whatever_is_free(gpu):
    plan = plan_restorer("realesrgan-animevideo-x4", runner="upstream")
    assert plan.resolved["tile"] == 0


def test_work_is_counted_as_if_memory_sufficed(gpu):
    name = "realesrgan-animevideo-x4"
    auto, whole = (
        restorers()[name].work(plan_restorer(name, tile=tile).resolved, 300, 400)
        for tile in ("auto", 0)
    )
    assert auto == whole


def test_a_restorer_tells_the_tile_and_counts_its_windows(gpu, monkeypatch):
    network = NETWORKS["realesrgan-animevideo-x4"]
    device = Device(0.02, network=network)
    monkeypatch.setattr(
        "evalkit.restorers.realesrgan.tuned.TorchEngine", lambda *_: device
    )
    restorer = load_restorer(network.name)
    assert isinstance(restorer, TunedRealESRGAN)
    told = []
    restored = restorer.restore(
        gradient(300, 400), progress=lambda *numbers: told.append(numbers)
    )
    tile = network.auto_tile("cuda", "fp16", device.free_bytes)
    assert f"tile {tile} px: 400x300 px need" in " ".join(restored.notes)
    n_windows = math.ceil(300 / tile) * math.ceil(400 / tile)
    assert told[-1] == (n_windows, n_windows)
    device.free_gib = 70
    assert any(n.startswith("tile none:") for n in restorer.restore(
        gradient(300, 400)).notes)  # fmt: skip


class Block:
    """Stands in for a tensor of a failed attempt."""


class Greedy(Engine):
    """Fails with more than one item, and says whether that attempt's block is gone."""

    def __init__(self):
        super().__init__("fake")
        self.block, self.is_gone, self.n_rooms = (lambda: None), [], 0

    def make_room(self):
        self.n_rooms += 1

    def start(self, batch, watch):
        self.is_gone.append(self.block() is None)
        if batch.shape[0] > 1 or batch.shape[2] > 100:
            block = Block()
            self.block = weakref.ref(block)
            raise OutOfMemoryError("out of memory")
        return lambda: batch.repeat(4, axis=2).repeat(4, axis=3)


def test_what_a_failed_attempt_held_is_gone_at_the_next_one():
    engine = Greedy()
    tiling = Tiling(scale=4, tile=0, margin=2)
    step = LoadedNetwork(engine=engine, tiling=tiling, in_fp32=None)
    restore_tiled([gradient(300, 100)], step, call())
    assert len(engine.is_gone) > 2
    assert all(engine.is_gone)
    assert engine.n_rooms == 2


def test_what_faces_held_is_gone_when_fewer_of_them_follow():
    from evalkit.restorers.gpen.face_restorer import FaceRestorer

    engine = Greedy()
    faces = FaceRestorer(
        engine=engine,
        in_fp32=None,
        side=64,
        batch=4,
        parser=None,
        truncate=False,
        skin_protection=False,
    )
    faces([gradient(64, 64)] * 4, call())
    assert len(engine.is_gone) == 1 + 2 + 4
    assert all(engine.is_gone)
    assert engine.n_rooms == 3
