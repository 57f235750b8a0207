"""What is installed is what is locked, and what is locked can be had anywhere."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from evalkit.paths import CLONE

pytestmark = pytest.mark.skipif(CLONE is None, reason="not a clone")


@pytest.fixture
def root() -> Path:
    assert CLONE is not None
    return CLONE


def locked(root: Path) -> list[Requirement]:
    lines = (root / "requirements.lock").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and line[0] not in " #"]


def test_the_environment_is_exactly_the_lock(root):
    different = {}
    for requirement in locked(root):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            found = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            found = None
        if not requirement.specifier.contains(found or "", prereleases=True):
            different[requirement.name] = (str(requirement.specifier), found)
    assert not different


def test_conda_installs_python_pip_and_then_exactly_the_lock(root):
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    python, pip, rest = environment["dependencies"]
    assert re.fullmatch(r"python=3\.1[12]", python)
    assert pip == "pip"
    assert rest == {"pip": ["-r requirements.lock"]}


def test_every_dependency_and_extra_is_locked(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    asked = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        asked += extra
    names = {requirement.name for requirement in locked(root)}
    assert {Requirement(line).name for line in asked} <= names


def test_both_pythons_are_locked_and_no_address_is_written(root):
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert re.search(r"^# Download: about [\d.]+ GB", text, re.MULTILINE)
    for python in ("3.11", "3.12"):
        environment = {"python_full_version": f"{python}.0", "python_version": python}
        numpy = [
            requirement
            for requirement in locked(root)
            if requirement.name == "numpy"
            and (not requirement.marker or requirement.marker.evaluate(environment))
        ]
        assert len(numpy) == 1
