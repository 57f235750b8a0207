"""A fact is a column: no code takes a condition's, experiment's or source's name apart.

`parse_condition` and `condition_name` alone read and write the names of conditions.
"""

import ast
import json
import re

import pytest

from evalkit.paths import PACKAGE, SHIPPED

APART = {
    *("partition", "rpartition", "split", "rsplit", "startswith", "endswith"),
    *("removeprefix", "removesuffix", "strip", "rstrip", "replace", "find", "index"),
    *("contains", "extract", "match", "fullmatch", "search", "findall", "sub"),
}
"""Methods of texts, of columns of texts and of regular expressions."""

NAMES = re.compile(r"(?<![.\w])(condition|experiment|source)s?(?![\w(])")
ALLOWED = {
    "restorers/__init__.py": "parse_condition, the one reader of a condition's name",
    "restorers/outputs.py": "files that others made are joined to sources by name",
    "records/old.py": "names in records of versions that had no columns for it",
    "restorers/command.py": "where a command line has the file of the source",
    "study/measurement.py": "sources whose names begin alike: outputs found by them",
    "daily/sheet.py": "a sheet of paper and its dots per inch, a4@300",
    "study/parameters.py": "the source of a notebook's cell",
    "figures/_style.py": "where a line may break",
    "report/__init__.py": "where a line may break",
    "study/config.py": "a mapping in study.yaml is a condition, too",
}
"""Why a file may."""


def taken_apart(code: str) -> list[str]:
    """What looks into a name, as `ast.unparse` writes it."""
    tree = ast.parse(code)
    composed = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    found = []
    for node in ast.walk(tree):
        text = ast.unparse(node) if isinstance(node, ast.expr) else ""
        match node:
            case ast.Call(func=ast.Attribute(attr=name)) if name in APART:
                is_it = NAMES.search(text)
            case ast.Compare(left=ast.Constant(value=str()), ops=[how]):
                right = ast.unparse(node.comparators[0])
                is_it = isinstance(how, ast.In | ast.NotIn) and NAMES.fullmatch(right)
            case ast.Constant(value="@"):
                is_it = id(node) not in composed
            case _:
                is_it = False
        found += [text] * bool(is_it)
    return found


def notebook_code(path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "code")


def test_no_module_takes_a_name_apart():
    files = [(path.relative_to(PACKAGE), path) for path in PACKAGE.rglob("*.py")]
    files += [(path.name, path) for path in (SHIPPED / "benchmarks").glob("*.py")]
    wrong = {
        str(name): taken_apart(path.read_text(encoding="utf-8")) for name, path in files
    }
    wrong = {name: found for name, found in wrong.items() if found}
    assert {n: found for n, found in wrong.items() if n not in ALLOWED} == {}
    assert set(wrong) == set(ALLOWED)  # nothing is allowed that is not there


def test_no_notebook_takes_a_name_apart():
    for path in (SHIPPED / "notebooks").glob("*.ipynb"):
        assert taken_apart(notebook_code(path)) == [], path.name


def test_the_graph_names_no_experiment_and_takes_no_name_apart():
    """A Snakefile is no Python as a whole: its lines are looked at."""
    from evalkit.study.experiment import asked_for

    text = (SHIPPED / "Snakefile").read_text(encoding="utf-8")
    calls = "|".join(sorted(APART))
    assert re.findall(rf"(?m)^.*(?:{NAMES.pattern}).*\.(?:{calls})\(.*$", text) == []
    assert [name for name in asked_for() if f'"{name}"' in text] == []


@pytest.mark.parametrize(
    "code",
    [
        'cost["condition"].str.partition("@")[0]',
        'key = lambda c: c.partition("@")[0]',
        'condition.str.contains("runner=upstream")',
        'is_ours = "upstream" not in condition',
        'conditions.str.replace(setting, "", regex=True)',
        'scores[scores["source"].str.contains(word)]',
        're.fullmatch(r"batch-(\\d+)", record["experiment"])',
    ],
)
def test_what_took_names_apart_would_be_seen(code):
    assert taken_apart(code)
