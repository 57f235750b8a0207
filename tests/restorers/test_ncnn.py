"""Real-ESRGAN on ncnn, against the same weights in PyTorch, and when it fails."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

from evalkit.errors import (
    CancelledError,
    EvalkitError,
    KilledError,
    OutOfMemoryError,
    OutputRejectedError,
    SettingError,
    WeightsError,
)
from evalkit.restorers import load_restorer, ncnn, plan_restorer
from evalkit.restorers.ncnn import process as _ncnn_process
from evalkit.restorers.ncnn.process import NcnnMissingError, vulkan_devices
from evalkit.weights import find, load_state, registry

SMALL = "ncnn-realesrgan-animevideo-x4"
LARGE = "ncnn-realesrgan-x4plus"


@pytest.fixture
def portrait():
    """A face: (40, 52, 3), RGB, uint8."""
    return data.astronaut()[90:130, 200:252]


@pytest.fixture
def lettering():
    """Black print on grey paper: (64, 80, 3), RGB, uint8."""
    return np.dstack([data.page()[40:104, 40:120]] * 3)


@pytest.fixture
def libraries(need):
    """What the package's extension needs from the system."""
    try:
        vulkan_devices()
    except NcnnMissingError as error:
        need(None, str(error))


@pytest.fixture
def vulkan(need, libraries):
    """A Vulkan device, be it software."""
    need(vulkan_devices(), "apt install mesa-vulkan-drivers, for Vulkan in software")


@pytest.fixture
def small(libraries):
    return load_restorer(SMALL, device="cpu")


@pytest.fixture
def fake_package(tmp_path, monkeypatch):
    """``fake_package(process)``: an extension whose `process` has this body."""

    def install(process: str, on_import: str = "") -> None:
        (tmp_path / "realesrgan_ncnn_vulkan_wrapper.py").write_text(
            f"import os, sys, time\n{on_import}\n"
            "def get_gpu_count(): return 0\n"
            "class RealESRGANImage:\n"
            "    def __init__(self, d, w, h, c): self.d = d\n"
            "    def get_data(self): return self.d\n"
            "class RealESRGANWrapped:\n"
            "    def __init__(self, gpu, tta): pass\n"
            "    def load(self, param, bin): pass\n"
            "    def set_parameters(self, tile, scale): pass\n"
            f"    def process(self, source, output): {process}\n",
            encoding="utf-8",
        )
        monkeypatch.setattr(_ncnn_process, "package_folder", lambda: tmp_path)
        vulkan_devices.cache_clear()

    yield install
    vulkan_devices.cache_clear()


def in_pytorch(picture, name):
    """The network in fp32, with ncnn's context: 10 px of the mirrored picture."""
    import torch
    from torch.nn import functional as F

    from evalkit.imports.basicsr import import_basicsr

    import_basicsr()
    from basicsr.archs.rrdbnet_arch import RRDBNet
    from realesrgan.archs.srvgg_arch import SRVGGNetCompact

    module = {
        "realesrgan-x4plus": lambda: RRDBNet(3, 3, num_block=23),
        "realesrgan-x4plus-anime": lambda: RRDBNet(3, 3, num_block=6),
        "realesrgan-animevideo-x4": lambda: SRVGGNetCompact(num_conv=16),
    }[name]()
    module.load_state_dict(load_state(find(name), module.state_dict()))
    batch = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
    with torch.inference_mode():
        output = module.eval()(F.pad(batch, (10,) * 4, mode="reflect"))[0]
    output = output[:, 40:-40, 40:-40].permute(1, 2, 0).numpy()
    return np.rint(np.clip(output, 0, 1) * 255).astype(np.uint8)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(e.name, marks=[pytest.mark.slow] * ("x4plus" in e.name))
        for e in ncnn.ENTRIES
    ],
)
def test_its_output_on_the_cpu_is_pytorchs(name, portrait, libraries):
    portrait = portrait[8:32, 8:36]  # the large network takes its time in PyTorch
    output = load_restorer(name, device="cpu", tile=200).restore(portrait).image
    expected = in_pytorch(portrait, name.removeprefix("ncnn-"))
    assert peak_signal_noise_ratio(expected, output) >= 40


@pytest.mark.parametrize("picture", ["portrait", "lettering"])
def test_its_output_on_a_vulkan_device_is_pytorchs(picture, vulkan, request):
    source = request.getfixturevalue(picture)
    result = load_restorer(SMALL, device="vulkan:0", tile=200).restore(source)
    expected = in_pytorch(source, "realesrgan-animevideo-x4")
    assert peak_signal_noise_ratio(expected, result.image) >= 40
    assert vulkan_devices()[0] in result.notes[0]


