"""GPEN's generator against a slow one that is written from its description."""

import numpy as np
import pytest
import torch
from _plain_gpen import PlainGenerator

from evalkit.errors import SettingError, WeightsError
from evalkit.restorers.gpen import load_generator, random_generator
from evalkit.restorers.gpen.layers import Folding, fold
from evalkit.restorers.gpen.network import FullGenerator

RELEASED = {  # size: constructor, tensors, values
    256: ((1, 0.5), 144, 18_879_298),
    512: ((2, 1), 163, 71_005_559),
    1024: ((2, 1), 182, 71_210_924),
    2048: ((2, 1), 201, 71_295_201),
}


def any_values(network):
    """Values for every tensor, so that none can be left out unseen."""
    chance = torch.Generator().manual_seed(7)
    state = network.state_dict()
    for name, tensor in state.items():
        noise = torch.randn(tensor.shape, generator=chance)
        if name.endswith("kernel"):  # not symmetric: a flip would show
            state[name] = tensor * (1 + 0.2 * noise)
        elif name.endswith(("bias", "noise.weight")):
            state[name] = tensor + 0.2 * noise
    return state


def noise(n, size, seed=3):
    chance = torch.Generator().manual_seed(seed)
    return torch.rand(n, 3, size, size, generator=chance) * 2 - 1


@pytest.fixture(scope="module")
def small():
    return random_generator(256)


@pytest.mark.parametrize("size", RELEASED)
def test_the_layout_is_that_of_the_released_file(size):
    (channel_multiplier, narrow), n_tensors, n_values = RELEASED[size]
    with torch.device("meta"):
        state = FullGenerator(size, channel_multiplier, narrow).state_dict()
    assert len(state) == n_tensors
    assert sum(tensor.numel() for tensor in state.values()) == n_values


def test_names_and_shapes_are_those_of_the_released_file():
    with torch.device("meta"):
        state = FullGenerator(512).state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected = {  # of GPEN-BFR-512.pth
        "generator.style.8.weight": (512, 512),
        "generator.input.input": (1, 512, 4, 4),
        "generator.conv1.conv.weight": (1, 512, 512, 3, 3),
        "generator.conv1.noise.weight": (1,),
        "generator.to_rgb1.conv.weight": (1, 3, 1024, 1, 1),
        "generator.convs.12.conv.blur.kernel": (4, 4),
        "generator.convs.13.activate.bias": (128,),
        "generator.to_rgbs.6.upsample.kernel": (4, 4),
        "generator.to_rgbs.6.bias": (1, 3, 1, 1),
        "ecd0.0.0.weight": (64, 3, 1, 1),
        "ecd0.0.1.bias": (64,),
        "ecd1.0.0.kernel": (4, 4),
        "ecd7.0.1.weight": (512, 512, 3, 3),
        "ecd7.0.2.bias": (512,),
        "final_linear.0.weight": (512, 8192),
    }
    assert expected.items() <= shapes.items()


@pytest.mark.parametrize(
    ("size", "n"), [(256, 2), pytest.param(512, 1, marks=pytest.mark.soak)]
)
def test_it_agrees_with_the_slow_network(size, n, tmp_path):
    network = random_generator(size)
    state = any_values(network)
    torch.save(state, tmp_path / "any.pth")
    (channel_multiplier, narrow), *_ = RELEASED[size]
    network = load_generator(tmp_path / "any.pth", size, channel_multiplier, narrow)
    faces = noise(n, size)
    with torch.inference_mode():
        expected = PlainGenerator(state, size)(faces)
        output = network(faces)
    assert output.shape == faces.shape
    assert expected.std() > 0.1
    assert (output - expected).abs().max() < 1e-4


def test_a_face_is_the_same_alone_and_in_a_batch(small):
    faces = noise(2, 256)
    with torch.inference_mode():
        together = small(faces)
        alone = torch.cat([small(face[None]) for face in faces])
    assert (together - alone).abs().max() < 1e-4


def test_the_output_is_not_clipped(small):
    state = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    state["generator.to_rgbs.5.bias"] += 5
    network = FullGenerator(256, 1, 0.5)
    network.load_state_dict(state)
    faces = noise(1, 256)
    with torch.inference_mode():
        np.testing.assert_allclose(network(faces), small(faces) + 5, atol=1e-5)


def test_random_weights_are_the_same_for_a_seed_and_others_for_another(small):
    again, other = random_generator(256), random_generator(256, seed=1)
    name = "generator.convs.3.conv.weight"
    assert torch.equal(small.state_dict()[name], again.state_dict()[name])
    assert not torch.equal(small.state_dict()[name], other.state_dict()[name])


def test_random_weights_leave_the_global_chance_alone():
    before = torch.get_rng_state()
    random_generator(256)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float32,
        torch.bfloat16,
        pytest.param(torch.float16, marks=pytest.mark.soak),  # slow on a CPU
    ],
)
def test_random_weights_give_pictures_in_every_precision(dtype):
    network = random_generator(256, seed=2).to(dtype)
    with torch.inference_mode():
        output = network(noise(1, 256).to(dtype)).float()
    assert output.isfinite().all()
    assert 0.1 < output.std() < 1
    assert output.abs().max() < 3


def test_it_can_be_moved_to_the_layout_that_gpus_prefer(small):
    faces = noise(1, 256)
    with torch.inference_mode():
        expected = small(faces)
        moved = random_generator(256).to(memory_format=torch.channels_last)
        output = moved(faces.to(memory_format=torch.channels_last))
    assert (output - expected).abs().max() < 1e-4


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_folded_network_gives_the_same_to_the_last_bit(dtype):
    faces = noise(2, 256).to(dtype)
    network = random_generator(256, seed=2).to(dtype)
    with torch.inference_mode():
        expected = network(faces)
        fold(network)
        output = network(faces)
    assert torch.equal(output, expected)


def test_a_folded_network_keeps_what_it_made_of_its_parameters_in_their_place():
    network = random_generator(256)
    layers = [layer for layer in network.modules() if isinstance(layer, Folding)]
    fold(network)
    assert layers
    for layer in layers:
        for name in layer.constants:
            assert getattr(layer, name)() is getattr(layer, name)()
        assert not list(layer.parameters(recurse=False))


@pytest.mark.slow
def test_it_can_be_exported_for_any_number_of_faces(small):
    dynamic = ({0: torch.export.Dim("n")},)
    exported = torch.export.export(small, (noise(2, 256),), dynamic_shapes=dynamic)
    faces = noise(3, 256)
    with torch.inference_mode():
        expected, output = small(faces), exported.module()(faces)
    assert (output - expected).abs().max() < 1e-4


@pytest.mark.parametrize("wrapper", [None, "g_ema"])
def test_a_file_is_loaded_as_it_is_or_from_a_training_script(small, wrapper, tmp_path):
    state = small.state_dict()
    torch.save({wrapper: state} if wrapper else state, tmp_path / "weights.pth")
    loaded = load_generator(tmp_path / "weights.pth", 256, 1, 0.5).state_dict()
    assert list(loaded) == list(state)
    assert all(torch.equal(loaded[name], state[name]) for name in state)


def test_a_file_of_another_size_is_refused(small, tmp_path):
    torch.save(small.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(WeightsError, match=r"expected the 163 tensors.*got 144"):
        load_generator(tmp_path / "weights.pth", 512)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(WeightsError, match="no file"):
        load_generator(tmp_path / "none.pth")


def test_a_size_that_was_never_released_is_refused():
    with pytest.raises(SettingError, match="256, 512, 1024, 2048"):
        random_generator(128)
