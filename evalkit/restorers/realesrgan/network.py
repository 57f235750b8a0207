"""The networks of Real-ESRGAN: their facts, and how they are built and loaded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from evalkit.errors import WeightsError
from evalkit.restorers._protocol import Settings
from evalkit.restorers.engines.canvas import SEAM, Tiling
from evalkit.restorers.engines.torch import ASSUMED_BYTES, Engine
from evalkit.weights import WeightsInUse, load_state

if TYPE_CHECKING:
    import torch

CITATION = (
    "Wang et al., Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure "
    "Synthetic Data, ICCV Workshops 2021, arXiv:2107.10833"
)

CUDA_BATCH_PX = 512 * 512
"""Source pixels that keep a large GPU busy; smaller windows go there together."""

VALUE_BYTES = {"fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2}

LEVEL_BYTES = 4 + 4 + 2 + 2
"""What a value of the output becomes on the device, all of it at once: float32, that
clipped, uint16, and that laid out by pixels. See `evalkit.restorers.engines.canvas`."""

TILE_STEP = 32
"""On CUDA a tile's side is a multiple of it, so that a little more or less of free
memory makes no other tiles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A released network: an ``RRDBNet`` or an ``SRVGGNetCompact``.

    Attributes
    ----------
    name
        Name of its weights in the registry.
    margin_px
        Source pixels of context with which a tile's output is the untiled one's.
    n_blocks
        Residual blocks of an ``RRDBNet``; 0 for an ``SRVGGNetCompact``.
    n_convolutions
        Of an ``SRVGGNetCompact``, the first and the last one not counted.
    n_features
        Channels of the feature maps.
    scale
        Output side divided by source side.
    peak_values
        Numbers that a source pixel takes at once, at the worst moment: eager PyTorch
        2.15.0, fp32, a source of 48x48 px on a CPU, where a convolution has a copy of
        its output beside it. What cuDNN takes in its place is not known.

    """

    name: str
    margin_px: int
    n_blocks: int = 0
    n_convolutions: int = 0
    n_features: int = 64
    scale: int = 4
    peak_values: int = 3344

    @property
    def step(self) -> int:
        """Source sides must be multiples of it: a x2 ``RRDBNet`` unshuffles pixels."""
        return 2 if self.n_blocks and self.scale == 2 else 1

    def auto_tile(
        self, device: str, precision: str, room_bytes: int = ASSUMED_BYTES
    ) -> int:
        """The side of a tile, source pixels, that needs `room_bytes` at most.

        On a CPU about 3 GiB, measured with OpenVINO: an ``RRDBNet`` of 64 features
        takes 6.4 kB for a source pixel in bf16 and 12.5 kB in fp32, at a quarter of the
        resolution less. On CUDA the largest by `peak_values`, margins and seams
        included; at least `TILE_STEP`.
        """
        if device == "cpu":
            side = 512 if precision != "fp32" or not self.n_blocks else 352
            return side * self.step
        window = math.isqrt(room_bytes // self._px_bytes(precision))
        side = window - 2 * self.margin_px - SEAM
        return max(side - side % TILE_STEP, TILE_STEP)

    def plan_tile(self, settings: Settings) -> int | str:
        """The tile of settings whose device and precision are settled.

        On CUDA ``auto`` stays: `fit` decides at each call.
        """
        if settings["tile"] != "auto":
            return int(settings["tile"])
        if settings["runner"] == "upstream":
            return 0  # the default of upstream's script
        if settings["device"] != "cpu":
            return "auto"
        return self.auto_tile("cpu", settings["precision"])

    def fit(self, engine: Engine, height: int, width: int) -> tuple[Tiling, str]:
        """How a picture is cut on CUDA, by the memory that is free now, and a note.

        It is not cut where it fits, else into the largest tiles that fit.
        """
        sides = (math.ceil(side / self.step) * self.step for side in (height, width))
        px_bytes, free_bytes = self._px_bytes(engine.precision), engine.free_bytes
        needed_bytes = math.prod(sides) * px_bytes
        tile = 0
        if needed_bytes > free_bytes:
            tile = self.auto_tile("cuda", engine.precision, free_bytes)
        tiling = self.tiling("cuda", tile)
        room_px = free_bytes // px_bytes
        batch_px = min(tiling.batch_px, room_px)
        return replace(tiling, batch_px=batch_px, room_px=room_px), (
            f"tile {f'{tile} px' if tile else 'none'}: {width}x{height} px need "
            f"{needed_bytes / 2**30:.2f} GiB, {free_bytes / 2**30:.2f} may be taken"
        )

    def _px_bytes(self, precision: str) -> int:
        """Bytes of a source pixel at the worst moment of the network or output."""
        value_bytes = VALUE_BYTES[precision]
        n_outputs = 3 * self.scale**2
        return max(
            self.peak_values * value_bytes, n_outputs * (value_bytes + LEVEL_BYTES)
        )

    def tiling(self, device: str, tile: int | str) -> Tiling:
        """How the tuned runner cuts a picture; ``auto`` as if memory sufficed."""
        return Tiling(
            scale=self.scale,
            tile=0 if tile == "auto" else int(tile),
            margin=self.margin_px,
            step=self.step,
            batch_px=0 if device == "cpu" else CUDA_BATCH_PX,
        )


NETWORKS = {
    network.name: network
    for network in (
        Network(name="realesrgan-x4plus", n_blocks=23, margin_px=80),
        Network(
            name="realesrgan-x2plus",
            n_blocks=23,
            margin_px=160,
            scale=2,
            peak_values=851,
        ),
        Network(name="realesrnet-x4plus", n_blocks=23, margin_px=80),
        Network(name="realesrgan-x4plus-anime", n_blocks=6, margin_px=48),
        Network(
            name="realesrgan-general-x4",
            n_convolutions=32,
            margin_px=34,
            peak_values=208,
        ),
        Network(
            name="realesrgan-animevideo-x4",
            n_convolutions=16,
            margin_px=18,
            peak_values=208,
        ),
    )
}
"""By name. The margins of x4plus and x4plus-anime are measured on registered pictures
(``benchmarks/margins.py``): with 80 px around it, x4plus's output was off by at most
one level of 255 from the whole picture's on 12 of 13 pictures, and by 1.7 on the other;
with upstream's 10 px by 19 to 148 on five. Seams add 8 px. realesrnet-x4plus has the
same form, and so has x2plus at half the resolution. The compact networks see no farther
than their number of 3x3 convolutions, and need all of that."""


def build_module(network: Network) -> torch.nn.Module:
    """The network, not yet trained."""
    from evalkit.restorers.realesrgan.modules import RRDBNet, SRVGGNetCompact

    scale, n_features = network.scale, network.n_features
    if network.n_blocks:
        n_blocks = network.n_blocks
        return RRDBNet(scale=scale, n_features=n_features, n_blocks=n_blocks).eval()
    n_convolutions = network.n_convolutions
    return SRVGGNetCompact(
        scale=scale, n_features=n_features, n_convolutions=n_convolutions
    ).eval()


def load_module(
    network: Network,
    weights: Sequence[WeightsInUse],
    denoise_strength: float = 1.0,
    build: Callable[[Network], torch.nn.Module] = build_module,
) -> torch.nn.Module:
    """The network with its weights, in fp32 on the CPU.

    Parameters
    ----------
    network
        Which one.
    weights
        Its weights; with a `denoise_strength` below 1 also those of its sister that
        was trained without denoising.
    denoise_strength
        In [0, 1]; the weights are mixed by it (deep network interpolation, Wang et
        al., CVPR 2019).
    build
        Makes the network without its weights.

    Raises
    ------
    WeightsError
        The file is not one for this network.

    """
    module = build(network)
    state = _load_state(network, weights[0], module)
    if denoise_strength < 1:
        sister = _load_state(network, weights[1], module)
        state = {
            key: denoise_strength * value + (1 - denoise_strength) * sister[key]
            for key, value in state.items()
        }
        module.load_state_dict(state, strict=True)
    return module


def _load_state(
    network: Network, weights: WeightsInUse, module: torch.nn.Module
) -> dict[str, torch.Tensor]:
    """A state dict that fits `module`, which is left with it loaded."""
    state = load_state(weights, module.state_dict())
    try:
        module.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error).split("\n\t", 2)[1]
        raise WeightsError(
            f"{weights.path} does not hold weights of {network.name}: {reason}"
        ) from error
    return state
