"""ONNX Runtime against the same networks in PyTorch, and when it is not there."""

import importlib.util
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from evalkit.errors import (
    EvalkitError,
    OutOfMemoryError,
    RandomWeightsWarning,
    SettingError,
)
from evalkit.paths import cache_dir
from evalkit.restorers import load_restorer, onnx, plan_restorer, realesrgan
from evalkit.restorers.engines import onnx as _onnx_engine
from evalkit.restorers.engines import onnx_export as _onnx_export
from evalkit.restorers.engines.converted import ConversionError
from evalkit.restorers.engines.onnx import OnnxMissingError, Session
from evalkit.restorers.engines.onnx_export import load_engine
from evalkit.restorers.gpen import random_generator
from evalkit.weights import find, load_state

SMALL = "onnx-realesrgan-animevideo-x4"
ON_CPU = Session(device="cpu", precision="fp32")

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture(autouse=True)
def _onnx(need):
    for name in ("onnx", "onnxruntime", "onnxscript"):
        need(importlib.util.find_spec(name), "pip install 'evalkit[onnx]'")


@pytest.fixture
def picture(astronaut):
    """A face: (40, 52, 3), RGB, uint8."""
    return astronaut[90:130, 200:252]


def released():
    """The network of `SMALL` as its authors define it, with its weights."""
    from evalkit.imports.basicsr import import_basicsr

    import_basicsr()
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    module = SRVGGNetCompact(num_conv=16).eval()
    state = load_state(find("realesrgan-animevideo-x4"), module.state_dict())
    module.load_state_dict(state)
    return module


def in_pytorch(module, picture):
    batch = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        output = module(batch)[0].permute(1, 2, 0).numpy()
    return np.rint(np.clip(output, 0, 1) * 255).astype(int)


