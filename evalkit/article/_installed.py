"""What the installed distribution of Real-ESRGAN says and does, without importing it.

Its README, carried as the distribution's description, lists the options of programs
that are not in the wheel; its class ``RealESRGANer`` is read as a syntax tree, since
importing it brings in all of torch.
"""

import ast
import re
from importlib.metadata import metadata
from typing import Any

from evalkit.errors import EvalkitError
from evalkit.paths import package_dir

SCRIPT = "Usage: python inference_realesrgan.py"
NCNN = "Usage: realesrgan-ncnn-vulkan"


def readme() -> str:
    """Upstream's README, as the installed distribution carries it; empty without it."""
    if package_dir("realesrgan") is None:
        return ""
    return str(metadata("realesrgan").json["description"])


def documented_options(usage: str) -> dict[str, str]:
    """The options that the README lists for one program.

    Parameters
    ----------
    usage
        How the list begins: `SCRIPT` or `NCNN`.

    Returns
    -------
    dict
        The description of each option, by every spelling of it (``-t`` and
        ``--tile``); empty where the README has no such list.

    """
    _, _, rest = readme().partition(usage)
    options = {}
    for line in rest.partition("```")[0].splitlines():
        if listed := re.match(r"\s*((?:--?\w+,?\s+)+)(.*)", line):
            for name in re.findall(r"--?\w+", listed[1]):
                options[name] = " ".join(listed[2].split())
    return options


def class_method(name: str) -> ast.FunctionDef:
    """A method of ``RealESRGANer``, as a syntax tree.

    Raises
    ------
    EvalkitError
        The package is not installed, or its class has no such method.

    """
    if folder := package_dir("realesrgan"):
        tree = ast.parse((folder / "utils.py").read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == "RealESRGANer":
                for method in node.body:
                    if isinstance(method, ast.FunctionDef) and method.name == name:
                        return method
    raise EvalkitError(
        f"expected RealESRGANer.{name} in the installed package realesrgan, found none"
    )


def defaults(method: ast.FunctionDef) -> dict[str, Any]:
    """The default values of a method's parameters, by name."""
    given = method.args.defaults
    names = [parameter.arg for parameter in method.args.args][-len(given) :]
    values = (ast.literal_eval(value) for value in given)
    return dict(zip(names, values, strict=True))


def swallows_errors(method: ast.FunctionDef) -> bool:
    """Whether a method catches an error and then neither raises nor returns."""
    return any(
        isinstance(handler, ast.ExceptHandler)
        and not any(
            isinstance(node, ast.Raise | ast.Return) for node in ast.walk(handler)
        )
        for handler in ast.walk(method)
    )
