"""Perceptual distance from the reference, learned from people's choices."""

import warnings
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from evalkit.errors import WeightsError
from evalkit.features import rgb
from evalkit.images import Picture
from evalkit.imports.torchvision import import_torchvision
from evalkit.metrics._spec import Metric, check_same_size
from evalkit.weights import WeightsInUse, find, load_state

PATCH_PX = 64


def lpips(output: Picture, reference: Picture) -> float:
    """Learned perceptual distance of the output from its reference.

    Returns
    -------
    float
        From 0 for equal pictures; NaN without the extra ``lpips``, where AlexNet's
        weights are not on this machine, and under 64 px a side, the patch of the paper.

    Raises
    ------
    WeightsError
        The file is not AlexNet's.

    References
    ----------
    Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric, CVPR 2018, arXiv:1801.03924: version 0.1 on AlexNet, the authors' code.

    """
    check_same_size(output, reference, "reference")
    weights = find("alexnet")
    is_small = min(output.shape[:2]) < PATCH_PX
    if is_small or weights is None or find_spec("lpips") is None:
        return float("nan")
    import torch

    pair = [
        torch.from_numpy(2 * rgb(picture).astype(np.float32) - 1).permute(2, 0, 1)[None]
        for picture in (output, reference)
    ]
    with torch.inference_mode():
        return float(_load(weights)(*pair))


@lru_cache(maxsize=1)
def _load(weights: WeightsInUse) -> Any:
    import torch

    import_torchvision()
    from lpips import LPIPS

    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")  # it calls torchvision by an old name
        network = LPIPS(net="alex", pnet_rand=True, verbose=False)
    state = load_state(weights)
    # its slices keep the numbers of AlexNet's layers: slice2.3.bias, features.3.bias
    names = {n: f"features.{n.partition('.')[2]}" for n in network.net.state_dict()}
    if missing := {*names.values()} - {*state}:
        raise WeightsError(f"{weights.path} is not AlexNet's: no {sorted(missing)}")
    network.net.load_state_dict({new: state[old] for new, old in names.items()})
    return network


ENTRIES = (
    Metric(
        name="lpips",
        unit="",
        higher_is_better=False,
        citation="Zhang et al. 2018, arXiv:1801.03924",
        needs="reference",
        nan_means=f"a side under {PATCH_PX} px, or AlexNet's weights or the extra "
        "lpips are not on this machine",
        compute=lpips,
    ),
)
