"""`evalkit bundle`: parts under a limit, what a host lacks, a run without network."""

import json
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from PIL import Image

from evalkit.archive import bundle as bundling
from evalkit.archive import there
from evalkit.archive.bundle import bundle
from evalkit.archive.collect import collect
from evalkit.archive.wheels import lacking, read_packages
from evalkit.images import read_image
from evalkit.tables import IMAGES

LOOPBACK = """
import fcntl, os, socket, struct, sys
with socket.socket() as some:
    fcntl.ioctl(some, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Kernels of Jupyter talk over the loopback interface; a new network has it down."""

ISOLATED = ["unshare", "--map-root-user", "--net", sys.executable, "-c", LOOPBACK]
STUDY = "name: tiny\nimages: quick\nconditions: [lanczos, bicubic]\nrepeats: 7\n"
STUDY += "experiments: []\naccept: []\n"

FAKE = """
import json, pathlib, sys, urllib.request, yaml_of_host
assert sys.argv[1:] == ["study", "study.yaml"] and yaml_of_host.here
try:
    urllib.request.urlopen("http://192.0.2.1", timeout=1)
    raise SystemExit("there is a network")
except OSError:
    pass
pictures = sorted(path.name for path in pathlib.Path("pictures").iterdir())
assert pictures == ["cup.png", "face.png"], pictures
import os
run = pathlib.Path(os.environ["EVALKIT_RUNS"], "tiny-album")
run.mkdir(parents=True)
(run / "records.jsonl").write_text("{}")
facts = {"machine": {"machine": "fake"}}
(run / "environment.json").write_text(json.dumps(facts))
"""


