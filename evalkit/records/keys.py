"""What makes two computations the same one: the key of a record."""

import ast
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.paths import PACKAGE

WITHOUT_PICTURES = frozenset(
    {"evalkit.errors", "evalkit.paths"}  # words, and where things lie
    # a file is what its digest says, however it was found
    | {"evalkit.downloads"}
    # what the machine is; what follows from it is in the setting
    | {"evalkit.provenance", "evalkit.machine.cgroup"}
    # what is done with pictures that are there
    | {f"evalkit.{room}" for room in ("figures", "imagesets", "metrics", "rating")}
    | {
        f"evalkit.{room}"
        for room in ("article", "comparisons", "experiments", "report")
    }
    | {
        f"evalkit.{room}"
        for room in ("records", "tables", "profiling", "stats", "study", "cli")
    }
)
"""Modules and rooms whose code cannot change a picture; all other code may."""


def record_key(
    *,
    source_sha256: str,
    weights_sha256: Sequence[str | None],
    setting: Mapping[str, Any],
    restorer: str,
    code_sha256: str,
) -> str:
    """The column ``key``: a SHA-256, in hexadecimal, of all that decides a picture.

    Parameters
    ----------
    weights_sha256
        Of every file of weights, in the order of the plan; None for weights
        without one (random ones, whose seed is in `setting`).
    setting
        Resolved, JSON-able; the order of its names does not matter.
    code_sha256
        See `code_digest`.

    """
    facts = [source_sha256, list(weights_sha256), dict(setting), restorer, code_sha256]
    text = json.dumps(facts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def code_digest(modules: Iterable[str]) -> str:
    """SHA-256, in hexadecimal, of modules' source text and all they use of evalkit.

    It follows imports in the text and in a package's stub, inside functions too, and
    modules whose whole name is a string, for a later import; except those of
    `WITHOUT_PICTURES`. In another package than evalkit it also follows that package's.
    A restorer that is loaded by its name must be given as one of `modules` (dotted
    names).

    Raises
    ------
    EvalkitError
        A module without a source file.

    """
    texts: dict[str, str] = {}
    waiting = sorted(set(modules))
    while waiting:
        module = waiting.pop()
        if module not in texts:
            path = _source_file(module)
            if path is None:
                raise EvalkitError(f"no source file for module {module!r}")
            state = path.stat()
            stamp = (state.st_mtime_ns, state.st_size)
            package = module.rpartition(".")[0]
            if path.name == "__init__.py":
                package = module
            digest, imported = _read(path, stamp, package)
            texts[module] = digest
            waiting += imported
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


@cache
def _read(
    path: Path,
    state: tuple[int, int],  # noqa: ARG001 - a changed file is read again
    package: str = "",
) -> tuple[str, tuple[str, ...]]:
    """The digest of a file, and the modules that it imports and that may matter."""
    text = path.read_text(encoding="utf-8")
    stub = path.with_suffix(".pyi")  # of a package that lazily imports what it names
    lazy = stub.read_text(encoding="utf-8") if stub.is_file() else ""
    imported = sorted(set(_imports(ast.parse(f"{text}\n{lazy}", str(path)), package)))
    return hashlib.sha256(text.encode()).hexdigest(), tuple(imported)


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    tops = {"evalkit", package.split(".")[0]}
    for node in ast.walk(tree):
        for name in _names(node, package):
            # `from evalkit.faces import detect`: the name of a module, or in one
            for candidate in (name, name.rpartition(".")[0]):
                if candidate.split(".")[0] in tops and _source_file(candidate):
                    room = ".".join(candidate.split(".")[:2])
                    if not {room, candidate} & WITHOUT_PICTURES:
                        yield candidate
                    break


def _names(node: ast.AST, package: str) -> list[str]:
    """The dotted names that a piece of code imports, or may."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        base = resolve_name("." * node.level + (node.module or ""), package)
        return [f"{base}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        is_module = re.fullmatch(r"\w+(\.\w+)+", node.value)
        return [node.value] if is_module and _source_file(node.value) else []
    return []


@cache
def _source_file(module: str) -> Path | None:
    """The file of a module, found without importing a package of it."""
    top, *parts = module.split(".")
    folder = PACKAGE
    if top != "evalkit":
        try:
            spec = find_spec(top)
        except ValueError:  # __main__
            return None
        if spec is None or not (parts or (spec.has_location and spec.origin)):
            return None
        if not parts:
            return Path(str(spec.origin))
        if not spec.submodule_search_locations:
            return None
        folder = Path(next(iter(spec.submodule_search_locations)))
    stem = folder.joinpath(*parts)
    files = [f for f in (stem / "__init__.py", stem.with_suffix(".py")) if f.is_file()]
    return files[0] if files else None
