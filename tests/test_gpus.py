"""`gpus` itself, on test files made here. A stand-in says that there is a GPU."""

import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = """
import gpus
from gpus import _flags_stay, pytest_pyfunc_call, pytest_runtest_setup

gpus.hide_gpus()
gpus.has_gpu = lambda: {has_gpu}  # the stand-in
"""

GPU_TESTS = """
import os, pytest
LEFT = []

@pytest.mark.gpu
def test_leaves_something(tmp_path):
    LEFT.append(os.getpid())
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == "1"

@pytest.mark.gpu
@pytest.mark.parametrize("number", [1])
def test_finds_nothing_left(number):
    assert LEFT == []

@pytest.mark.gpu
@pytest.mark.slow
def test_is_skipped(tmp_path):
    pytest.skip("no such weights: get them")

@pytest.mark.gpu
def test_dies():
    os.kill(os.getpid(), 11)

@pytest.mark.gpu
def test_fails():
    assert "wanted" == "found"

@pytest.mark.parametrize("device", ["gpu"])
def test_is_for_any_machine(device):
    assert LEFT == []
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
"""

FLAG_TESTS = """
import pytest

def test_imports_and_leaves_a_flag():
    import torch
    torch.set_float32_matmul_precision("high")

def test_finds_it_and_leaves_no_other():
    import torch
    assert torch.get_float32_matmul_precision() == "high"

@pytest.mark.parametrize("is_put_back", [False, True])
def test_switches_a_search_on(is_put_back, request):
    import torch
    cudnn, before = torch.backends.cudnn, torch.backends.cudnn.benchmark
    if is_put_back:
        request.addfinalizer(lambda: setattr(cudnn, "benchmark", before))
    cudnn.benchmark = not before
"""


@pytest.fixture
def told(tmp_path, monkeypatch):
    """``told(tests, *arguments)``: what another pytest says of them."""

    def run(tests: str, *arguments: str, has_gpu: bool = True) -> str:
        (tmp_path / "pytest.ini").write_text(
            "[pytest]\nmarkers = gpu\n  slow\n", encoding="utf-8"
        )
        text = CONFTEST.format(has_gpu=has_gpu)
        (tmp_path / "conftest.py").write_text(text, encoding="utf-8")
        (tmp_path / "test_it.py").write_text(tests, encoding="utf-8")
        monkeypatch.syspath_prepend(Path(__file__).parent)
        monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
        for name in ("EVALKIT_TEST_GPUS", "EVALKIT_TEST_ALONE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        command = [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *arguments], cwd=tmp_path, capture_output=True, text=True
        )
        return done.stdout

    return run


@pytest.mark.slow
def test_each_gpu_test_is_alone_in_a_process_and_the_others_see_no_gpu(told):
    text = told(GPU_TESTS)
    assert "2 failed, 3 passed, 1 skipped" in text
    assert "alone in a process: SIGSEGV" in text
    assert "AssertionError: assert 'wanted' == 'found'" in text
    assert "no such weights: get them" in text


def test_without_a_gpu_its_tests_are_skipped_and_nothing_is_started(told):
    text = told(GPU_TESTS, "--durations=0", has_gpu=False)
    assert "1 passed, 5 skipped" in text
    assert "needs a CUDA device" in text


@pytest.mark.slow
def test_the_test_that_leaves_a_flag_of_torch_changed_fails_and_the_next_does_not(
    told,
):
    text = told(FLAG_TESTS)
    told_of = [line for line in text.splitlines() if line.startswith("ERROR ")]
    assert len(told_of) == 2
    assert "test_imports_and_leaves_a_flag" in told_of[0]
    assert "test_switches_a_search_on[False]" in told_of[1]
    assert "{'float32_matmul_precision': ('highest', 'high')}" in text
    assert "4 passed, 2 errors" in text


def test_auto_is_the_cpu_in_tests_also_where_there_is_a_gpu(monkeypatch):
    """By PyTorch's own code, which counts what is visible; the driver stands in."""
    import torch

    from evalkit.restorers.engines.torch import pick_device

    def n_devices() -> int:
        return len(set(torch.cuda._parse_visible_devices()) & {0})

    monkeypatch.setattr(torch.cuda, "device_count", n_devices)
    assert pick_device("auto") == "cpu"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert pick_device("auto") == "cuda:0"