def test_a_picture_of_several_tiles_is_nearly_that_of_one(small, portrait):
    tiled = load_restorer(SMALL, device="cpu", tile=32)
    counts = []
    output = tiled.restore(portrait, progress=lambda *told: counts.append(told)).image
    assert counts == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert peak_signal_noise_ratio(small.restore(portrait).image, output) >= 40


def test_the_plan_knows_the_weights_and_loads_nothing():
    plan = plan_restorer(LARGE)
    carried = registry()["realesrgan-x4plus"].carried_by[0]
    assert plan.weights_kind == "package"
    assert plan.weights[0].sha256 == carried.bin.sha256
    assert not any("realesrgan_ncnn" in name for name in sys.modules)


def test_grey_alpha_and_16_bits_come_back(small, portrait):
    colours = small.restore(portrait).image
    grey = small.restore(portrait[..., 0]).image
    assert (grey.shape, grey.dtype) == ((160, 208), np.uint8)

    alpha = np.tile(np.arange(52, dtype=np.uint8) * 4, (40, 1))
    output = small.restore(np.dstack([portrait, alpha])).image
    np.testing.assert_array_equal(output[..., :3], colours)
    assert abs(output[..., 3].mean() - alpha.mean()) < 1

    deep = small.restore(portrait.astype(np.uint16) * 257)
    np.testing.assert_array_equal(deep.image, colours.astype(np.uint16) * 257)
    assert any("16 bits" in note for note in deep.notes)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (9, 3)])
def test_a_tiny_picture_is_restored(shape, small, portrait):
    height, width = shape
    output = small.restore(portrait[:height, :width]).image
    assert output.shape == (4 * height, 4 * width, 3)


def test_another_scale_is_made_by_lanczos(libraries, portrait):
    result = load_restorer(SMALL, device="cpu", scale=2.5).restore(portrait)
    assert result.image.shape == (100, 130, 3)
    assert any("Lanczos" in note for note in result.notes)


def test_cancelling_ends_the_work_and_the_next_picture_is_restored(small, portrait):
    expected = small.restore(portrait).image
    large = np.tile(portrait, (25, 20, 1))
    start = time.monotonic()
    with pytest.raises(CancelledError):
        small.restore(large, cancel=lambda: time.monotonic() > start + 0.3)
    assert time.monotonic() < start + 2
    np.testing.assert_array_equal(small.restore(portrait).image, expected)


def test_two_threads_get_their_own_pictures(small, portrait):
    sources = [portrait, portrait[::-1].copy()]
    expected = [small.restore(source).image for source in sources]
    wrong = []

    def work(index):
        for _ in range(5):
            output = small.restore(sources[index]).image
            wrong.append(not np.array_equal(output, expected[index]))

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [False] * 10


@pytest.mark.parametrize("device", ["cuda", "vulkan:x", "cpu:0", "gpu"])
def test_a_device_that_ncnn_does_not_have_is_refused(device):
    with pytest.raises(SettingError, match="expected auto, cpu, vulkan or vulkan:N"):
        plan_restorer(LARGE, device=device)


def test_a_vulkan_device_that_is_not_there_is_refused(libraries):
    with pytest.raises(SettingError, match="not one that Vulkan finds"):
        plan_restorer(LARGE, device="vulkan:99")


def test_auto_takes_a_graphics_card_and_no_software(monkeypatch):
    names = ("llvmpipe (LLVM 15.0.6, 256 bits)", "NVIDIA H200")
    monkeypatch.setattr(ncnn, "vulkan_devices", lambda: names)
    assert plan_restorer(LARGE).resolved["device"] == "vulkan:1"
    monkeypatch.setattr(ncnn, "vulkan_devices", lambda: names[:1])
    assert plan_restorer(LARGE).resolved["device"] == "cpu"


def test_other_weights_are_a_bin_with_its_param(tmp_path, libraries, portrait):
    found = plan_restorer(SMALL, device="cpu").weights[0].path
    with pytest.raises(WeightsError, match=r"expected a \.bin"):
        plan_restorer(SMALL, weights=str(found.with_suffix(".param")))
    own = tmp_path / "own.bin"
    own.write_bytes(found.read_bytes())
    with pytest.raises(WeightsError, match=r"own\.param"):
        plan_restorer(SMALL, weights=str(own))
    own.with_suffix(".param").write_text(
        found.with_suffix(".param").read_text(encoding="utf-8"), encoding="utf-8"
    )
    restorer = load_restorer(SMALL, device="cpu", weights=str(own))
    assert restorer.weights_kind == "user"
    assert restorer.restore(portrait).image.std() > 10


