"""CONTRIBUTING.md, followed to the letter: each recipe in a copy of the project."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from evalkit.paths import CLONE

pytestmark = pytest.mark.skipif(CLONE is None, reason="not a clone")

PAGE = (CLONE / "CONTRIBUTING.md").read_text(encoding="utf-8") if CLONE else ""
SECTIONS = {
    section.partition("\n")[0]: section
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
RECIPES = {title: text for title, text in SECTIONS.items() if "```console" in text}
FILE = re.compile(r"[Ww]rite\s`(\S+)`:\n\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
COPIED = ("benchmarks", "data", "docs", "evalkit", "notebooks", "tests")
BIN = Path(sys.executable).parent

SLOW = ("An experiment", "A notebook", "A statistic")
every_recipe = pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(text, id=title, marks=[pytest.mark.slow] * (title in SLOW))
        for title, text in RECIPES.items()
    ],
)


@pytest.fixture
def copy(tmp_path) -> Path:
    """The project, without what only a run or a build leaves there."""
    folder = tmp_path / "clone"
    folder.mkdir()
    junk = shutil.ignore_patterns("__pycache__", "_build", "*.png", ".*")
    for name in COPIED:
        shutil.copytree(CLONE / name, folder / name, ignore=junk)
    for file in CLONE.iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    return folder


def files(folder: Path) -> set[Path]:
    return {file for file in folder.rglob("*") if file.is_file()}


def follow(copy: Path, monkeypatch, command: str, *paths: Path) -> str:
    """What a command of the page prints, in the copy."""
    path = os.pathsep.join(map(str, (copy, *paths)))
    monkeypatch.setenv("PYTHONPATH", path)
    program, *arguments = shlex.split(command)
    program = str(BIN / Path(program).name)
    if arguments[:2] == ["-m", "pytest"]:
        arguments += ["-p", "no:cacheprovider"]
    done = subprocess.run(
        [program, *arguments], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_there_are_recipes_for_all_that_is_found():
    kinds = ("restorer", "metric", "image set", "statistic", "experiment", "notebook")
    for kind in kinds:
        assert any(kind in title for title in RECIPES), kind


@every_recipe
def test_one_file_is_found_runs_and_passes_the_tests_of_its_kind(
    recipe, copy, monkeypatch
):
    before = files(copy)
    for name, text in FILE.findall(recipe):
        (copy / name).write_text(text, encoding="utf-8")
    (added,) = files(copy) - before
    commands = [c for block in CONSOLE.findall(recipe) for c in block.splitlines()]
    for command in commands:
        printed = follow(copy, monkeypatch, command)
        if "pytest" in command:  # the tests ran on the new file, and passed
            assert re.search(r"\d+ passed", printed), printed
            assert "failed" not in printed
    assert sum("pytest" in command for command in commands) >= 1
    if (ruff := BIN / "ruff").is_file():  # of requirements-ci.lock
        follow(copy, monkeypatch, f"{ruff} check {added}")
        follow(copy, monkeypatch, f"{ruff} format --check {added}")


@pytest.mark.slow
def test_the_files_are_found_in_another_package(tmp_path, monkeypatch):
    (toml,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    groups = tomllib.loads(toml)["project"]["entry-points"]
    texts = {Path(name).stem: text for name, text in FILE.findall(PAGE)}
    package, facts = tmp_path / "my_package", tmp_path / "my_package-1.dist-info"
    package.mkdir()
    facts.mkdir()
    (facts / "METADATA").write_text("Name: my_package\nVersion: 1\n", encoding="utf-8")
    lines = []
    for group, points in groups.items():
        lines.append(f"[{group}]")
        for name, module in points.items():
            lines.append(f"{name} = {module}")
            stem = module.rpartition(".")[2]
            (package / f"{stem}.py").write_text(texts[stem], encoding="utf-8")
    (facts / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    code = (
        "from evalkit import imagesets, metrics, restorers, stats\n"
        "restorers.load_restorer('nearest'), metrics.metrics()['mae']\n"
        "imagesets.prepare('coffee'), stats.share_of_high\n"
    )
    follow(CLONE, monkeypatch, shlex.join(["python", "-c", code]), tmp_path)
    tests = [f"tests/{room.rpartition('.')[2]}" for room in groups]
    names = " or ".join(name for points in groups.values() for name in points)
    command = ["python", "-m", "pytest", "-v", *tests, "-k", names]
    printed = follow(CLONE, monkeypatch, shlex.join(command), tmp_path)
    for name in (name for points in groups.values() for name in points):
        assert re.search(rf"\[{name}\b.*PASSED", printed), name


@pytest.mark.slow
def test_a_notebook_without_a_rule_is_told_of(copy, monkeypatch):
    ((name, text),) = FILE.findall(RECIPES["A notebook"])
    text = text.replace('"after"', '"before"')
    (copy / name).write_text(text, encoding="utf-8")
    with pytest.raises(AssertionError, match=r"write a rule in the Snakefile.*"):
        follow(copy, monkeypatch, "python -m pytest -q tests/notebooks -k has_a_rule")


def test_a_commit_is_checked_by_make_lint_and_by_nothing_else():
    config = CLONE / ".pre-commit-config.yaml"
    hooks = yaml.safe_load(config.read_text(encoding="utf-8"))["repos"]
    (hook,) = [hook for repo in hooks for hook in repo["hooks"]]
    assert hook["entry"] == "make lint"  # one list of checks, that of the Makefile
    assert not hook["pass_filenames"]
    assert "files" not in hook
    if (pre_commit := BIN / "pre-commit").is_file():  # of requirements-ci.lock
        subprocess.run([pre_commit, "validate-config", config], check=True)
