"""A cell's process: each way to end is an outcome, and nothing outlives the study."""

import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import psutil
import pytest

from evalkit.errors import EvalkitError, SettingError
from evalkit.machine.cgroup import memory_bytes
from evalkit.profiling import _client, _server, isolation
from evalkit.profiling.isolation import run_cell

CELLS = Path(__file__).parent
MIB = 2**20


@pytest.fixture(autouse=True)
def _cells_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(CELLS)


@pytest.fixture(params=["forkserver", "spawn"])
def start_method(request) -> str:
    return request.param


def run(name, arguments=None, **options):
    """The messages and the result of a cell, without torch."""
    found = []
    options = {"preload": (), "timeout_s": 60, **options}
    result = run_cell(
        f"isolation_cells:{name}", arguments or {}, on_message=found.append, **options
    )
    return found, result


def wait_until(is_true, timeout_s=10.0):
    end = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < end, "still not so"
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_arguments_and_messages_are_handed_over(start_method):
    arguments = {"path": Path("a/b"), "number": 3, "nested": {"list": [1, None]}}
    found, result = run("echo", arguments, start_method=start_method)
    assert found == [{"arguments": arguments}]
    assert result.outcome == "ok"
    assert result.error is None
    assert result.exit_code == 0


def test_the_worker_is_fresh_and_sees_what_we_see(start_method, monkeypatch, tmp_path):
    monkeypatch.setenv("EVALKIT_TEST", "here")
    monkeypatch.chdir(tmp_path)
    names = ["pytest", "numpy", "pandas", "evalkit.records", "test_isolation"]
    arguments = {"names": names}
    (first,), _ = run("surroundings", arguments, start_method=start_method)
    (second,), _ = run("surroundings", arguments, start_method=start_method)
    assert first["modules"] == []
    assert first["main"] is None
    assert first["variable"] == "here"
    assert first["folder"] == str(tmp_path)
    assert first["n_threads"] == 1
    assert first["pid"] != second["pid"]
    assert first["parent"] == second["parent"] != os.getpid()


def test_preloaded_modules_are_there_and_others_are_not():
    arguments = {"names": ["decimal", "fractions"]}
    (found,), _ = run("surroundings", arguments, preload=("decimal",))
    assert found["modules"] == ["decimal"]


ENDINGS = [
    ("segfault", "crash", "killed by SIGSEGV"),
    ("exit", "crash", "ended with exit code 3"),
    ("clean_exit", "crash", "ended with exit code 0 before the function did"),
    ("abort", "crash", "killed by SIGABRT"),
    ("kill", "interrupted", "killed by SIGKILL (Killed), from outside"),
    ("bus_error", "crash", "killed by SIGBUS"),
    ("interrupt", "interrupted", "KeyboardInterrupt"),
    ("disk_full", "interrupted", "OSError: [Errno 28] No space left on device"),
    ("wrapped", "interrupted", "ImageError: x.png cannot be read"),
    ("hidden", "interrupted", "RuntimeError: PytorchStreamWriter failed"),
    ("child_killed", "interrupted", "KilledError: ncnn ended with exit code -9"),
    ("no_such_file", "error", "FileNotFoundError"),
    ("no_memory", "oom", "OSError: [Errno 12] Cannot allocate memory"),
    ("system_exit", "error", "SystemExit: no reason"),
    ("error", "error", "ValueError: the tile is -1 px (isolation_cells.py:"),
    ("memory_error", "oom", "MemoryError (isolation_cells.py:"),
    ("out_of_memory", "oom", "OutOfMemoryError: the GPU has 3 GiB"),
    ("bad_alloc", "oom", "std::bad_alloc"),
    ("rejected", "rejected", "OutputRejectedError: the output is 0 everywhere"),
]


@pytest.mark.parametrize(("then", "outcome", "error"), ENDINGS)
def test_each_ending_is_an_outcome_and_what_was_finished_is_kept(
    then, outcome, error, start_method
):
    found, result = run("count", {"n": 3, "then": then}, start_method=start_method)
    assert found == [{"number": 0}, {"number": 1}, {"number": 2}]
    assert result.outcome == outcome
    assert error in result.error
    assert result.peak_rss_mib > 1
    assert str(Path.home()) not in result.error


