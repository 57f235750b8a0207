import csv
import gc
import hashlib
import importlib
import json
import logging
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
import torch
from skimage import data

from evalkit.errors import (
    CancelledError,
    OutOfMemoryError,
    OutputRejectedError,
    SettingError,
    UnknownNameError,
    WeightsError,
)
from evalkit.images import read_image
from evalkit.imports.basicsr import import_basicsr
from evalkit.restorers import load_restorer, plan_restorer
from evalkit.restorers.engines.torch import TorchEngine, cpu_has
from evalkit.restorers.realesrgan.network import NETWORKS, build_module, load_module
from evalkit.weights import find

pytestmark = pytest.mark.usefixtures("shared_cache")

SMALL = "realesrgan-animevideo-x4"  # 1.2 MB, and as fast
RUNNERS = pytest.mark.parametrize("runner", ["upstream", "tuned"])


def load(name=SMALL, **settings):
    return load_restorer(name, **{"device": "cpu", **settings})


def in_fp32(name=SMALL, **settings):
    return load(name, precision="fp32", **settings)


def levels_off(output, expected):
    """Largest difference, in levels of 255."""
    assert output.dtype == expected.dtype
    assert output.shape == expected.shape
    step = np.iinfo(output.dtype).max / 255
    return np.abs(output.astype(float) - expected).max() / step


def psnr_db(output, expected):
    error = (output.astype(float) - expected) / np.iinfo(output.dtype).max
    return -10 * np.log10(np.mean(error**2))


@pytest.fixture
def face(astronaut):
    """Odd sides, (57, 49, 3)."""
    return astronaut[80:137, 190:239]


@pytest.fixture
def with_alpha(face):
    ramp = np.linspace(0, 255, face[..., 0].size).reshape(face.shape[:2])
    return np.dstack([face, ramp.astype(np.uint8)])


@pytest.fixture(scope="module")
def original():
    """`RealESRGANer` as upstream's script makes it: here the outside judge."""
    import_basicsr()
    from realesrgan import RealESRGANer

    return RealESRGANer


def script(original, tmp_path, name=SMALL, **settings):
    network = NETWORKS[name]
    path = tmp_path / "weights.pth"
    module = load_module(network, [find(name)])
    torch.save({"params": module.state_dict()}, path)
    defaults = {"tile": 0, "tile_pad": 10, "pre_pad": 0, "half": False, "device": "cpu"}
    return original(
        scale=network.scale,
        model_path=str(path),
        model=build_module(network),
        **{**defaults, **settings},
    )


# --- the runners ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image[..., 0],
        lambda image: image.astype(np.uint16) * 257,
        lambda image: np.dstack([image, image[..., :1]]),
    ],
    ids=["colour", "grey", "16-bit", "alpha"],
)
@pytest.mark.parametrize("tile", [0, 24])
def test_upstream_gives_what_its_script_gives(change, tile, face, original, tmp_path):
    image = change(face)
    cv2.imwrite(str(tmp_path / "source.png"), _swapped(image))
    read = cv2.imread(str(tmp_path / "source.png"), cv2.IMREAD_UNCHANGED)
    expected, _ = script(original, tmp_path, tile=tile).enhance(read, outscale=4)
    output = load(runner="upstream", tile=tile).restore(image).image
    np.testing.assert_array_equal(output, _swapped(expected))


def _swapped(image):
    return image if image.ndim == 2 else image[..., [2, 1, 0, 3][: image.shape[2]]]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image[..., 0],
        lambda image: image.astype(np.uint16) * 257,
        lambda image: np.dstack([image, image[..., :1]]),
        lambda image: image[:1, :1],
        lambda image: image[:1],
        lambda image: image[:, :1],
    ],
    ids=["colour", "grey", "16-bit", "alpha", "1x1", "1xN", "Nx1"],
)
@pytest.mark.parametrize("tile", ["auto", 20])
def test_tuned_in_fp32_is_within_one_level_of_upstream(change, tile, face):
    image = change(face)
    expected = load(runner="upstream").restore(image).image
    assert levels_off(in_fp32(tile=tile).restore(image).image, expected) <= 1


