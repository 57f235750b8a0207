"""Limits of memory hold, and the bisection finds what was planted."""

import itertools
import json
import math
import sys
import types
from pathlib import Path

import pytest

from evalkit.errors import SettingError
from evalkit.profiling import budget
from evalkit.profiling.isolation import run_cell

MIB = 2**20

STAND_IN = '''
"""Stands in for torch on a GPU with a known amount of memory."""
import json, os
from pathlib import Path

uint8 = "uint8"
FILE = Path(os.environ["STAND_IN_GPU"])


class cuda:
    @staticmethod
    def mem_get_info(device):
        state = json.loads(FILE.read_text())
        return state["free"], state["total"]

    @staticmethod
    def set_per_process_memory_fraction(fraction, device):
        state = json.loads(FILE.read_text())
        FILE.write_text(json.dumps({**state, "fraction": fraction, "on": device}))


def empty(size, dtype, device):
    state = json.loads(FILE.read_text())
    state["free"] -= size
    FILE.write_text(json.dumps({**state, "device": device}))
'''


@pytest.fixture(autouse=True)
def _cells_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """A stand-in for a GPU of 24 GiB, 23 of them free; how it was used."""
    file = tmp_path / "gpu.json"
    file.write_text(
        json.dumps({"total": 24576 * MIB, "free": 23552 * MIB}), encoding="utf-8"
    )
    (tmp_path / "torch.py").write_text(STAND_IN, encoding="utf-8")
    monkeypatch.setenv("STAND_IN_GPU", str(file))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    torch = types.ModuleType("torch")
    exec(STAND_IN, vars(torch))
    monkeypatch.setitem(sys.modules, "torch", torch)
    return lambda: json.loads(file.read_text(encoding="utf-8"))


def run(name, **arguments):
    found = []
    result = run_cell(
        f"limit_cells:{name}",
        arguments,
        on_message=found.append,
        timeout_s=60,
        preload=("numpy",),
    )
    return found, result


@pytest.mark.parametrize("needs_mib", [150, 700])
def test_the_smallest_budget_is_what_was_planted(needs_mib):
    own_mib = run("needing", budget_mib=4000, needs_mib=1)[0][0]["own_mib"]
    tried = list(range(20, 4000, 20))
    found = budget.smallest_budget(
        lambda mib: (
            run("needing", budget_mib=mib, needs_mib=needs_mib)[1].outcome == "ok"
        ),
        tried,
    )
    assert found - 20 - 4 <= own_mib + needs_mib <= found


def test_what_asks_for_too_much_runs_out_of_memory():
    _, result = run("needing", budget_mib=500, needs_mib=1000)
    assert result.outcome == "oom"


def test_what_is_only_reserved_does_not_count():
    found, result = run("reserving", budget_mib=300, reserved_mib=3000)
    assert (result.outcome, found) == ("ok", [{"mapped_mib": 3000}])


def test_a_crash_that_does_not_name_memory_stays_a_crash():
    _, result = run("not_looking", budget_mib=300, needs_mib=1000)
    assert result.outcome == "crash"
    assert "SIGSEGV" in result.error
    assert not budget.is_starved(result.error)


@pytest.mark.parametrize(
    "error",
    [  # as these libraries said it under RLIMIT_DATA
        "ImportError: _C.so: failed to map segment from shared object",
        "crash; its last output: OpenBLAS error: Memory allocation still failed after",
        "OpenCV: (-4:Insufficient memory) Failed to allocate 786432 bytes",
        "RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to",
        "RuntimeError: could not create a primitive",
        "libgomp: Thread creation failed: Resource temporarily unavailable",
        "terminate called after throwing an instance of 'std::bad_alloc'",
    ],
)
def test_what_names_memory_is_starved(error):
    assert budget.is_starved(error)


def test_another_error_is_not_starved():
    assert not budget.is_starved("ValueError: expected 3 channels, got 7")
    assert not budget.is_starved(None)


@pytest.mark.parametrize("threshold", [1, 2, 37, 99, 100])
def test_the_bisection_finds_any_threshold_in_few_trials(threshold):
    asked = []

    def works(mib):
        asked.append(mib)
        return mib >= threshold

    assert budget.smallest_budget(works, range(1, 101)) == threshold
    assert asked[0] == 100
    assert len(asked) == len(set(asked)) <= 2 + math.log2(100)


def test_nothing_works_where_the_largest_budget_does_not():
    assert budget.smallest_budget(lambda mib: mib > 100, range(1, 101)) is None


def test_budgets_rise_by_the_resolution_through_the_one_that_is_asked_about():
    found = budget.budgets(24000, 3072, 0.05)
    assert 3072 in found
    assert found[0] >= budget.LEAST_MIB
    assert 24000 / 1.05 < found[-1] <= 24000
    for lower, higher in itertools.pairwise(found):
        assert higher / lower == pytest.approx(1.05, abs=1 / lower)
    assert budget.budgets(5000, 3072, 0.05) == [mib for mib in found if mib <= 5000]


def test_the_balloon_leaves_the_budget_free_while_the_block_runs(gpu):
    with budget.balloon(3072, "cuda:1"):
        assert gpu()["free"] == 3072 * MIB
        assert gpu()["device"] == "cuda:1"


def test_a_gpu_with_less_free_than_the_budget_is_refused(gpu):
    with (
        pytest.raises(SettingError, match="only 23552 MiB are free"),
        budget.balloon(24000, "cuda:0"),
    ):
        raise AssertionError("the block must not run")
    assert gpu()["free"] == 23552 * MIB


def test_a_balloon_that_cannot_be_made_is_an_error(gpu, monkeypatch):
    monkeypatch.setenv("STAND_IN_GPU", "/missing")
    with (
        pytest.raises(SettingError, match="see its error"),
        budget.balloon(3072, "cuda:0"),
    ):
        raise AssertionError("the block must not run")
    assert gpu


def test_torch_gets_the_budgets_share_of_the_gpu(gpu):
    budget.limit_memory(3072, "cuda:1")
    assert gpu()["fraction"] == 3072 / 24576
    assert gpu()["on"] == 1


def test_a_cpu_needs_no_balloon(monkeypatch):
    monkeypatch.setattr(budget.subprocess, "Popen", None)
    with budget.balloon(3072, "cpu"):
        pass


def test_memory_is_the_devices_or_the_machines(monkeypatch):
    gpus = [{"memory_mib": 24576}, {"memory_mib": 8192}]
    known = {"memory_gib": 64.0, "gpus": gpus}
    monkeypatch.setattr(budget, "machine", lambda: known)
    assert budget.total_mib("cuda:1") == 8192
    assert budget.total_mib("cuda") == 24576
    assert budget.total_mib("cpu") == 65536
