"""The notes that evalkit's code can leave, read from its source."""

import ast
import re
from collections.abc import Iterator
from itertools import product

from evalkit.paths import PACKAGE

ROOMS = ("restorers", "faces", "features", "daily")
FILES = (
    *(f"images/{name}.py" for name in ("encode", "icc", "metadata", "newer", "stored")),
    *("profiling/monitor.py", "study/worker.py", "study/kept.py"),
)
"""Where notes are made."""

HOLDS_NOTES = re.compile(r"(\w+_)?notes?|lost|OUR_KERNELS|HIDDEN_PROCESSES")
"""Names of what holds a note, or several."""

GIVES_NOTES = re.compile(
    r"notes|_notes_on|_note_on_faces|_reason_against|_two_passes|_why_not|in_words|"
    r"changed_text|fit"
)
"""Names of functions that return one, or several."""

VALUE = "0"
"""In a note, a value that only running the code tells."""

DEEPEST = 3
"""So many names stand for one another at most: a note may be added to itself."""


def notes_in_code() -> dict[str, str]:
    """Each note, with `VALUE` for what is filled in, and the file that makes it."""
    files = [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]
    found = {}
    for path in [*files, *(PACKAGE / file for file in FILES)]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in _noted(tree):
            for note in _strings(node, _assigned(tree)):
                if re.search(r"[a-z]{3}", note):
                    found[note] = str(path.relative_to(PACKAGE))
    return found


def _noted(tree: ast.AST) -> Iterator[ast.expr]:
    """What becomes a note, or a list of them."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(to, "append" | "insert"), [*_, note]):
                if HOLDS_NOTES.fullmatch(_name(to)):
                    yield note
            case ast.Call(ast.Name("_tell"), [_, note]):
                yield note
            case ast.Call(ast.Name("_warn"), [file, what]):
                parts = [ast.FormattedValue(file, -1), ast.Constant(": "), what]
                yield ast.JoinedStr(parts)
            case ast.Call(ast.Name("_warn"), [*_, instead]):
                yield instead
            case ast.Call(ast.Attribute(ast.Name("warnings"), "warn"), [note, *_]):
                yield note
            case ast.Assign([to], note) if HOLDS_NOTES.fullmatch(_name(to)):
                yield note
            case ast.AugAssign(ast.Name(name), _, more) if name == "note":
                yield ast.JoinedStr([ast.FormattedValue(ast.Name(""), -1), more])
            case ast.AugAssign(to, _, notes) if HOLDS_NOTES.fullmatch(_name(to)):
                yield notes
            case ast.keyword("notes", notes):
                yield notes
            case ast.FunctionDef() if GIVES_NOTES.fullmatch(node.name):
                returned = (n for n in ast.walk(node) if isinstance(n, ast.Return))
                yield from (n.value for n in returned if n.value)
            case ast.Return(ast.Tuple([*_, ast.List() as notes])):
                yield notes


def _name(node: ast.AST) -> str:
    match node:
        case ast.Name(name) | ast.Attribute(_, name):
            return name
    return ""


def _assigned(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """What is assigned to each name."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for to in node.targets:
                values.setdefault(_name(to), []).append(node.value)
    return values


def _strings(
    node: ast.AST, assigned: dict[str, list[ast.expr]], depth: int = 0
) -> list[str]:
    """All that a piece of code may say; `VALUE` in place of what it does not tell."""

    def of(*nodes: ast.AST, deeper: int = 0) -> list[str]:
        return [s for n in nodes for s in _strings(n, assigned, depth + deeper)]

    match node:
        case ast.Constant(str(words)):
            return [words]
        case ast.JoinedStr(parts):
            return ["".join(each) for each in product(*map(of, parts))]
        case ast.FormattedValue(value, conversion):
            return [*map(repr if conversion == ord("r") else str, of(value))]
        case ast.IfExp(_, one, other):
            return of(one, other)
        case ast.BoolOp(_, values) | ast.List(values) | ast.Tuple(values):
            return of(*values)
        case ast.ListComp(element) | ast.GeneratorExp(element):
            return of(element)
        case ast.Call(ast.Attribute(value, "strip")) | ast.Subscript(value):
            return of(value)
        case ast.Name(name) if depth < DEEPEST:
            values = (s for s in of(*assigned.get(name, ()), deeper=1) if s != VALUE)
            return sorted(set(values)) or [VALUE]
    return [VALUE]