def registered_pictures(mirror):
    """Path below the folder, and picture, of all that are registered."""
    folder = next(folder for folder in mirror if (folder / "portrait").is_dir())
    with (folder / "manifest.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["path"], read_image(folder / row["path"])


def seeded_crops(mirror):
    """A 128x128 crop of every registered picture, or all of a smaller one."""
    for path, image in registered_pictures(mirror):
        rng = np.random.default_rng(list(path.encode()))
        top, left = (rng.integers(max(1, side - 127)) for side in image.shape[:2])
        yield path, image[top : top + 128, left : left + 128]


def off_by_picture(name, crops):
    upstream, tuned = load(name, runner="upstream"), in_fp32(name)
    return {
        picture: levels_off(tuned.restore(crop).image, upstream.restore(crop).image)
        for picture, crop in crops
    }


@pytest.mark.parametrize(
    ("name", "step"),
    [
        pytest.param(SMALL, 8, marks=pytest.mark.slow),
        pytest.param("realesrgan-x4plus", 240, marks=pytest.mark.slow),
        pytest.param(SMALL, 1, marks=pytest.mark.soak),
        pytest.param("realesrgan-x4plus", 1, marks=pytest.mark.soak),
        pytest.param("realesrgan-x4plus-anime", 1, marks=pytest.mark.soak),
    ],
)
def test_a_network_agrees_on_every_picture(name, step, mirror):
    off = off_by_picture(name, islice(seeded_crops(mirror), 0, None, step))
    assert len(off) >= 60 // step
    assert {picture: levels for picture, levels in off.items() if levels > 1} == {}


@pytest.mark.soak
def test_whole_pictures_agree_away_from_the_borders_of_tiles(mirror):
    upstream, tuned = load(runner="upstream"), in_fp32(tile=256)
    for path, image in registered_pictures(mirror):
        if image.shape[0] * image.shape[1] < 2_000_000:  # upstream's memory
            expected = upstream.restore(image).image
            assert levels_off(tuned.restore(image).image, expected) <= 1, path


@pytest.mark.parametrize(
    "reader", ["weights.ncnn_state", "restorers.realesrgan.network.load_state"]
)
def test_a_mended_reader_of_weights_reaches_the_picture(reader, face, monkeypatch):
    """In place, and under the cache of networks that the old one made."""
    monkeypatch.delenv("EVALKIT_MIRROR", raising=False)  # a package's are ncnn's
    before = in_fp32().restore(face).image
    module, _, name = f"evalkit.{reader}".rpartition(".")
    real = getattr(importlib.import_module(module), name)

    def mended(*given):
        return {key: 1.01 * value for key, value in real(*given).items()}

    monkeypatch.setattr(f"evalkit.{reader}", mended)
    network = load_module(NETWORKS[SMALL], [find(SMALL)])
    batch = face.transpose(2, 0, 1)[None].astype(np.float32) / 255
    expected = TorchEngine(network, "cpu", "fp32")(batch)[0].transpose(1, 2, 0)
    expected = np.rint(np.clip(expected, 0, 1) * 255).astype(np.uint8)
    after = in_fp32().restore(face).image
    assert levels_off(after, expected) <= 1
    assert levels_off(after, before) > 1


TEXTURES = {
    "face": lambda: data.astronaut()[100:164, 180:244],
    "fur": lambda: data.chelsea()[100:164, 100:164],
    "print": lambda: data.page()[40:104, 40:104],
    "grain": lambda: np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [SMALL, "realesrgan-x4plus"])
def test_bf16_is_as_near_to_fp32_as_the_documentation_says(name, need):
    """41.9 dB is the least of 48 registered pictures; white noise is worse than any."""
    need(cpu_has("bf16"), "run this on a CPU with avx512_bf16 or amx_bf16 units")
    exact, fast = in_fp32(name), load(name, precision="bf16")
    for texture, make in TEXTURES.items():
        image = make()
        near_db = psnr_db(fast.restore(image).image, exact.restore(image).image)
        assert near_db >= (30 if texture == "grain" else 41.9), texture


@pytest.mark.slow
def test_the_tiles_of_the_large_network_show_no_seam(astronaut):
    image = astronaut[60:100, 60:380]  # the astronaut's flag and shuttle, cut in two
    whole = in_fp32("realesrgan-x4plus-anime", tile=0).restore(image).image
    tiled = in_fp32("realesrgan-x4plus-anime", tile=160).restore(image)
    assert levels_off(tiled.image, whole) <= 1


# --- settings -------------------------------------------------------------------------


@RUNNERS
@pytest.mark.parametrize("scale", [2, 3, 2.5, 4])
def test_other_scales_are_lanczos_of_the_networks_output(runner, scale, face):
    made = load(runner=runner, precision="fp32", scale=scale).restore(face)
    own = load(runner=runner, precision="fp32").restore(face).image
    size = (int(49 * scale), int(57 * scale))
    expected = cv2.resize(own, size, interpolation=cv2.INTER_LANCZOS4)
    assert levels_off(made.image, expected) == 0
    assert any("by Lanczos from 4" in note for note in made.notes) == (scale != 4)


def test_a_scale_of_8_is_4_then_2(face):
    made = in_fp32(scale=8).restore(face)
    once = in_fp32().restore(face).image
    twice = in_fp32().restore(once).image
    size = (8 * face.shape[1], 8 * face.shape[0])
    expected = cv2.resize(twice, size, interpolation=cv2.INTER_LANCZOS4)
    assert levels_off(made.image, expected) == 0
    assert any(note.startswith("scale 8 as 4 then 2") for note in made.notes)


def test_upstreams_scale_of_8_is_lanczos(face):
    made = load(runner="upstream", scale=8).restore(face)
    assert made.image.shape == (8 * 57, 8 * 49, 3)
    assert "scale 8 by Lanczos from 4" in made.notes


@RUNNERS
def test_alpha_goes_through_the_network_or_is_interpolated(runner, with_alpha):
    settings = {"runner": runner, "precision": "fp32"}
    by_network = load(**settings).restore(with_alpha).image
    alone = load(**settings).restore(np.ascontiguousarray(with_alpha[..., 3])).image
    assert levels_off(by_network[..., 3], alone) <= 1
    interpolated = load(alpha="interpolate", **settings).restore(with_alpha).image
    expected = cv2.resize(
        with_alpha[..., 3].astype(np.float32), None, fx=4, fy=4
    )  # bilinear is its default
    assert np.abs(interpolated[..., 3] - expected).max() <= 0.51
    np.testing.assert_array_equal(interpolated[..., :3], by_network[..., :3])


def test_an_opaque_picture_stays_opaque_and_costs_no_more(face):
    told = []
    opaque = np.dstack([face, np.full(face.shape[:2], 255, np.uint8)])
    made = in_fp32().restore(opaque, progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 1)]
    assert (made.image[..., 3] == 255).all()
    np.testing.assert_array_equal(made.image[..., :3], in_fp32().restore(face).image)
    theirs = load(runner="upstream", precision="fp32").restore(opaque).image
    assert levels_off(made.image, theirs) <= 1


