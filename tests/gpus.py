"""How tests meet a GPU: those marked ``gpu`` alone in a process, the others not at all.

A process keeps what a test leaves on a device: PyTorch's cache, the workspace of
cuBLAS, a CUDA context that NVML tells everybody of. And where there is a GPU, ``auto``
is another device, with another precision, tile and start method; of that only the tests
marked ``gpu`` speak. `hide_gpus` is called before anything imports PyTorch; the hooks
and the fixture below are `conftest`'s.
"""

import json
import os
import re
import signal
import subprocess
import sys
from functools import cache

import pytest

BEFORE = "EVALKIT_TEST_GPUS"
"""What ``CUDA_VISIBLE_DEVICES`` was before the tests began; ``unset``."""

ALONE = "EVALKIT_TEST_ALONE"
"""Set in the process of one test that is marked ``gpu``."""

MARKS = ("gpu", "slow", "soak")


def hide_gpus() -> None:
    """Let this process and what it starts see no GPU, unless it is that of one test."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "unset")
    os.environ.setdefault(BEFORE, seen)
    if ALONE not in os.environ:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _with_gpus() -> dict[str, str]:
    """The environment of a process that sees what there is."""
    seen = {} if os.environ[BEFORE] == "unset" else os.environ[BEFORE]
    told = {k: v for k, v in os.environ.items() if k != "CUDA_VISIBLE_DEVICES"}
    return told | {ALONE: "1"} | (seen and {"CUDA_VISIBLE_DEVICES": seen})


@cache
def has_gpu() -> bool:
    """Whether PyTorch finds a CUDA device, asked in another process."""
    module = "evalkit.restorers.engines.torch"
    code = f"from {module} import pick_device; print(pick_device('auto'))"
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, env=_with_gpus()).strip() != b"cpu"


def pytest_runtest_setup(item):
    is_gpus = item.get_closest_marker("gpu") and ALONE not in os.environ
    if is_gpus and not has_gpu():
        pytest.skip("needs a CUDA device")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run a test that is marked ``gpu`` by another pytest, and tell how that ended."""
    if not pyfuncitem.get_closest_marker("gpu") or ALONE in os.environ:
        return None
    config = pyfuncitem.config
    marks = " and ".join(filter(pyfuncitem.get_closest_marker, MARKS))
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(config.rootpath), "-m", marks, pyfuncitem.nodeid]
    done = subprocess.run(
        command,
        cwd=config.rootpath,
        env=_with_gpus(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        code = done.returncode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        pytest.fail(f"alone in a process: {how}\n{done.stdout}", pytrace=False)
    if skipped := re.search(r"^SKIPPED \[1\] [^:]+:\d+: (.*)$", done.stdout, re.M):
        pytest.skip(skipped[1])
    return True


@cache
def _fresh_flags():
    """Torch's global flags in a process that has done nothing."""
    code = "import json; from evalkit.profiling.clock import torch_flags as flags; "
    command = [sys.executable, "-c", f"{code}print(json.dumps(flags()))"]
    return json.loads(subprocess.check_output(command))


@pytest.fixture(autouse=True)
def _flags_stay():
    """A test that leaves one of torch's global flags changed fails."""
    from evalkit.profiling.clock import torch_flags

    before = torch_flags() if "torch" in sys.modules else None
    yield
    if "torch" not in sys.modules:
        return
    left, before = torch_flags(), before or _fresh_flags()
    changed = {k: (before[k], v) for k, v in left.items() if before[k] != v}
    if changed:
        pytest.fail(f"the test leaves torch's flags changed (before, now): {changed}")
