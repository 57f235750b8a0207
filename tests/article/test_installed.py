"""What the claims' data says of programs is what the installed package says and does.

Its README, carried as the distribution's description, lists the options of programs
that are not in the wheel; its class is read as a syntax tree, and run.
"""

import ast
import inspect
import re
from importlib.metadata import metadata, version
from types import SimpleNamespace

import numpy as np
import pytest

from evalkit.article._register import load_programs
from evalkit.paths import package_dir

SCRIPT, NCNN, METHODS = load_programs().values()


@pytest.fixture(autouse=True)
def realesrgan(need):
    need(package_dir("realesrgan"), "pip install realesrgan, on Python 3.12 or older")


def documented_options(usage: str) -> dict[str, str]:
    """The options that the README lists behind `usage`, by every spelling."""
    readme = str(metadata("realesrgan").json["description"])
    _, _, rest = readme.partition(usage)
    options = {}
    for line in rest.partition("```")[0].splitlines():
        if listed := re.match(r"\s*((?:--?\w+,?\s+)+)(.*)", line):
            for name in re.findall(r"--?\w+", listed[1]):
                options[name] = " ".join(listed[2].split())
    return options


def class_method(name: str) -> ast.FunctionDef:
    text = (package_dir("realesrgan") / "utils.py").read_text(encoding="utf-8")
    (method,) = (
        method
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and node.name == "RealESRGANer"
        for method in node.body
        if isinstance(method, ast.FunctionDef) and method.name == name
    )
    return method


def swallows_errors(method: ast.FunctionDef) -> bool:
    """Whether a method catches an error and then neither raises nor returns."""
    return any(
        isinstance(handler, ast.ExceptHandler)
        and not any(
            isinstance(node, ast.Raise | ast.Return) for node in ast.walk(handler)
        )
        for handler in ast.walk(method)
    )


@pytest.mark.parametrize("program", [SCRIPT, NCNN, METHODS], ids=lambda p: p.name)
def test_what_is_installed_is_of_the_version_that_was_read(program):
    assert program.source.endswith(f"realesrgan {version('realesrgan')}")


@pytest.mark.parametrize("program", [SCRIPT, NCNN], ids=lambda p: p.name)
def test_options_are_those_of_the_readme(program):
    usage = f"Usage: {'python ' * program.name.endswith('.py')}{program.name}"
    assert program.facts == documented_options(usage)


def test_options_are_found_by_every_spelling():
    assert SCRIPT.facts["-s"] == SCRIPT.facts["--outscale"]
    assert SCRIPT.facts["--fp32"].endswith("Default: fp16 (half precision).")
    assert "-j" in NCNN.facts
    assert "-j" not in SCRIPT.facts
    assert "--fp16" not in SCRIPT.facts


@pytest.fixture(scope="module")
def upsampler():
    from evalkit.imports.basicsr import import_basicsr

    import_basicsr()
    from realesrgan import RealESRGANer

    return RealESRGANer


def test_the_class_has_the_defaults_that_were_read(upsampler):
    told = METHODS.facts["__init__"]
    default = inspect.signature(upsampler.__init__).parameters["half"].default
    assert told == f"has half={default} as its default"


def test_lanczos_brings_the_output_to_its_scale():
    method = class_method("enhance")
    assert "outscale" in [parameter.arg for parameter in method.args.args]
    (filter_name,) = re.findall(r"cv2\.(\w+)", METHODS.facts["enhance"])
    used = {node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute)}
    assert filter_name in used


@pytest.mark.parametrize("outscale", [2, 4, 8])
def test_any_output_scale_is_taken(upsampler, outscale):
    import torch

    fake = SimpleNamespace(scale=4, tile_size=0)
    fake.pre_process = lambda picture: setattr(
        fake, "img", torch.from_numpy(picture.transpose(2, 0, 1))[None]
    )
    fake.process = lambda: None
    fake.post_process = lambda: torch.nn.functional.interpolate(
        fake.img, scale_factor=4
    )
    output, _ = upsampler.enhance(fake, np.zeros((5, 7, 3), np.uint8), outscale)
    assert output.shape == (5 * outscale, 7 * outscale, 3)


def test_a_tile_that_runs_out_of_memory_shows_the_tile_before_it(
    upsampler, monkeypatch
):
    import torch
    from realesrgan import utils

    said = []
    # our own runner of it, loaded by another test, has put its log in this place
    monkeypatch.setitem(vars(utils), "print", lambda *words: said.append(str(words)))

    def network(tile):
        if tile.max() > 1:
            raise RuntimeError("CUDA out of memory")
        return tile

    picture = torch.tensor([[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]])
    fake = SimpleNamespace(img=picture, scale=1, tile_size=2, tile_pad=0, model=network)
    upsampler.tile_process(fake)
    assert fake.output.tolist() == [[[[1.0] * 4, [1.0] * 4]]]
    assert any("out of memory" in line for line in said)
    assert swallows_errors(class_method("tile_process"))
    assert not swallows_errors(class_method("enhance"))
