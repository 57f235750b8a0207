"""A process that asked to die with its parent does, and another does not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evalkit.profiling import parents

CHILD = "import os, time; {asks}; print(os.getpid(), flush=True); time.sleep(600)"
ASKS = "from evalkit.profiling.isolation import die_with_parent; die_with_parent()"
POLLS = (
    "from evalkit.profiling import parents; parents._LIBC = None; "
    "parents.POLL_S = 0.02; parents.die_with_parent()"
)
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
print(child.stdout.readline().decode().strip(), flush=True)
time.sleep(600)
"""


def is_running(pid: int) -> bool:
    try:
        with Path(f"/proc/{pid}/stat").open(encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(params=[signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "kill"])
def end_of(request):
    """Start a parent and its child, end the parent; return the child's id."""
    children = []

    def end(asks):
        command = [sys.executable, "-c", PARENT, CHILD.format(asks=asks)]
        parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(int(parent.stdout.readline()))
        parent.send_signal(request.param)
        parent.communicate()
        return children[0]

    yield end
    for child in filter(is_running, children):
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("asks", [ASKS, POLLS], ids=["by the kernel", "by asking"])
def test_it_ends_with_its_parent(end_of, asks):
    child = end_of(asks)
    end = time.monotonic() + 5
    while is_running(child):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_without_asking_it_stays(end_of):
    child = end_of("pass")
    time.sleep(0.3)
    assert is_running(child)


def test_a_parent_that_is_gone_already_ends_it():
    """The race: the parent ended between the fork and the call."""
    code = "from evalkit.profiling.parents import die_with_parent; die_with_parent(1)"
    assert os.getpid() != 1
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL


def test_it_holds_through_exec():
    """As an argument of subprocess: the program run need not know of it."""
    program = (
        "import subprocess, os; from evalkit.profiling.parents import die_with_parent\n"
        "child = subprocess.Popen(['sleep', '600'], preexec_fn=die_with_parent)\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), 9)"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    end = time.monotonic() + 5
    while is_running(int(told)):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_refusal_of_the_kernel_is_an_error(monkeypatch):
    class Refusing:
        def prctl(self, *arguments):
            return -1

    monkeypatch.setattr(parents, "_LIBC", Refusing())
    with pytest.raises(OSError, match="prctl"):
        parents.die_with_parent()