def tiny_network():
    """Two pictures' worth of weights, seeded; any size of picture."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=1), torch.nn.ReLU())


@pytest.mark.parametrize("tile", [0, 16])
def test_real_esrgan_is_pytorchs_to_one_level_tiled_or_not(tile, picture):
    result = load_restorer(SMALL, device="cpu", tile=tile).restore(picture)
    assert np.abs(result.image - in_pytorch(released(), picture)).max() <= 1
    assert result.notes[0].startswith("ONNX Runtime")
    assert any("differed then from PyTorch by" in note for note in result.notes)


@pytest.mark.slow
def test_gpens_generator_is_pytorchs_for_any_number_of_faces():
    module = random_generator(256)
    chance = torch.Generator().manual_seed(1)
    faces = torch.rand(3, 3, 256, 256, generator=chance) * 2 - 1
    with torch.inference_mode():
        expected = module(faces).numpy()
    engine, _ = load_engine(module, faces[:1], ON_CPU, free_axes=())
    np.testing.assert_allclose(engine(faces.numpy()), expected, atol=1e-4)


@pytest.mark.slow
def test_gpen_on_onnx_restores_what_gpen_restores(astronaut):
    told = {"device": "cpu", "precision": "fp32", "weights": "random"}
    face = astronaut[60:188, 160:288]
    with pytest.warns(RandomWeightsWarning):
        ours = load_restorer("onnx-gpen-256", **told)
    with pytest.warns(RandomWeightsWarning):
        theirs = load_restorer("gpen-256", **told)
    result = ours.restore(face, aligned=True)
    expected = theirs.restore(face, aligned=True).image
    difference = result.image.astype(int) - expected
    assert np.abs(difference).max() <= 2
    assert ours.weights_kind == "random"
    assert ours.parameters["name"] == "onnx-gpen-256"
    assert any("ONNX Runtime" in note for note in result.notes)


def test_gpens_plan_holds_the_restorer_of_its_background():
    told = {"background": "realesrgan", "weights": "random", "device": "cpu"}
    plan = plan_restorer("onnx-gpen-256", **told)
    assert "evalkit.restorers.realesrgan" in plan.modules


def test_an_export_is_made_once(monkeypatch, picture):
    first = load_restorer(SMALL, device="cpu").restore(picture).image
    monkeypatch.setattr(_onnx_export, "_export", None)
    again = load_restorer(SMALL, device="cpu").restore(picture).image
    np.testing.assert_array_equal(again, first)


def test_other_weights_are_another_export(tmp_path, picture):
    module = released()
    with torch.no_grad():
        module.body[0].weight.mul_(0.5)
    torch.save({"params": module.state_dict()}, tmp_path / "own.pth")
    own = load_restorer(SMALL, device="cpu", weights=str(tmp_path / "own.pth"))
    output = own.restore(picture).image
    assert np.abs(output - in_pytorch(module, picture)).max() <= 1


def test_an_export_that_is_another_network_is_refused_and_not_kept(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    real = _onnx_export._program

    def wrong(module, *rest):
        with torch.no_grad():
            module[0].bias.add_(0.01)
        return real(module, *rest)

    monkeypatch.setattr(_onnx_export, "_program", wrong)
    example = torch.rand(1, 3, 16, 16)
    with pytest.raises(ConversionError, match=r"differs from PyTorch's fp32 by 0\.0"):
        load_engine(tiny_network(), example, ON_CPU, free_axes=(2, 3))
    assert not list((cache_dir() / "onnx").iterdir())


def test_fp16_is_near_fp32():
    example = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = tiny_network()(example).numpy()
    session = Session(device="cpu", precision="fp16")
    engine, _ = load_engine(tiny_network(), example, session, free_axes=(2, 3))
    output = engine(example.numpy())
    assert output.dtype == np.float32
    assert 0 < np.abs(output - expected).max() < 2e-3


def test_two_threads_get_their_own_pictures(picture):
    restorer = load_restorer(SMALL, device="cpu")
    sources = [picture, picture[::-1].copy()]
    expected = [restorer.restore(source).image for source in sources]
    wrong = []

    def work(index):
        for _ in range(3):
            output = restorer.restore(sources[index]).image
            wrong.append(not np.array_equal(output, expected[index]))

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 6


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        # as ONNX Runtime 1.31.1 says it under a limit of memory
        ("node. Status Message: std::bad_alloc", OutOfMemoryError),
        (
            "bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for "
            "requested buffer of size 92160000",
            OutOfMemoryError,
        ),
        ("Got invalid dimensions for input", EvalkitError),
    ],
)
def test_a_failure_of_onnx_runtime_is_one_of_ours(text, kind, monkeypatch):
    example = torch.rand(1, 3, 16, 16)
    engine, _ = load_engine(tiny_network(), example, ON_CPU, free_axes=(2, 3))

    def fail(*_):
        raise RuntimeError(text)

    monkeypatch.setattr(engine._session, "run_with_iobinding", fail)
    with pytest.raises(EvalkitError) as failure:
        engine(example.numpy())
    assert type(failure.value) is kind


def test_without_onnx_runtime_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert plan_restorer(SMALL, device="cpu").weights_kind in ("package", "mirror")
    with pytest.raises(OnnxMissingError, match=r"pip install 'evalkit\[onnx\]'"):
        load_restorer(SMALL, device="cpu")


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_precision_that_the_cpu_does_not_have_is_refused(precision):
    with pytest.raises(SettingError, match=precision):
        plan_restorer(SMALL, device="cpu", precision=precision)


@pytest.fixture
def cuda(monkeypatch):
    """``cuda(providers)``: a machine with a GPU, and such an ONNX Runtime."""

    def pretend(*providers):
        def pick(device):
            return "cpu" if device == "cpu" else "cuda:0"

        runtime = SimpleNamespace(get_available_providers=lambda: list(providers))
        monkeypatch.setattr(onnx, "pick_device", pick)
        monkeypatch.setattr(realesrgan, "pick_device", pick)
        monkeypatch.setattr(onnx, "import_onnxruntime", lambda: runtime)

    return pretend


def test_on_cuda_the_plan_records_the_providers_options(cuda):
    cuda("CUDAExecutionProvider", "CPUExecutionProvider")
    resolved = plan_restorer(SMALL, cudnn_conv_algo_search="heuristic").resolved
    assert resolved["device"] == "cuda:0"
    assert resolved["precision"] == "fp16"
    assert resolved["provider"] == "CUDAExecutionProvider"
    assert resolved["provider_options"] == {"cudnn_conv_algo_search": "HEURISTIC"}


def test_single_precision_on_cuda_is_exact_and_no_tf32(cuda):
    """ONNX Runtime has ``use_tf32`` on by default."""
    cuda("CUDAExecutionProvider", "CPUExecutionProvider")
    on_cuda, on_cpu = (
        plan_restorer(SMALL, precision="fp32", device=device).resolved
        for device in ("cuda", "cpu")
    )
    assert on_cuda["provider_options"]["use_tf32"] == "0"
    assert on_cpu["provider_options"] == {}


def test_without_the_cuda_provider_auto_is_the_cpu_and_cuda_is_refused(cuda):
    cuda("CPUExecutionProvider")
    plan = plan_restorer(SMALL)
    assert plan.resolved["device"] == "cpu"
    assert any("onnxruntime-gpu" in note for note in plan.notes)
    with pytest.raises(SettingError, match="onnxruntime-gpu"):
        plan_restorer(SMALL, device="cuda")


def test_a_session_that_fell_back_to_the_cpu_is_an_error(tmp_path):
    opened = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    runtime = SimpleNamespace(
        SessionOptions=SimpleNamespace,
        get_available_providers=lambda: ["CUDAExecutionProvider"],
        InferenceSession=lambda *_args, **_options: opened,
    )
    session = Session(device="cuda:0", precision="fp16")
    with pytest.raises(OnnxMissingError, match="could not load"):
        _onnx_engine._open(runtime, tmp_path / "network.onnx", session)


@pytest.mark.gpu
def test_on_cuda_fp16_is_near_the_cpu(picture):
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("needs a CUDA device and onnxruntime-gpu")
    on_cpu = load_restorer(SMALL, device="cpu").restore(picture).image
    on_cuda = load_restorer(SMALL, device="cuda", precision="fp16").restore(picture)
    error = np.mean((on_cuda.image.astype(float) - on_cpu) ** 2)
    assert 10 * np.log10(255**2 / error) >= 45


@pytest.mark.soak
def test_x4plus_is_pytorchs(picture):
    from evalkit.restorers.realesrgan.network import NETWORKS, load_module

    name = "realesrgan-x4plus"
    result = load_restorer(f"onnx-{name}", device="cpu").restore(picture)
    module = load_module(NETWORKS[name], [find(name)])
    assert np.abs(result.image - in_pytorch(module, picture)).max() <= 1
