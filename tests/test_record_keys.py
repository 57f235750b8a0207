"""The key of a record changes with what decides a picture, and with nothing else."""

import hashlib
import json
import sys

import pytest

from evalkit import _record_keys
from evalkit.errors import EvalkitError
from evalkit.records import code_digest, record_key

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
        "def build():\n    from evalkit.faces import detect\n",
        "restorers/_tiling.py": "from evalkit.images import read_image\n",
        "restorers/other.py": "from evalkit.restorers import Restorer\n",
        "faces.py": "from evalkit import _landmarks\nimport evalkit.features\n",
        "features.py": "",
        "images.py": "from evalkit.paths import file_name\n",
        "_landmarks.py": "",
        "weights.py": "",
        "paths.py": "",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(_record_keys, "PACKAGE", tmp_path)
    _record_keys._source_file.cache_clear()
    yield tmp_path
    _record_keys._source_file.cache_clear()


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
    ],
)
def test_a_change_of_what_the_restorer_imports_changes_its_digest(package, name):
    before = code_digest(MINE)
    (package / name).write_text(
        (package / name).read_text(encoding="utf-8") + "CHANGED = 1\n", encoding="utf-8"
    )
    assert code_digest(MINE) != before


@pytest.mark.parametrize("name", ["restorers/other.py", "weights.py", "paths.py"])
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


@pytest.mark.parametrize("name", ["evalkit.nowhere", "nowhere.at_all", "sys"])
def test_a_module_without_source_is_refused(name):
    with pytest.raises(EvalkitError, match=f"no source file for module '{name}'"):
        code_digest([name])