def test_a_dark_16_bit_picture_keeps_its_bits_where_upstream_takes_it_for_8(face):
    dark = face.astype(np.uint16)
    upstream = load(runner="upstream").restore(dark)
    assert upstream.image.dtype == np.uint16
    assert upstream.image.mean() > 20000
    assert any("for 8 bits" in note for note in upstream.notes)
    assert in_fp32().restore(dark).image.mean() < 300


@pytest.mark.parametrize(
    ("settings", "error", "told"),
    [
        ({"outscale": 2}, UnknownNameError, "outscale.*known: alpha, device"),
        ({"denoise_strength": 1}, UnknownNameError, "denoise_strength"),
        ({"scale": 0.5}, SettingError, "scale must be 1 or more; found 0.5"),
        ({"scale": True}, SettingError, "found True"),
        ({"alpha": "none"}, SettingError, "'network' or 'interpolate'"),
        ({"tile": -1}, SettingError, "tile must be 0 or more; found -1"),
        ({"runner": "upstream", "precision": "bf16"}, SettingError, "auto, fp32, fp16"),
        ({"device": "gpu"}, SettingError, "cuda:N"),
        ({"weights": "nowhere.pth"}, WeightsError, "nowhere.pth"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(settings, error, told):
    with pytest.raises(error, match=told):
        plan_restorer(SMALL, **settings)


@RUNNERS
def test_parameters_go_through_json_and_make_the_same_restorer(runner, face):
    settings = {"scale": 2, "alpha": "interpolate", "tile": 40, "precision": "fp32"}
    restorer = load(runner=runner, **settings)
    again = load_restorer(**json.loads(json.dumps(restorer.parameters)))
    assert again.parameters == restorer.parameters
    assert again.plan.resolved == restorer.plan.resolved
    np.testing.assert_array_equal(
        again.restore(face).image, restorer.restore(face).image
    )


def test_the_plan_says_what_auto_means_here():
    tuned = plan_restorer(SMALL, device="cpu").resolved
    assert tuned["precision"] == ("bf16" if cpu_has("bf16") else "fp32")
    assert (tuned["device"], tuned["scale"]) == ("cpu", 4)
    assert tuned["tile"] > 0
    upstream = plan_restorer(SMALL, device="cpu", runner="upstream").resolved
    assert (upstream["precision"], upstream["tile"]) == ("fp32", 0)


@RUNNERS
def test_notes_say_engine_and_precision_and_stages_where_the_time_went(runner, face):
    made = load(runner=runner, precision="fp32").restore(face)
    engine = "PyTorch" if runner == "upstream" else "OpenVINO"
    assert engine in made.notes[0]
    assert "fp32, cpu" in made.notes[0]
    assert {"upload", "network"} <= set(made.stages_s)
    assert all(seconds >= 0 for seconds in made.stages_s.values())


# --- weights --------------------------------------------------------------------------


def test_a_file_of_ones_own_is_used_and_recorded(mirror, face):
    path = next(f for folder in mirror for f in folder.glob("**/realesr-anime*.pth"))
    restorer = in_fp32(weights=str(path))
    assert restorer.weights_kind == "user"
    expected = in_fp32().restore(face).image  # the same network, in another container
    assert levels_off(restorer.restore(face).image, expected) <= 1


@RUNNERS
def test_weights_of_another_network_are_refused(runner, tmp_path):
    other = build_module(NETWORKS["realesrgan-general-x4"]).state_dict()
    torch.save({"params": other}, tmp_path / "RealESRGAN_x4plus.pth")
    with pytest.raises(WeightsError, match="does not hold weights of realesrgan-anime"):
        load(runner=runner, weights=str(tmp_path / "RealESRGAN_x4plus.pth"))


@pytest.fixture
def general_weights(tmp_path, monkeypatch):
    """Random stand-ins for general-x4 and its sister, registered and mirrored."""
    entries = []
    for seed, name in enumerate(["realesrgan-general-x4", "realesrgan-general-wdn-x4"]):
        torch.manual_seed(seed)
        path = tmp_path / f"{name}.pth"
        state = build_module(NETWORKS["realesrgan-general-x4"]).state_dict()
        torch.save({"params": state}, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entries.append(
            f"- name: {name}\n  network: random\n  licence: none\n  citation: none\n"
            f"  files:\n  - file: {path.name}\n    size_bytes: {path.stat().st_size}\n"
            f"    sha256: {digest}\n    note: made by this test\n"
            f"    urls: [http://127.0.0.1:9/{path.name}]\n"
        )
    (tmp_path / "weights.yaml").write_text(
        "notices: {}\nweights:\n" + "".join(entries), encoding="utf-8"
    )
    monkeypatch.setenv("EVALKIT_WEIGHTS", str(tmp_path / "weights.yaml"))
    monkeypatch.setenv("EVALKIT_MIRROR", str(tmp_path))
    return [tmp_path / "realesrgan-general-x4.pth", tmp_path / f"{name}.pth"]


@RUNNERS
@pytest.mark.parametrize("strength", [0, 0.5, 1])
def test_denoise_strength_mixes_the_weights_as_upstream_does(
    runner, strength, general_weights, face, original
):
    judge = original(
        scale=4,
        model_path=[str(path) for path in general_weights],
        dni_weight=[strength, 1 - strength],
        model=build_module(NETWORKS["realesrgan-general-x4"]),
        pre_pad=0,
        device="cpu",
    )
    expected = _swapped(judge.enhance(_swapped(face))[0])
    name = "realesrgan-general-x4"
    restorer = load(name, runner=runner, precision="fp32", denoise_strength=strength)
    assert levels_off(restorer.restore(face).image, expected) <= 1
    assert len(restorer.plan.weights) == (1 if strength == 1 else 2)


def test_half_denoising_is_the_default_as_in_upstreams_script(general_weights):
    plan = plan_restorer("realesrgan-general-x4", device="cpu")
    assert plan.resolved["denoise_strength"] == 0.5
    assert [found.name for found in plan.weights] == list(plan.spec.weights)


@pytest.fixture
def x2_weights(tmp_path, monkeypatch):
    """Random weights for an x2 network of one block; no package has the real one."""
    name = "realesrgan-x2plus"
    monkeypatch.setitem(NETWORKS, name, replace(NETWORKS[name], n_blocks=1))
    torch.manual_seed(0)
    path = tmp_path / "x2.pth"
    torch.save(build_module(NETWORKS[name]).state_dict(), path)
    return str(path)


def test_odd_sides_fit_the_x2_network_as_upstream_fits_them(x2_weights, face):
    name = "realesrgan-x2plus"
    tuned = in_fp32(name, weights=x2_weights)
    upstream = load(name, runner="upstream", weights=x2_weights)
    image = face[:23, :31]
    expected = upstream.restore(image).image
    assert levels_off(tuned.restore(image).image, expected) <= 1
    # one pixel: upstream cannot mirror it, and says so instead of making a picture
    assert tuned.restore(face[:1, :1]).image.shape == (2, 2, 3)
    with pytest.raises(OutputRejectedError, match=r"RealESRGANer failed: .*Padding"):
        upstream.restore(face[:1, :1])


# --- failures -------------------------------------------------------------------------


class Failing(torch.nn.Module):
    """A network that fails from its second call on."""

    def __init__(self, module, error):
        super().__init__()
        self.module, self.error, self.calls = module, error, 0

    def forward(self, batch):
        self.calls += 1
        if self.calls > 1:
            raise self.error
        return self.module(batch)


MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 6.00 GiB")


def test_the_original_pastes_the_tile_before_a_failed_one_and_goes_on(
    face, original, tmp_path, capsys
):
    upsampler = script(original, tmp_path, tile=29)
    upsampler.model = Failing(upsampler.model, MEMORY)
    output, _ = upsampler.enhance(face)
    # width 49: tiles of 29 and 20; the second one shows the first one's left part
    left, right = output[: 4 * 29, : 4 * 20], output[: 4 * 29, 4 * 29 :]
    assert np.abs(left[:, 40:].astype(int) - right[:, : 80 - 40]).mean() < 60
    assert output.shape == (4 * 57, 4 * 49, 3)


@pytest.mark.parametrize(
    ("error", "ours"),
    [(MEMORY, OutOfMemoryError), (RuntimeError("broken"), OutputRejectedError)],
)
def test_a_failed_tile_of_upstream_is_an_error_and_not_the_tile_before_it(
    error, ours, face
):
    restorer = load(runner="upstream", tile=29)
    restorer._upsampler.model = Failing(restorer._upsampler.model, error)
    with pytest.raises(ours, match=r"memory|broken"):
        restorer.restore(face)


LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from evalkit import load_restorer
from evalkit.errors import OutOfMemoryError
image = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
restorer = load_restorer(sys.argv[1], runner=sys.argv[2], device="cpu")
restorer.restore(image[:16, :16])
size_kib = Path("/proc/self/status").read_text().split("VmSize:")[1].split()[0]
resource.setrlimit(resource.RLIMIT_AS, ((int(size_kib) + 60 * 1024) * 1024,) * 2)
try:
    print("made", restorer.restore(image).notes)
except OutOfMemoryError as error:
    print("refused", error)
"""


@pytest.mark.slow
@RUNNERS
def test_a_process_with_little_memory_gets_smaller_tiles_or_our_error(runner):
    told = subprocess.check_output(
        [sys.executable, "-W", "ignore", "-c", LITTLE_MEMORY, SMALL, runner], text=True
    )
    last = told.splitlines()[-1]
    assert "out of memory" in last
    assert last.startswith(("made", "refused") if runner == "tuned" else "refused")


def test_nan_of_upstream_is_an_error_and_not_a_black_picture(face):
    restorer = load(runner="upstream")
    torch.nn.init.constant_(restorer._upsampler.model.body[0].bias, np.nan)
    with pytest.raises(OutputRejectedError, match="NaN"):
        restorer.restore(face)


def test_what_upstream_prints_is_logged(face, capsys, caplog):
    caplog.set_level(logging.INFO)
    load(runner="upstream", tile=29).restore(face.astype(np.uint16) * 257)
    assert capsys.readouterr().out == ""
    assert "Input is a 16-bit image" in caplog.messages
    assert "Tile 4/4" in caplog.messages


# --- for both -------------------------------------------------------------------------


@RUNNERS
def test_progress_counts_tiles(runner, with_alpha):
    told = []
    restorer = load(runner=runner, precision="fp32", tile=16)
    restorer.restore(with_alpha, progress=lambda *numbers: told.append(numbers))
    total = told[0][1]
    assert total == (32 if runner == "upstream" else 8)
    assert told == [(number, total) for number in range(1, total + 1)]


def test_progress_counts_the_tiles_of_both_passes_together(face):
    told = []
    restorer = in_fp32(scale=8, tile=64)
    restorer.restore(face, progress=lambda *numbers: told.append(numbers))
    assert told == [(number, 17) for number in range(1, 18)]


@RUNNERS
def test_cancel_stops_between_tiles(runner, face):
    done = []
    with pytest.raises(CancelledError):
        load(runner=runner, tile=4, precision="fp32").restore(
            face.repeat(2, axis=1),
            progress=lambda *numbers: done.append(numbers),
            cancel=lambda: len(done) == 1,
        )
    assert len(done) == 1


@RUNNERS
def test_two_threads_with_one_restorer_do_not_mix_their_pictures(runner, astronaut):
    restorer = load(runner=runner, precision="fp32", tile=30)
    images = [astronaut[60 * n : 60 * n + 50, 100:150] for n in range(2)]
    expected = [restorer.restore(image).image for image in images]
    made = [[], []]

    def work(number):
        for _ in range(3):
            made[number].append(restorer.restore(images[number]).image)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(2):
        assert len(made[number]) == 3
        assert all(levels_off(image, expected[number]) == 0 for image in made[number])


def with_first_pass(restorer, **changes):
    """The restorer, with parts of its (frozen) pass replaced."""
    restorer._passes = (replace(restorer._passes[0], **changes),)
    return restorer


def test_nan_in_bf16_gives_the_fp32_picture_and_a_note(face, need):
    need(cpu_has("bf16"), "run this on a CPU with avx512_bf16 or amx_bf16 units")

    class Overflowing(TorchEngine):
        def start(self, batch, watch):
            return lambda: np.full((len(batch), 3, 228, 196), np.nan, np.float32)

    engine = Overflowing(torch.nn.Identity(), "cpu", "bf16")
    made = with_first_pass(load(precision="bf16"), engine=engine).restore(face)
    assert levels_off(made.image, in_fp32().restore(face).image) == 0
    assert any(note.startswith("in fp32: ") and "NaN" in note for note in made.notes)


def test_pictures_of_one_size_go_together_where_a_device_gains_by_it(astronaut):
    images = [astronaut[:40, :50], astronaut[:30, :20], astronaut[50:90, :50]]
    expected = [in_fp32().restore(image).image for image in images]
    restorer = in_fp32()
    tiling = replace(restorer._passes[0].tiling, batch_px=10**6)
    told = []
    made = with_first_pass(restorer, tiling=tiling).restore_batch(
        images, progress=lambda *numbers: told.append(numbers)
    )
    assert told == [(2, 3), (3, 3)]
    for restored, wanted in zip(made, expected, strict=True):
        assert levels_off(restored.image, wanted) <= 1
    with pytest.raises(CancelledError):
        restorer.restore_batch(images, cancel=lambda: True)


def test_a_batch_gives_what_its_pictures_give_alone(astronaut):
    images = [astronaut[:40, :50], astronaut[50:90, :50], astronaut[:30, :20]]
    restorer = in_fp32()
    told = []
    made = restorer.restore_batch(images, progress=lambda *n: told.append(n))
    assert told[-1] == (3, 3)
    for image, restored in zip(images, made, strict=True):
        assert levels_off(restored.image, restorer.restore(image).image) <= 1


def test_of_a_batch_only_the_picture_that_overflows_is_done_in_fp32(astronaut):
    images = [astronaut[:40, :50], astronaut[50:90, :50]]
    restorer = load(precision="fp32")
    step, bright = restorer._passes[0], astronaut[:40, :50].mean() / 255
    expected = [restorer.restore(image).image for image in images]

    class Overflowing(TorchEngine):
        def start(self, batch, watch):
            output = step.engine(batch)
            means = batch.mean(axis=(1, 2, 3))
            output[np.abs(means - bright) < 1e-4] = np.nan
            return lambda: output

    engine = Overflowing(torch.nn.Identity(), "cpu", "fp32")
    tiling = replace(step.tiling, batch_px=1)
    with_first_pass(restorer, engine=engine, tiling=tiling, in_fp32=lambda: step.engine)
    made = restorer.restore_batch(images)
    told = [any("in fp32: " in note for note in one.notes) for one in made]
    assert told == [True, False]
    for one, wanted in zip(made, expected, strict=True):
        assert levels_off(one.image, wanted) <= 1


def test_the_way_from_the_device_is_upstreams_download_and_stages_add_up(
    face, monkeypatch
):
    restorer, cpu = load(runner="upstream"), torch.Tensor.cpu

    def slow(tensor):
        time.sleep(0.2)
        return cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", slow)
    start = time.perf_counter()
    made = restorer.restore(face[:40, :40])
    passed_s = time.perf_counter() - start
    assert made.stages_s["download"] >= 0.2
    assert {"upload", "network", "download", "blend"} == set(made.stages_s)
    # what `enhance` calls once more, which is then nothing, is in no other stage
    assert passed_s - 0.1 <= sum(made.stages_s.values()) <= passed_s


def tiled(side):
    """Peak and output in MiB, seams and their noise in dB: see the benchmark."""
    program = Path(__file__).parents[2] / "benchmarks" / "real_esrgan.py"
    told = subprocess.check_output(
        [sys.executable, "-W", "ignore", program, "--tiled", str(side)]
    )
    return [float(number) for number in told.split()[-4:]]


@pytest.mark.soak
def test_a_large_picture_needs_no_more_memory_beyond_its_output_and_shows_no_seam():
    small_mib, *_ = tiled(1024)
    large_mib, output_mib, seams_db, noise_db = tiled(4096)
    assert output_mib == 16384 * 16384 * 3 / 2**20
    assert large_mib <= 1.2 * small_mib + output_mib
    assert seams_db <= noise_db


@pytest.mark.soak
def test_memory_returns_when_models_and_runners_are_switched_twenty_times(astronaut):
    image, process, rss = astronaut[:96, :96], psutil.Process(), []
    for number in range(20):
        name = ("realesrgan-animevideo-x4", "realesrgan-x4plus-anime")[number % 2]
        restorer = load(name, runner=("tuned", "upstream")[number // 2 % 2])
        restorer.restore(image)
        del restorer
        gc.collect()
        rss.append(process.memory_info().rss)
    assert max(rss[16:]) <= 1.05 * max(rss[4:8])


@pytest.mark.gpu
def test_on_a_gpu_auto_is_the_first_one_and_half_precision(astronaut):
    restorer = load(device="auto")
    assert restorer.plan.resolved["device"] == "cuda:0"
    assert restorer.plan.resolved["precision"] == "fp16"
    assert restorer.restore(astronaut[:96, :96]).image.shape == (384, 384, 3)


@pytest.mark.gpu
def test_memory_returns_when_the_device_is_switched_twenty_times(astronaut):
    reserved = []
    for _ in range(10):
        for device in ("cuda:0", "cpu"):
            load(device=device).restore(astronaut[:96, :96])
            gc.collect()
        reserved.append(torch.cuda.memory_reserved())
    assert reserved[-1] <= 1.05 * reserved[1]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
@pytest.mark.parametrize("tile", ["auto", 100])
def test_cuda_gives_what_the_cpu_gives(precision, tile, astronaut):
    images = [astronaut[:256, :200], astronaut[256:, 200:400]]
    expected = [in_fp32().restore(image).image for image in images]
    restorer = load(device="cuda:0", precision=precision, tile=tile)
    for image, wanted in zip(images, expected, strict=True):
        assert psnr_db(restorer.restore(image).image, wanted) >= 50
    for made, wanted in zip(restorer.restore_batch(images), expected, strict=True):
        assert psnr_db(made.image, wanted) >= 50
    assert {"upload", "network", "download", "blend"} <= set(made.stages_s)