@pytest.fixture
def study(tmp_path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(STUDY, encoding="utf-8")
    return path


def make(out, study, album, python=None, **options):
    given = {"device": "cpu", "limit": 2**22, "has": {}, **options}
    python = python or f"{sys.version_info[0]}.{sys.version_info[1]}"
    images = str(album)
    return bundle(out, study, python=python, images=images, say=lambda _: None, **given)


@pytest.fixture
def fake_wheel(monkeypatch):
    """A wheel of a program that stands for evalkit."""

    def write(_lines, _python, folder):
        folder.mkdir()
        info = "evalkit-0.dist-info"
        files = {
            "evalkit/__main__.py": FAKE,
            f"{info}/METADATA": "Metadata-Version: 2.1\nName: evalkit\nVersion: 0\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n"
            "Generator: a test\nTag: py3-none-any\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in files)
        with zipfile.ZipFile(folder / "evalkit-0-py3-none-any.whl", "w") as wheel:
            for name, text in files.items():
                wheel.writestr(name, text)

    monkeypatch.setattr(bundling, "make_wheels", write)


def isolated(need) -> list[str]:
    """What comes before a command that is to have no network."""
    can = (
        shutil.which("unshare")
        and not subprocess.run(
            [*ISOLATED, "/bin/true"], check=False, capture_output=True
        ).returncode
    )
    need(can, "needs unshare of util-linux, and user namespaces that are allowed")
    return ISOLATED


def run_there(folder, need, python=sys.executable):
    command = [*isolated(need), str(python), "there.py"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_bundle_is_installed_and_run_without_network(
    study, album, tmp_path, need, fake_wheel
):
    host = tmp_path / "host"
    subprocess.run([sys.executable, "-m", "venv", host], check=True)
    site = next((host / "lib").glob("python*/site-packages"))
    hosts = site / "yaml_of_host.py"
    hosts.write_text("here = True", encoding="utf-8")
    *parts, program = make(tmp_path / "out", study, album, limit=12_000)
    assert len(parts) > 1
    assert all(part.stat().st_size <= 12_000 for part in parts)
    last = parts[-1].rename(tmp_path / parts[-1].name)
    done = run_there(program.parent, need, host / "bin" / "python")
    assert f"missing: [{len(parts)}]" in done.stdout
    last.rename(parts[-1])
    done = run_there(program.parent, need, host / "bin" / "python")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(program.parent / "results-tiny-album-fake.zip") as results:
        same = json.loads(results.read(there.RESULTS))["same"]
    assert len(same) == 2


def test_no_picture_of_a_folder_tells_more_than_it_shows(
    study, album, tmp_path, fake_wheel
):
    exif = Image.Exif()
    exif[0x010E] = "my house"
    with Image.open(album / "cup.png") as image:
        image.save(album / "cup.png", exif=exif)
        image.save(album / "home.webp", exif=exif, lossless=True)
    (album / "kinds.csv").write_text("source,kind\ncup,product\n", encoding="utf-8")
    parts = make(tmp_path / "out", study, album)[:-1]
    for part in parts:
        assert b"my house" not in part.read_bytes()
        with zipfile.ZipFile(part) as archive:
            archive.extractall(tmp_path / "read")
    read = tmp_path / "read" / "pictures"
    for name in ("cup.png", "home.webp"):
        copy = read_image((read / name).with_suffix(".png"))
        assert (copy == read_image(album / name)).all()
    assert (read / "kinds.csv").read_text() == 'source,kind\n"cup","product"\n'


def test_what_a_host_has_is_not_brought_and_what_it_has_too_old_is():
    lines, missing = lacking({}, "3.12", "cuda")
    assert missing == ["torch>=1.7,>=2.11", "torchvision"]
    assert {"numpy", "papermill", "pyzmq", "tornado"} <= lines.keys()
    assert not {"torch", "triton", "openvino", "jupyterlab"} & lines.keys()
    assert "--hash=sha256:" in lines["numpy"]
    has = read_packages("numpy==2.3.0\npandas==1.0\ntorch==2.11.0+cu130\n")
    lines, missing = lacking(has | {"torchvision": "0.26"}, "3.12", "cuda")
    assert missing == []
    assert "numpy" not in lines
    lines, missing = lacking({"numpy": "1.26.0", "torch": "2.0"}, "3.12", "cpu")
    assert "numpy" in lines  # evalkit needs 2
    assert missing == ["torch>=1.7,>=2.11 (it has 2.0)", "torchvision"]


def test_programs_and_files_of_this_machine_do_not_travel(
    study, album, tmp_path, fake_wheel, refused, told
):
    text = study.read_text().replace("bicubic]", "'command:sh -c {in} {out}']")
    study.write_text(text.replace("accept: []", "accept: [command]"))
    parts = make(tmp_path / "out", study, album)[:-1]
    written = []
    for part in parts:
        with zipfile.ZipFile(part) as archive:
            if "study.yaml" in archive.namelist():
                written.append(archive.read("study.yaml").decode())
    (text,) = written
    assert "command" not in text
    study.write_text(STUDY.replace("bicubic", f"'outputs:{album}'"))
    line = refused("bundle", tmp_path / "b", "--for", "cpu", "--study", study)
    assert "needs files of this machine" in line
    line = refused("bundle", tmp_path / "out", "--for", "cpu", "--study", study)
    assert "expected a new or an empty folder" in line
    status, _, errors = told("bundle", tmp_path / "b", "--for", "tpu")
    assert status == 2
    assert "expected cuda or cpu; found tpu" in " ".join(errors.split())


def test_a_file_over_the_limit_is_named(study, album, tmp_path, fake_wheel):
    with pytest.raises(bundling.StudyError, match=r"pictures/face.png has .* --limit"):
        make(tmp_path / "out", study, album, limit=9000)


def both_ways(host, study, album, tmp_path, need, monkeypatch, **options):
    """Bundle, run there without network, collect: the collected run."""
    monkeypatch.setenv("EVALKIT_RUNS", str(tmp_path / "runs"))
    *parts, program = make(tmp_path / "out", study, album, **options)
    assert all(part.stat().st_size <= options["limit"] for part in parts)
    done = run_there(program.parent, need, host)
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = program.parent.glob("results-*.zip")
    run = collect([results], tmp_path / "runs" / "back", say=lambda _: None)
    records = run.records.read()
    assert set(records["outcome"]) == {"ok"}
    cost = records[records["experiment"] == "cost"]
    assert set(cost["condition"]) == {"lanczos", "bicubic"}
    assert set(run.read(IMAGES)["source"]) == {"cup", "face"}
    return run


@pytest.mark.slow
def test_a_study_goes_there_and_back(study, album, tmp_path, need, monkeypatch):
    """The host has all packages but evalkit, which is brought."""
    has = {package.name: package.version for package in metadata.distributions()}
    has = read_packages("\n".join(f"{k}=={v}" for k, v in has.items()))
    options = {"has": has, "limit": 2**25}
    both_ways(sys.executable, study, album, tmp_path, need, monkeypatch, **options)


@pytest.mark.soak
def test_a_bare_python_runs_a_study(study, album, tmp_path, need, monkeypatch):
    """The host has nothing but Python; every part is at most 60 MiB."""
    host = tmp_path / "host"
    subprocess.run([sys.executable, "-m", "venv", host], check=True)
    options = {"has": {}, "limit": 60 * 2**20}
    python = host / "bin" / "python"
    both_ways(python, study, album, tmp_path, need, monkeypatch, **options)