def test_a_segmentation_fault_says_where():
    _, result = run("count", {"n": 0, "then": "segfault"})
    assert 'File "isolation_cells.py", line' in result.error
    assert "in segfault" in result.error
    assert "_server.py" not in result.error


@pytest.mark.parametrize("then", ["hang", "hang_in_c", "ignore_signals"])
def test_a_hang_is_a_timeout_and_says_where(then):
    start = time.monotonic()
    found, result = run("count", {"n": 1, "then": then}, timeout_s=0.3)
    assert time.monotonic() - start < 5
    assert found == [{"number": 0}]
    assert result.outcome == "timeout"
    assert "not finished after 0.3 s" in result.error
    if then != "ignore_signals":
        assert f"in {then}" in result.error


def test_a_cell_that_is_quick_enough_is_no_timeout():
    _, result = run("echo", timeout_s=30)
    assert result.outcome == "ok"


@pytest.mark.parametrize("library", ["numpy", "nothing"])
def test_a_real_memory_limit_is_out_of_memory(library):
    found, result = run("limited", {"library": library})
    assert found == [{"limited": True}]
    assert result.outcome == "oom"


def test_torch_beyond_a_memory_limit_is_out_of_memory():
    found, result = run("limited", {"library": "torch"}, preload=("torch",))
    assert found == [{"limited": True}]
    assert result.outcome == "oom"
    assert "allocate" in result.error


@pytest.fixture
def small_group():
    """A control group of 512 MiB, or None where this user may not make one."""
    name = f"evalkit-test-{uuid.uuid4().hex[:8]}"
    for folder, limit in (
        (Path("/sys/fs/cgroup"), "memory.max"),
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
    ):
        group = folder / name
        try:
            group.mkdir()
        except OSError:
            continue
        if not (group / limit).exists():  # a plain folder, or no such controller
            group.rmdir()
            continue
        (group / limit).write_text(str(512 * MIB), encoding="utf-8")
        yield group
        wait_until(
            lambda group=group: not (group / "cgroup.procs").read_text(encoding="utf-8")
        )
        group.rmdir()
        return
    yield None


IN_GROUP = """
import os, subprocess, sys
from pathlib import Path
sys.path.insert(0, {cells!r})
from evalkit.profiling.isolation import run_cell
(Path({group!r}) / "cgroup.procs").write_text(str(os.getpid()))
others = (
    "import time; block = b'x' * ({others_mib} * 2**20); print(1, flush=True);"
    "time.sleep(60)"
)
with subprocess.Popen([sys.executable, "-c", others], stdout=-1) as other:
    other.stdout.readline()
    result = run_cell("isolation_cells:first_victim", dict(n_mib=600), preload=())
    other.kill()
print(result.outcome, result.error)
"""


@pytest.mark.parametrize(
    ("others_mib", "outcome"), [(1, "oom"), (350, "interrupted")], ids=["we", "others"]
)
def test_the_kernels_kill_is_out_of_memory_if_we_held_most(
    small_group, others_mib, outcome
):
    if small_group is None:
        pytest.skip("needs root and a memory controller to make a control group")
    script = IN_GROUP.format(
        cells=str(CELLS), group=str(small_group), others_mib=others_mib
    )
    told = subprocess.check_output([sys.executable, "-c", script], text=True)
    assert told.startswith(f"{outcome} killed by SIGKILL")
    assert (
        "by the kernel, which was out of memory: the cells of this study held" in told
    )
    assert "of 512 MiB" in told


@pytest.mark.parametrize(
    ("held", "outcome"), [(0.6, "oom"), (0.4, "interrupted")], ids=["we", "others"]
)
def test_the_machines_memory_is_what_the_cells_together_held_most_of(held, outcome):
    facts = {"code": -9, "is_late": False, "n_oom_kills": 1}
    facts["held_mib"] = held * memory_bytes() / MIB
    assert isolation._result(None, facts, "", None).outcome == outcome
    said = ("error", "KilledError: ncnn ended with exit code -9", 1.0)
    assert isolation._result(said, facts | {"code": 0}, "", None).outcome == outcome


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGXCPU"])
def test_a_signal_from_outside_is_no_result(name):
    if signal.getsignal(signal.Signals[name]) is signal.SIG_IGN:
        pytest.skip(f"whoever started this ignores {name}, as nohup does SIGHUP")

    def kill(message):
        os.kill(message["pids"][0], signal.Signals[name])

    result = run_cell(
        "isolation_cells:family", {"file": os.devnull}, on_message=kill, preload=()
    )
    assert result.outcome == "interrupted"
    expected = "KeyboardInterrupt" if name == "SIGINT" else f"killed by {name}"
    assert result.error.startswith(expected)


