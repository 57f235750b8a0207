"""Every text is UTF-8, whatever the locale."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.paths import CLONE, PACKAGE

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
FILES = ["NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile", "fdopen"]
PROGRAMS = ["Popen", "run", "check_output", "check_call", "call"]


def unsaid(source: str) -> Iterator[int]:
    """Lines of calls that open a text and leave its encoding to the locale."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        named = {k.arg: k.value for k in node.keywords}
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        is_method = isinstance(node.func, ast.Attribute)
        strings = [
            a.value
            for a in [*node.args[:2], named.get("mode")]
            if isinstance(a, ast.Constant) and isinstance(a.value, str)
        ]
        modes = [s for s in strings if 0 < len(s) <= 3 and {*s} <= {*"rwxabt+"}]
        is_binary = any("b" in mode for mode in modes)
        if "force_zip64" in named:
            continue  # a file in a ZIP is of bytes
        if name == "open":  # of other things than paths, such as Image.open(path)
            is_text = not is_method or bool(modes) or not node.args
        elif name in ("read_text", "write_text"):
            is_text = is_method  # `evalkit.study.run_folder.write_text` is UTF-8
        elif name in FILES:
            is_text = bool(modes)  # temporary files are binary if nothing is said
            is_text |= name == "fdopen"
        elif name in PROGRAMS:
            is_text = bool({"text", "universal_newlines"} & named.keys())
        else:
            continue
        if is_text and not is_binary and "encoding" not in named:
            yield node.lineno


def test_no_call_leaves_a_texts_encoding_to_the_locale():
    folders = [PACKAGE, *((CLONE / f) for f in ("benchmarks", "docs") if CLONE)]
    found = [
        f"{path}:{line}"
        for folder in folders
        for path in folder.rglob("*.py")
        for line in unsaid(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("call", "is_found"),
    [
        *(("open(p)", 1), ("open(p, 'rb')", 0), ("p.open()", 1), ("p.open('w')", 1)),
        *(("p.open('ab')", 0), ("Image.open(p)", 0), ("p.read_text()", 1)),
        *(("p.write_text(t, encoding='utf-8')", 0), ("TemporaryFile()", 0)),
        *(("NamedTemporaryFile('w')", 1), ("os.fdopen(f, 'wb')", 0), ("fdopen(f)", 1)),
        *(("run(c, text=True)", 1), ("run(c, text=True, encoding='utf-8')", 0)),
    ],
)
def test_such_calls_are_found(call, is_found):
    assert len([*unsaid(call)]) == is_found


@pytest.mark.slow
def test_any_name_is_said_in_any_locale(tmp_path):
    for folder in ("相册", os.fsdecode(b"caf\xe9")):
        done = subprocess.run(
            [sys.executable, "-m", "evalkit.cli", "route", tmp_path / folder],
            env={**os.environ, **ASCII},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 1
        told = done.stderr.decode("utf-8", "surrogateescape")
        assert "Traceback" not in told
        assert told.count("\n") == 1
        assert Path(folder).name in told or r"caf\udce9" in told
