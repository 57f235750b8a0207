"""AlexNet's weights are not here: random ones stand in, and the paper's formula."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torchvision.models import alexnet

from evalkit.errors import WeightsError
from evalkit.metrics import lpips as module
from evalkit.metrics.lpips import lpips
from evalkit.weights import WeightsInUse

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.fixture
def network(need, tmp_path, monkeypatch):
    need(find_spec("lpips"), "pip install evalkit[lpips]")
    torch.manual_seed(0)
    network = alexnet(weights=None).eval()
    use(network.state_dict(), tmp_path / "alexnet.pth", monkeypatch)
    return network


def use(state, path, monkeypatch):
    torch.save(state, path)
    weights = WeightsInUse("alexnet", path, str(path), "user")
    monkeypatch.setattr(module, "find", lambda _: weights)


@torch.inference_mode()
def by_the_paper(network, one, other):
    """Equation 1, on the outputs of AlexNet's five ReLUs."""
    package = Path(find_spec("lpips").origin).parent
    linear = torch.load(package / "weights/v0.1/alex.pth", map_location="cpu")
    total, planes = 0.0, []
    for picture in (one, other):
        scaled = (picture / 255 - np.array(MEAN)) / np.array(STD)
        planes.append(torch.tensor(scaled).float().permute(2, 0, 1)[None])
    number = 0
    for layer in network.features:
        planes = [layer(plane.clone()) for plane in planes]
        if isinstance(layer, torch.nn.ReLU):
            unit = [plane / plane.norm(dim=1, keepdim=True) for plane in planes]
            weights = linear[f"lin{number}.model.1.weight"]
            total += float(((unit[0] - unit[1]) ** 2 * weights).sum(1).mean())
            number += 1
    return total


def test_it_is_the_papers_distance(network, astronaut):
    one = astronaut[:128, 128:256]
    other = cv2.GaussianBlur(one, (0, 0), 2)
    expected = by_the_paper(network, one, other)
    # the authors scale by constants that are rounded to three digits
    assert lpips(other, one) == pytest.approx(expected, rel=0.02)
    assert lpips(one, one) == 0


def test_the_random_numbers_of_the_caller_stay_as_they_are(network, astronaut):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    module._load.cache_clear()
    lpips(astronaut[:64, :64], astronaut[:64, :64])
    assert torch.equal(torch.rand(3), expected)


def test_another_network_is_refused(network, astronaut, tmp_path, monkeypatch):
    use({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth", monkeypatch)
    with pytest.raises(WeightsError, match="not AlexNet's"):
        lpips(astronaut, astronaut)


def test_without_weights_there_is_no_value(astronaut, monkeypatch):
    monkeypatch.setattr(module, "find", lambda _: None)
    assert np.isnan(lpips(astronaut, astronaut))


def test_of_a_picture_smaller_than_a_patch_there_is_no_value(network, astronaut):
    assert np.isnan(lpips(astronaut[:80, :63], astronaut[:80, :63]))
