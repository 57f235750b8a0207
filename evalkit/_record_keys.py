"""What makes two computations the same one: the key of a record."""

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.paths import PACKAGE

ROOMS = ("evalkit.restorers", "evalkit.faces", "evalkit.features", "evalkit.images")
"""Whose code can change a picture, with the private modules that these import."""


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
    """SHA-256, in hexadecimal, of modules' source text and all they use of `ROOMS`.

    Imports are followed through the text, inside functions too; a restorer that is
    loaded by its name must be given as one of `modules` (dotted names).

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
            digest, imported = _read(path, (state.st_mtime_ns, state.st_size))
            texts[module] = digest
            waiting += imported
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


@cache
def _read(
    path: Path,
    state: tuple[int, int],  # noqa: ARG001 - a changed file is read again
) -> tuple[str, tuple[str, ...]]:
    """The digest of a file, and the modules of `ROOMS` that it imports."""
    text = path.read_text(encoding="utf-8")
    imported = sorted(set(_imports(ast.parse(text, str(path)))))
    return hashlib.sha256(text.encode()).hexdigest(), tuple(imported)


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            # `from evalkit.faces import detect`: the name of a module, or in one
            for candidate in (name, name.rpartition(".")[0]):
                if _is_in_rooms(candidate) and _source_file(candidate):
                    yield candidate
                    break


def _is_in_rooms(module: str) -> bool:
    return module.startswith("evalkit._") or any(
        module == room or module.startswith(f"{room}.") for room in ROOMS
    )


@cache
def _source_file(module: str) -> Path | None:
    top, *parts = module.split(".")
    if top != "evalkit":
        try:
            spec = importlib.util.find_spec(module)
        except (ModuleNotFoundError, ValueError):  # no such parent; __main__
            return None
        return Path(spec.origin) if spec and spec.has_location and spec.origin else None
    stem = PACKAGE.joinpath(*parts)
    found = [f for f in (stem / "__init__.py", stem.with_suffix(".py")) if f.is_file()]
    return found[0] if found else None
