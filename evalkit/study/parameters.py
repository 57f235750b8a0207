"""Parameters of notebooks: which are declared; any other is refused."""

import ast
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.errors import StudyError, did_you_mean
from evalkit.paths import SHIPPED

TYPES = {"str": str, "int": int, "float": float, "bool": bool} | {
    "list[str]": list,
    "list[int]": list,
}


def notebook_path(name: str) -> Path:
    """The file of a notebook, by its name without suffix.

    Raises
    ------
    StudyError
        There is none; the message names those that there are.

    """
    folder = SHIPPED / "notebooks"
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        names = sorted(file.stem for file in folder.glob("[0-9]*.ipynb"))
        raise StudyError(f"unknown notebook {name!r}; known: {', '.join(names)}")
    return path


def declared_parameters(notebook: str) -> dict[str, str]:
    """Names and types of a notebook's parameters, in order."""
    cells = json.loads(notebook_path(notebook).read_text(encoding="utf-8"))["cells"]
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    if len(tagged) != 1:
        raise StudyError(f"{notebook}: expected one cell tagged parameters")
    return _annotated("".join(tagged[0]["source"]))


def check_parameters(notebook: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a parameter that the notebook does not declare, or of another type.

    Raises
    ------
    StudyError
        With the notebook's parameters and their types.

    """
    declared = declared_parameters(notebook)
    signature = ", ".join(f"{name}: {kind}" for name, kind in declared.items())
    for name, value in parameters.items():
        if name not in declared:
            raise StudyError(
                f"{notebook} has no parameter {name!r}; it takes {signature}"
                f"{did_you_mean(name, declared)}"
            )
        kind = TYPES[declared[name]]
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise StudyError(
                f"{notebook}: parameter {name} expected {declared[name]}, got {value!r}"
            )


def check_given_cells(notebook: str, history: list[str]) -> None:
    """Refuse an undeclared parameter in a kernel, however it got there.

    papermill injects a cell that begins with ``# Parameters`` and only warns of a
    name that no one declared; in JupyterLab the parameters cell itself is edited.

    Parameters
    ----------
    notebook
        Its name without suffix.
    history
        Sources of the cells run so far, the running one last (IPython's ``In``).

    Raises
    ------
    StudyError
        As `check_parameters`.

    """
    parameters: dict[str, Any] = {}
    for source in reversed(history[:-1]):
        is_injected = source.startswith("# Parameters\n")
        if is_injected:
            parameters = {**_literals(source), **parameters}
        elif _annotated(source):
            parameters = {**_literals(source), **parameters}
            break
        elif source.strip():
            break
    check_parameters(notebook, parameters)


def _assignments(source: str) -> list[ast.Assign | ast.AnnAssign]:
    try:
        body = ast.parse(source).body
    except SyntaxError:  # IPython magics
        return []
    return [node for node in body if isinstance(node, ast.Assign | ast.AnnAssign)]


def _annotated(source: str) -> dict[str, str]:
    return {
        ast.unparse(node.target): ast.unparse(node.annotation)
        for node in _assignments(source)
        if isinstance(node, ast.AnnAssign)
    }


def _literals(source: str) -> dict[str, Any]:
    values = {}
    for node in _assignments(source):
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if node.value is not None:
            values[ast.unparse(target)] = ast.literal_eval(node.value)
    return values