def test_a_missing_library_is_an_error_that_says_what_to_install(fake_package):
    fake_package("pass", on_import="raise ImportError('libvulkan.so.1: no such file')")
    assert plan_restorer(SMALL).resolved["device"] == "cpu"
    with pytest.raises(NcnnMissingError, match=r"libvulkan\.so\.1.*apt install"):
        load_restorer(SMALL)


def test_a_crash_is_an_error_with_its_last_words(fake_package, portrait):
    fake_package("sys.stderr.write('no queue\\n'); sys.stderr.flush(); os.abort()")
    restorer = load_restorer(SMALL, device="cpu")
    for _ in range(2):  # the second time a new process is started
        with pytest.raises(EvalkitError, match=r"exit code -6.*no queue"):
            restorer.restore(portrait)


def test_a_kill_from_outside_is_told_from_a_crash(fake_package, portrait):
    fake_package("os.kill(os.getpid(), 9)")
    with pytest.raises(KilledError, match="exit code -9"):
        load_restorer(SMALL, device="cpu").restore(portrait)


@pytest.mark.parametrize(
    "failure",
    ["raise MemoryError", "print('vkAllocateMemory failed -2'); os.abort()"],
)
def test_no_memory_is_an_out_of_memory_error(failure, fake_package, portrait):
    fake_package(f"{failure}", on_import="sys.stdout.reconfigure(line_buffering=True)")
    with pytest.raises(OutOfMemoryError):
        load_restorer(SMALL, device="cpu").restore(portrait)


def test_a_black_tile_is_no_picture(fake_package, portrait):
    fake_package("pass")  # the output stays as it was allocated
    restorer = load_restorer(SMALL, device="cpu")
    with pytest.raises(OutputRejectedError, match="x 0, y 0"):
        restorer.restore(portrait)
    black = np.zeros((20, 20, 3), np.uint8)
    assert not restorer.restore(black).image.any()


def test_the_process_ends_with_a_killed_parent(libraries):
    script = (
        "import numpy as np, sys\n"
        "from evalkit.restorers import load_restorer\n"
        f"restorer = load_restorer({LARGE!r}, device='cpu')\n"
        "print('loaded', flush=True)\n"
        "restorer.restore(np.zeros((600, 600, 3), np.uint8))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"loaded\n"
    (worker,) = psutil.Process(parent.pid).children()
    time.sleep(0.5)  # it is at work
    parent.kill()
    parent.communicate()
    psutil.wait_procs([worker], timeout=3)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


PROGRAM = """#!{python}
import sys
from PIL import Image
told = dict(zip(sys.argv[1::2], sys.argv[2::2]))
expected = {{"-m": "models", "-s": "4", "-t": "32", "-g": "0"}}
assert expected.items() <= told.items(), told
open(f"models/{{told['-n']}}.param").close()
with Image.open(told["-i"]) as source:
    size = [4 * side for side in source.size]
    {body}
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """``program(body)``: a stand-in for realesrgan-ncnn-vulkan on the PATH."""

    def install(body: str) -> None:
        path = tmp_path / "bin" / "realesrgan-ncnn-vulkan"
        path.parent.mkdir()
        path.write_text(
            PROGRAM.format(python=sys.executable, body=body), encoding="utf-8"
        )
        path.chmod(0o755)
        monkeypatch.setenv("PATH", str(path.parent))

    monkeypatch.setattr(ncnn, "vulkan_devices", lambda: ("a card",))
    return install


def test_the_program_on_the_path_is_run(program, portrait):
    program("source.resize(size, Image.NEAREST).save(told['-o'])")
    counts = []
    restorer = load_restorer(LARGE, backend="program", tile=32)
    result = restorer.restore(portrait, progress=lambda *told: counts.append(told))
    np.testing.assert_array_equal(result.image, portrait.repeat(4, 0).repeat(4, 1))
    assert counts[-1] == (4, 4)
    assert result.stages_s["program"] > 0


def test_a_program_that_fails_is_an_error_with_its_last_words(program, portrait):
    program("sys.exit('invalid gpu device')")
    with pytest.raises(EvalkitError, match=r"exit code 1.*invalid gpu device"):
        load_restorer(LARGE, backend="program", tile=32).restore(portrait)


def test_without_the_program_it_says_where_to_get_it(program, monkeypatch):
    monkeypatch.setenv("PATH", str(Path("/nonexistent")))
    with pytest.raises(NcnnMissingError, match="Real-ESRGAN-ncnn-vulkan/releases"):
        load_restorer(LARGE, backend="program")


def test_the_program_cannot_run_on_the_cpu(program):
    with pytest.raises(SettingError, match="has no CPU"):
        plan_restorer(LARGE, backend="program", device="cpu")
