"""Set-up: which Python it takes, that it checks hashes, and what `make lock` asks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.paths import CLONE

pytestmark = pytest.mark.skipif(CLONE is None, reason="not a clone")

UV = Path(sys.executable).with_name("uv")
TOOLS = ("bash", "cat", "cut", "dirname", "env", "mktemp", "rm", "sed", "touch")

RECORDING = """#!/bin/bash
echo "$@" >>"$SAID"
env >>"$SAID"
exit 3
"""


@pytest.fixture
def path(tmp_path):
    """A folder with the usual tools and no Python, for a PATH of its own."""
    folder = tmp_path / "path"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def run(command, path, home, **variables):
    given = {"PATH": str(path), "HOME": str(home), **variables}
    return subprocess.run(
        list(map(str, command)), env=given, capture_output=True, text=True, check=False
    )


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)


def interpreter(version):
    """A Python of that version on this machine, also pyenv's off the PATH, or None."""
    root = Path(os.environ.get("PYENV_ROOT") or Path("~/.pyenv").expanduser())
    folders = [os.environ["PATH"], *map(str, root.glob("versions/*/bin"))]
    found = run(
        [UV, "python", "find", "--no-project", "--system", version],
        os.pathsep.join(folders),
        Path("~").expanduser(),
    )
    return found.stdout.strip() or None


def version_of(python):
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.check_output([python, "-c", code], text=True).strip()


@pytest.mark.skipif(not UV.is_file(), reason="run the tests in the .venv of a clone")
def test_beside_a_newer_python_on_the_path_pyenvs_is_taken(need, path, tmp_path):
    newer = interpreter(">=3.13")
    need(newer, "install Python 3.13 or newer")
    older = interpreter(">=3.11,<3.13")
    need(older, "install Python 3.12 or 3.11")
    (path / "python3").symlink_to(newer)
    bin_folder = tmp_path / ".pyenv" / "versions" / version_of(older) / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "python3").symlink_to(older)
    done = run([CLONE / ".ci" / "python", UV], path, tmp_path)
    assert done.returncode == 0, done.stderr
    assert version_of(done.stdout.strip()) == version_of(older)


@pytest.mark.skipif(not UV.is_file(), reason="run the tests in the .venv of a clone")
def test_312_comes_before_311_and_a_newer_one_is_the_last_resort(need, path, tmp_path):
    older, newest = interpreter("3.11"), interpreter(">=3.13")
    need(newest, "install Python 3.13 or newer")
    offline = {"UV_PYTHON_INSTALL_MIRROR": "file:///nothing", "UV_HTTP_RETRIES": "0"}
    (path / "python3").symlink_to(newest)
    done = run([CLONE / ".ci" / "python", UV], path, tmp_path, **offline)
    assert done.returncode == 0, done.stderr
    assert version_of(done.stdout.strip()) == version_of(newest)
    assert "downloading 3.12" in done.stderr
    assert "runner=upstream" in done.stderr
    if older and (best := interpreter("3.12")):
        (path / "python3.11").symlink_to(older)
        (path / "python3.12").symlink_to(best)
        done = run([CLONE / ".ci" / "python", UV], path, tmp_path, **offline)
        assert version_of(done.stdout.strip()) == "3.12"


def test_without_any_python_one_line_says_what_to_install(path, tmp_path):
    copy = tmp_path / "clone"
    shutil.copytree(CLONE / ".ci", copy / ".ci")
    shutil.copy(CLONE / "requirements.lock", copy)
    done = run([copy / ".ci" / "setup", "requirements.lock"], path, tmp_path)
    assert done.returncode == 1
    assert "to download: about" in done.stdout
    assert "on the disk: about" in done.stdout
    assert "expected Python 3.9 or newer" in done.stderr
    assert "make PYTHON=" in done.stderr
    assert not (copy / ".venv").exists()


def test_uv_itself_is_installed_by_its_hash(path, tmp_path):
    copy, said = tmp_path / "clone", tmp_path / "said"
    shutil.copytree(CLONE / ".ci", copy / ".ci")
    shutil.copy(CLONE / "requirements.lock", copy)
    record = (
        'for last; do :; done\necho "$@" >>"$SAID"\ncat "$last" >>"$SAID"\nexit 3\n'
    )
    write(copy / ".venv" / "bin" / "python", f"#!/bin/bash\n{record}")
    done = run(
        [copy / ".ci" / "setup", "requirements.lock"], path, tmp_path, SAID=str(said)
    )
    assert done.returncode == 3
    asked, *lock = said.read_text(encoding="utf-8").splitlines()
    assert "pip install" in asked
    assert "--require-hashes" in asked
    assert lock[0].startswith("uv==")
    assert len(lock) > 1
    assert all(line.strip().startswith("--hash=sha256:") for line in lock[1:])


def test_make_lock_asks_the_ordinary_registry_only(path, tmp_path):
    copy, said = tmp_path / "clone", tmp_path / "said"
    shutil.copytree(CLONE / ".ci", copy / ".ci")
    write(copy / ".venv" / "bin" / "uv", RECORDING)
    wheels = {"UV_FIND_LINKS": "/wheels", "UV_NO_INDEX": "1", "UV_INDEX": "/simple"}
    wheels |= {"UV_DEFAULT_INDEX": "/simple", "UV_EXTRA_INDEX_URL": "/simple"}
    done = run([copy / ".ci" / "lock"], path, tmp_path, SAID=str(said), **wheels)
    assert done.returncode == 3
    asked, *environment = said.read_text(encoding="utf-8").splitlines()
    assert "pip compile" in asked
    assert "--generate-hashes" in asked
    assert "find-links" not in asked
    names = {line.partition("=")[0] for line in environment}
    assert not names & {*wheels}
    assert "UV_CONFIG_FILE=uv.toml" in environment  # and no file of the user's
    settings = (CLONE / "uv.toml").read_text(encoding="utf-8")
    assert "index" not in settings
    assert "find-links" not in settings