def test_no_descriptor_for_a_worker_is_no_result():
    run("echo")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    os.close(free := os.dup(0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        _, result = run("echo")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert result.outcome == "interrupted"
    assert "Too many open files" in result.error
    assert run("echo")[1].outcome == "ok"


def test_too_many_open_files_in_a_worker_is_no_result():
    _, result = run("open_files")
    assert result.outcome == "interrupted"
    assert "Too many open files" in result.error


def test_the_end_of_the_output_is_kept():
    _, result = run("talk")
    for text in (result.output, result.error):
        assert "first\nloading 100 %\na complaint\nwritten past Python" in text
        assert "1 %\r" not in text


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("isolation_cells:nothing", "AttributeError"),
        ("no_such_module:echo", "ModuleNotFoundError"),
    ],
)
def test_a_function_that_is_not_there_is_an_error(function, error):
    result = run_cell(function, {}, preload=())
    assert result.outcome == "error"
    assert error in result.error


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("isolation_cells.echo", {}, "expected package.module:name"),
        ("isolation_cells:echo", {"start_method": "fork"}, "forkserver or spawn"),
    ],
)
def test_a_wrong_setting_is_refused(function, options, message):
    with pytest.raises(SettingError, match=message):
        run_cell(function, {}, preload=(), **options)


def test_a_server_that_cannot_start_says_why():
    with pytest.raises(EvalkitError, match="No module named 'no_such_module'"):
        run("echo", preload=("no_such_module",))


def test_the_peak_is_the_workers_own():
    _, small = run("allocate", {"n_mib": 0})
    _, large = run("allocate", {"n_mib": 300})
    _, again = run("allocate", {"n_mib": 0})
    assert large.peak_rss_mib - small.peak_rss_mib == pytest.approx(300, rel=0.01)
    assert again.peak_rss_mib == pytest.approx(small.peak_rss_mib, abs=2)


def test_nothing_that_a_cell_started_is_left():
    (found,), result = run("with_child")
    assert result.outcome == "ok"
    wait_until(lambda: not is_running(found["child"]))


def test_a_timeout_ends_children_too(tmp_path):
    (found,), result = run("family", {"file": tmp_path / "pids"}, timeout_s=0.5)
    assert result.outcome == "timeout"
    worker, server, child = found["pids"]
    wait_until(lambda: not is_running(worker) and not is_running(child))
    assert is_running(server)


def test_an_error_of_ours_ends_the_cell(tmp_path):
    pids = []

    def fail(message):
        pids.extend(message["pids"])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_cell(
            "isolation_cells:family",
            {"file": tmp_path / "pids"},
            on_message=fail,
            preload=(),
        )
    worker, _, child = pids
    wait_until(lambda: not is_running(worker) and not is_running(child))


def test_a_killed_server_is_no_result_and_is_replaced(tmp_path):
    def kill(message):
        os.kill(message["pids"][1], signal.SIGKILL)

    found, result = [], None
    result = run_cell(
        "isolation_cells:family",
        {"file": tmp_path / "pids"},
        on_message=lambda message: (found.append(message), kill(message)),
        preload=(),
    )
    assert result.outcome == "interrupted"
    assert "server of workers was killed" in result.error
    assert result.peak_rss_mib is None
    worker = found[0]["pids"][0]
    wait_until(lambda: not is_running(worker))
    os.kill(found[0]["pids"][2], signal.SIGKILL)
    _, result = run("echo")
    assert result.outcome == "ok"


def test_a_large_message_arrives_whole():
    (found,), _ = run("big", {"n_mib": 20})
    assert found["data"] == b"x" * (20 * 2**20)


def test_cells_run_at_once_from_several_threads():
    results = {}

    def work(name):
        found, result = run("count", {"n": 200, "then": "error"})
        results[name] = [m["number"] for m in found], result.outcome

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: (list(range(200)), "error") for n in range(6)}


