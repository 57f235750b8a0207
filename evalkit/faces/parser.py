"""ParseNet: which part of an aligned face each pixel shows."""

import warnings
from collections.abc import Callable
from typing import TypeAlias

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from evalkit.errors import WeightsError
from evalkit.imports.torchvision import import_torchvision
from evalkit.weights import WeightsInUse, load_state

Run: TypeAlias = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""A network: takes and gives ``(number, channels, height, width)``."""

SIDE = 512
N_CLASSES = 19


class ParseNet(torch.nn.Module):
    """facexlib's network, without the picture that it makes beside the classes.

    References
    ----------
    Chen et al., Progressive Semantic-Aware Style Transformation for Blind Face
    Restoration, CVPR 2021, arXiv:2009.08709.

    """

    def __init__(self) -> None:
        super().__init__()
        import_torchvision()
        from facexlib.parsing.parsenet import ParseNet as Network

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.network = Network(in_size=SIDE, out_size=SIDE, parsing_ch=N_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map R, G, B in [-1, 1], ``(N, 3, 512, 512)``, to ``(N, 19, 512, 512)``."""
        network = self.network
        features = network.encoder(x)
        features = network.decoder(features + network.body(features))
        scores: torch.Tensor = network.out_mask_conv(features)
        return scores


def load_parsenet(weights: WeightsInUse) -> ParseNet:
    """The network with its weights.

    Raises
    ------
    WeightsError
        The file is not ParseNet's.

    """
    module = ParseNet().eval().requires_grad_(False)
    try:
        module.network.load_state_dict(load_state(weights), strict=True)
    except RuntimeError as error:
        raise WeightsError(
            f"{weights.path} is no ParseNet: {str(error)[:200]}"
        ) from error
    return module


def run_by_torch(module: torch.nn.Module) -> Run:
    """Call a module with arrays, on the CPU, in float32."""

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            output: NDArray[np.float32] = module(torch.from_numpy(batch)).numpy()
        return output

    return run


class Parser:
    """Parses faces, each by itself; may be shared by threads."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __call__(self, face: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class of each pixel, ``(512, 512)``, in [0, 18], of one aligned face.

        The face is ``(H, W, 3)``, R, G, B.
        """
        pixels = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        batch = pixels.transpose(2, 0, 1)[None].astype(np.float32) / 127.5 - 1
        classes: NDArray[np.uint8] = self._run(batch)[0].argmax(axis=0).astype(np.uint8)
        return classes
