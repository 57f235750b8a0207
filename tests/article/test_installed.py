"""What is read of the installed package is what the package does when it runs."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest

from evalkit.article._installed import (
    NCNN,
    SCRIPT,
    class_method,
    defaults,
    documented_options,
    swallows_errors,
)
from evalkit.errors import EvalkitError


@pytest.fixture(scope="module")
def upsampler():
    from evalkit.imports.basicsr import import_basicsr

    import_basicsr()
    from realesrgan import RealESRGANer

    return RealESRGANer


def test_options_are_found_by_every_spelling():
    options = documented_options(SCRIPT)
    assert options["-s"] == options["--outscale"]
    assert options["--fp32"].endswith("Default: fp16 (half precision).")
    assert "-j" in documented_options(NCNN)
    assert "-j" not in options


def test_defaults_are_those_of_the_class(upsampler):
    for name in ("__init__", "enhance"):
        parameters = inspect.signature(getattr(upsampler, name)).parameters.values()
        expected = {
            p.name: p.default
            for p in parameters
            if p.default is not inspect.Parameter.empty
        }
        assert defaults(class_method(name)) == expected


def test_a_method_that_is_not_there_is_said():
    with pytest.raises(EvalkitError, match=r"RealESRGANer\.upscale"):
        class_method("upscale")


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


def test_a_tile_that_runs_out_of_memory_shows_the_tile_before_it(upsampler, capsys):
    import torch

    def network(tile):
        if tile.max() > 1:
            raise RuntimeError("CUDA out of memory")
        return tile

    picture = torch.tensor([[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]])
    fake = SimpleNamespace(img=picture, scale=1, tile_size=2, tile_pad=0, model=network)
    upsampler.tile_process(fake)
    assert fake.output.tolist() == [[[[1.0] * 4, [1.0] * 4]]]
    assert "out of memory" in capsys.readouterr().out
    assert swallows_errors(class_method("tile_process"))
    assert not swallows_errors(class_method("enhance"))
