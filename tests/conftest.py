"""Shared by all tests: what a machine may lack, and small real pictures."""

import os
import sys
from pathlib import Path
from uuid import uuid4

import gpus
import numpy as np
import pytest
from gpus import _flags_stay, pytest_pyfunc_call, pytest_runtest_setup  # noqa: F401
from skimage import data

from evalkit.images import write_image

gpus.hide_gpus()

# what is no error of ours must fail a test, not become a note beside a picture
os.environ["EVALKIT_STRICT"] = "1"

REQUIRE_ALL = os.environ.get("EVALKIT_REQUIRE_ALL") == "1"


@pytest.fixture
def need():
    """``need(is_there, what_to_do)``: skip, or fail where everything is required."""

    def check(is_there: object, what_to_do: str) -> None:
        if is_there:
            return
        if REQUIRE_ALL:
            pytest.fail(f"EVALKIT_REQUIRE_ALL=1, but: {what_to_do}")
        pytest.skip(what_to_do)

    return check


@pytest.fixture
def told(capsys, monkeypatch):
    """``told(*arguments)``: the exit status, stdout and stderr; in this process."""

    from evalkit import cli

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["evalkit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capsys.readouterr()

    return run


@pytest.fixture
def refused(told):
    """``refused(*arguments)``: the one line on stderr of a command that exits 1."""

    def run(*arguments: object) -> str:
        status, _, errors = told(*arguments)
        (line,) = errors.splitlines()
        assert line.startswith("evalkit: ")
        assert status == 1
        return line

    return run


def pytest_collection_modifyitems(config, items):
    """Run slow and soak tests only where they are asked for by ``-m``.

    Slow ones also where nothing may be left out.
    """
    asked = config.option.markexpr
    left_out = {mark for mark in ("slow", "soak") if mark not in asked}
    if REQUIRE_ALL:
        left_out.discard("slow")
    kept = [item for item in items if not left_out & item.keywords.keys()]
    config.hook.pytest_deselected(items=[i for i in items if i not in kept])
    items[:] = kept


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory, monkeypatch):
    """No test reads or writes the caches and runs of the person who runs it."""
    # not made, nor numbered: of thousands, pytest looks through all for the next
    folder = tmp_path_factory.getbasetemp() / f"own-{uuid4().hex}"
    monkeypatch.setenv("EVALKIT_CACHE", str(folder / "cache"))
    monkeypatch.setenv("EVALKIT_RUNS", str(folder / "runs"))
    monkeypatch.setenv("EVALKIT_OFFLINE", "1")
    # what they name ends here
    for name in ("EVALKIT_ARGUMENTS", "EVALKIT_COMMANDS", "EVALKIT_LANG"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def mirror(need) -> list[Path]:
    """The folders of ``$EVALKIT_MIRROR``: registered pictures and weights."""
    folders = [Path(f) for f in os.environ.get("EVALKIT_MIRROR", "").split(os.pathsep)]
    need(
        all(f.name and f.is_dir() for f in folders),
        "set EVALKIT_MIRROR to folders that hold the registered pictures and weights",
    )
    return folders


@pytest.fixture
def astronaut() -> np.ndarray:
    """A portrait: (512, 512, 3), RGB, uint8; one face (skimage, public domain)."""
    return data.astronaut()


@pytest.fixture
def album(tmp_path) -> Path:
    """Two tiny crops of real photographs."""
    folder = tmp_path / "album"
    folder.mkdir()
    write_image(folder / "face.png", data.astronaut()[60:124, 190:254])
    write_image(folder / "cup.png", data.coffee()[100:148, 200:264])
    return folder


@pytest.fixture(scope="session")
def strangers(tmp_path_factory) -> Path:
    """The run folder of a study of odd pictures and names, see `strangers.py`."""
    from strangers import study_once

    folder = tmp_path_factory.getbasetemp()
    workers = "PYTEST_XDIST_WORKER" in os.environ
    return study_once((folder.parent if workers else folder) / "strangers")


@pytest.fixture
def plant(monkeypatch):
    """``plant("module:name")``: what a cell's process runs, of the tests' modules."""

    def choose(function):
        from evalkit.profiling.isolation import run_cell
        from evalkit.study import attempt

        def run_planted(_, *given, **how):
            return run_cell(function, *given, **how)

        for room in ("study", "experiments"):
            monkeypatch.syspath_prepend(Path(__file__).parent / room)
        monkeypatch.setattr(attempt, "run_cell", run_planted)

    return choose