def test_a_cell_may_run_a_cell():
    (found,), _ = run("nested")
    assert found == {"outcome": "ok", "found": [{"arguments": {"a": 1}}]}


def test_no_descriptor_is_left_open():
    run("echo")
    before = psutil.Process().num_fds()
    for then in ("error", "segfault", "exit"):
        run("count", {"n": 1, "then": then})
    assert psutil.Process().num_fds() == before


def test_torch_is_not_in_the_parent_and_its_flags_are_told():
    (found,), result = run("flags", preload=("torch",))
    assert result.outcome == "ok"
    assert found["grad"] is True
    assert found["cudnn_benchmark"] is False
    assert found["default_dtype"] == "torch.float32"


PARENT = """
import sys
sys.path.insert(0, {cells!r})
from evalkit.profiling.isolation import run_cell
run_cell(
    "isolation_cells:family", dict(file={file!r}), preload=(), start_method={method!r}
)
"""


def marked() -> tuple[dict[str, str], str]:
    mark = uuid.uuid4().hex
    return {**os.environ, "EVALKIT_TEST_MARK": mark}, mark


def with_mark(mark: str) -> list[int]:
    """The running processes that inherited a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EVALKIT_TEST_MARK") == mark:
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            continue
    return [pid for pid in found if is_running(pid)]


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_kill_minus_nine_of_the_parent_leaves_no_orphan(tmp_path, method):
    """Also of a script that does not guard its main part."""
    file = tmp_path / "pids"
    script = tmp_path / "script.py"
    script.write_text(
        PARENT.format(cells=str(CELLS), file=str(file), method=method), encoding="utf-8"
    )
    environ, mark = marked()
    parent = subprocess.Popen([sys.executable, script], env=environ)
    wait_until(file.exists)
    assert len(with_mark(mark)) == 4
    parent.kill()
    parent.wait()
    wait_until(lambda: not with_mark(mark))


def test_kill_minus_nine_at_any_moment_leaves_no_orphan(tmp_path):
    """Ten kills, from the parent's first import to the hanging worker."""
    file = tmp_path / "pids"
    script = tmp_path / "script.py"
    script.write_text(
        PARENT.format(cells=str(CELLS), file=str(file), method="spawn"),
        encoding="utf-8",
    )
    shuffled = random.Random(7)
    for _ in range(10):
        environ, mark = marked()
        parent = subprocess.Popen([sys.executable, script], env=environ)
        time.sleep(shuffled.uniform(0.05, 0.4))
        parent.kill()
        parent.wait()
        wait_until(lambda mark=mark: not with_mark(mark))


def test_the_kill_of_a_server_ends_its_worker(tmp_path):
    file = tmp_path / "pids"
    threading.Thread(target=run, args=("family", {"file": file})).start()
    wait_until(
        lambda: file.exists() and len(file.read_text(encoding="utf-8").split()) == 3
    )
    worker, server, child = map(int, file.read_text(encoding="utf-8").split())
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not is_running(worker))
    os.kill(child, signal.SIGKILL)  # whoever kills the server has this to do


KERNEL = """
import sys
sys.path.insert(0, {cells!r})
from evalkit.profiling.isolation import run_cell
found = []
cell = "isolation_cells:echo"
result = run_cell(cell, dict(a=1), on_message=found.append, preload=())
print(result.outcome, found)
"""


def test_it_works_in_a_jupyter_kernel_and_ends_with_it(tmp_path):
    from jupyter_client.manager import start_new_kernel

    environ, mark = marked()
    manager, client = start_new_kernel(kernel_name="python3", env=environ)
    try:
        told = []

        def take(message):
            if message["msg_type"] == "stream":
                told.append(message["content"]["text"])

        client.execute_interactive(
            KERNEL.format(cells=str(CELLS)), output_hook=take, timeout=60
        )
        assert "".join(told).split("\n")[0] == "ok [{'arguments': {'a': 1}}]"
        file = tmp_path / "pids"
        client.execute(f"run_cell('isolation_cells:family', dict(file={str(file)!r}))")
        wait_until(file.exists, 60)
        os.kill(manager.provisioner.pid, signal.SIGKILL)
        wait_until(lambda: not with_mark(mark))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_worker_may_be_stopped_when_its_server_has_been_closed():
    server = _client._Server(())
    server.close()
    server.send(_server.STOP, 1)
