"""The key of a record changes with what decides a picture, and with nothing else."""

import hashlib
import json
import shutil
import sys

import pytest

from evalkit.errors import EvalkitError
from evalkit.paths import PACKAGE
from evalkit.records import code_digest, keys, record_key
from evalkit.restorers import restorers

FACTS = {
    "source_sha256": "a" * 64,
    "weights_sha256": ["b" * 64, None],
    "setting": {"tile": 400, "precision": "fp32", "weights": None},
    "restorer": "realesrgan-x4plus",
    "code_sha256": "c" * 64,
}


def test_the_key_is_the_digest_of_the_facts():
    canonical = json.dumps(
        ["a" * 64, ["b" * 64, None], FACTS["setting"], "realesrgan-x4plus", "c" * 64],
        sort_keys=True,
    )
    assert record_key(**FACTS) == hashlib.sha256(canonical.encode()).hexdigest()


def test_the_order_of_settings_does_not_matter():
    setting = dict(reversed(FACTS["setting"].items()))
    assert record_key(**FACTS | {"setting": setting}) == record_key(**FACTS)


@pytest.mark.parametrize(
    "other",
    [
        {"source_sha256": "d" * 64},
        {"weights_sha256": ["b" * 64]},
        {"weights_sha256": [None, "b" * 64]},
        {"setting": {"tile": 200, "precision": "fp32", "weights": None}},
        {"setting": {"tile": "400", "precision": "fp32", "weights": None}},
        {"restorer": "realesrgan-x2plus"},
        {"code_sha256": "d" * 64},
    ],
    ids=str,
)
def test_each_fact_changes_the_key(other):
    assert record_key(**FACTS | other) != record_key(**FACTS)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small evalkit: a restorer, what it imports, and what it does not."""
    for name, text in {
        "restorers/__init__.py": "from evalkit.restorers._protocol import Restorer\n",
        "restorers/_protocol.py": "from evalkit.weights import WeightsInUse\n",
        "restorers/mine.py": "import numpy\nfrom evalkit.restorers import _tiling\n"
        "def build():\n    from evalkit.faces import detect\n"
        "    from evalkit import weights\n",
        "restorers/_tiling.py": "from evalkit.images import read_image\n",
        "restorers/other.py": "from evalkit.restorers import Restorer\n",
        "faces.py": "from evalkit import _landmarks\nimport evalkit.features\n",
        "features.py": "",
        "images.py": "from evalkit.paths import file_name\n",
        "_landmarks.py": "",
        "weights.py": "from evalkit import _reader, downloads\n",
        "_reader.py": "import_module('evalkit.late')\n",
        "late.py": "KIND = 'evalkit.nothing'\n",
        "downloads.py": "",
        "paths.py": "",
        "report/__init__.py": "",
        "__init__.py": "__getattr__ = attach_stub(__name__, __file__)",
        "__init__.pyi": "from .images import read_image as read_image\n"
        "from . import report as report\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(keys, "PACKAGE", tmp_path)
    keys._source_file.cache_clear()
    yield tmp_path
    keys._source_file.cache_clear()


MINE = ["evalkit.restorers.mine"]


@pytest.mark.parametrize(
    "name",
    [
        "restorers/mine.py",
        "restorers/_tiling.py",
        "faces.py",
        "features.py",
        "images.py",
        "_landmarks.py",
        "weights.py",
        "_reader.py",
        "late.py",
    ],
)
def test_a_change_of_what_the_restorer_imports_changes_its_digest(package, name):
    before = code_digest(MINE)
    (package / name).write_text(
        (package / name).read_text(encoding="utf-8") + "CHANGED = 1\n", encoding="utf-8"
    )
    assert code_digest(MINE) != before


@pytest.mark.parametrize("name", ["restorers/other.py", "downloads.py", "paths.py"])
def test_a_change_elsewhere_does_not(package, name):
    before = code_digest(MINE)
    (package / name).write_text("CHANGED = 1\n", encoding="utf-8")
    assert code_digest(MINE) == before


def test_a_name_from_the_restorers_package_brings_its_protocol(package):
    other = ["evalkit.restorers.other"]
    before = code_digest(other)
    (package / "restorers/_protocol.py").write_text("CHANGED = 1\n", encoding="utf-8")
    assert code_digest(other) != before


def test_several_modules_in_any_order_and_twice(package):
    other = "evalkit.restorers.other"
    assert code_digest([*MINE, other]) == code_digest([other, *MINE, other])
    assert code_digest([*MINE, other]) != code_digest(MINE)


def test_a_restorer_of_another_package_has_a_digest(package, tmp_path, monkeypatch):
    (tmp_path / "my_restorer.py").write_text(
        "from evalkit.images import read_image\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = code_digest(["my_restorer"])
    (package / "images.py").write_text("CHANGED = 1\n", encoding="utf-8")
    assert code_digest(["my_restorer"]) != before
    assert "my_restorer" not in sys.modules


def test_a_name_from_the_front_door_brings_what_is_behind_it(
    package, tmp_path, monkeypatch
):
    (tmp_path / "plugged.py").write_text(
        "from evalkit import read_image\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = code_digest(["plugged"])
    (package / "report/__init__.py").write_text("CHANGED = 1\n", encoding="utf-8")
    assert code_digest(["plugged"]) == before
    (package / "images.py").write_text("CHANGED = 1\n", encoding="utf-8")
    assert code_digest(["plugged"]) != before


def test_the_modules_of_another_package_are_followed(package, tmp_path, monkeypatch):
    other = tmp_path / "plug_in"
    for name, text in {
        "__init__.py": "",
        "mine.py": "from plug_in._net import Net\nfrom . import _read\nimport numpy\n",
        "_net.py": "",
        "_read.py": "",
    }.items():
        other.mkdir(exist_ok=True)
        (other / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    digests = {code_digest(["plug_in.mine"])}
    for name in ("_net.py", "_read.py"):
        (other / name).write_text("CHANGED = 1\n", encoding="utf-8")
        digests.add(code_digest(["plug_in.mine"]))
    assert len(digests) == 3
    assert "plug_in" not in sys.modules


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """All of evalkit, to be changed."""
    folder = tmp_path / "evalkit"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(keys, "PACKAGE", folder)
    keys._source_file.cache_clear()
    yield folder
    keys._source_file.cache_clear()


@pytest.mark.parametrize(
    "module", sorted({spec.build.__module__ for spec in restorers().values()})
)
def test_how_weights_and_pictures_are_read_is_in_every_key(copy, module):
    modules = [module]
    digests = {code_digest(modules)}
    of_weights = [f"weights/{part}" for part in ("__init__", "_ncnn", "_registry")]
    for changed in (*of_weights, "images/decode"):
        with (copy / f"{changed}.py").open("a", encoding="utf-8") as file:
            file.write("CHANGED = 1\n")
        digests.add(code_digest(modules))
    assert len(digests) == 5
    of_study = ("report/__init__", "study/launch", "cli")
    for other in (*of_study, "paths", "downloads/files", "machine/cgroup"):
        with (copy / f"{other}.py").open("a", encoding="utf-8") as file:
            file.write("CHANGED = 1\n")
        assert code_digest(modules) in digests


@pytest.mark.parametrize("name", ["evalkit.nowhere", "nowhere.at_all", "sys"])
def test_a_module_without_source_is_refused(name):
    with pytest.raises(EvalkitError, match=f"no source file for module '{name}'"):
        code_digest([name])
