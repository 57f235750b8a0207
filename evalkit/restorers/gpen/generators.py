"""GPEN's generators: the released sizes, their weights, what runs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import SettingError
from evalkit.restorers._protocol import Settings
from evalkit.restorers.engines.tf32 import single_precision
from evalkit.restorers.engines.torch import Engine, MakeEngine
from evalkit.weights import load_state, user_weights

if TYPE_CHECKING:
    import torch

    from evalkit.restorers.gpen.network import FullGenerator

RANDOM_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One released generator.

    Attributes
    ----------
    side
        Side of its faces, in pixels.
    channel_multiplier, narrow
        See `FullGenerator`.

    """

    side: int
    channel_multiplier: int = 2
    narrow: float = 1.0

    @property
    def weights(self) -> str:
        """Their name in the registry."""
        return f"gpen-bfr-{self.side}"

    @property
    def cuda_batch(self) -> int:
        """Faces that go to a GPU together: 8 million pixels of them."""
        return max(1, 2**23 // self.side**2)


SIZES = {
    f"gpen-{size.side}": size
    for size in (
        Size(side=256, channel_multiplier=1, narrow=0.5),
        Size(side=512),
        Size(side=1024),
        Size(side=2048),
    )
}


def load_generator(
    path: Path | str,
    size: int = 512,
    channel_multiplier: int = 2,
    narrow: float = 1.0,
) -> FullGenerator:
    """GPEN's network with the weights of a file.

    Parameters
    ----------
    path
        A released file, or any of that layout.
    size
        Side of a face in pixels: 256, 512, 1024 or 2048.
    channel_multiplier, narrow
        1 and 0.5 for the released file of 256, else 2 and 1.

    Returns
    -------
    FullGenerator
        In fp32 on the CPU: maps ``(N, 3, size, size)``, R, G, B in [-1, 1], to the
        same shape, not clipped.

    Raises
    ------
    WeightsError
        There is no such file, or it is not of this network.

    """
    from evalkit.restorers.gpen.network import with_state

    weights = user_weights(f"gpen-bfr-{size}", Path(path).expanduser())
    return with_state(load_state(weights), size, channel_multiplier, narrow)


def untrained_generator(size: Size) -> FullGenerator:
    """The network of a released size, its parameters not yet set."""
    from evalkit.restorers.gpen.network import FullGenerator

    return FullGenerator(size.side, size.channel_multiplier, size.narrow)


def random_generator(size: int, seed: int = RANDOM_SEED) -> FullGenerator:
    """The network of a released size with seeded random weights, for cost only.

    Raises
    ------
    SettingError
        No such size.

    """
    from evalkit.restorers.gpen.network import with_random_values

    by_side = {entry.side: entry for entry in SIZES.values()}
    if size not in by_side:
        raise SettingError(f"size expected one of {sorted(by_side)}, got {size!r}")
    entry = by_side[size]
    return with_random_values(size, entry.channel_multiplier, entry.narrow, seed)


def engine_for(
    module: torch.nn.Module,
    side: int,
    settings: Settings,
    precision: str,
    make_engine: MakeEngine | None = None,
) -> tuple[Engine, list[str]]:
    """What runs a network on ``(N, C, side, side)``, and notes on it.

    Without `make_engine` it is OpenVINO or PyTorch, by the runner and the device of the
    resolved settings.
    """
    import torch

    from evalkit.restorers.engines.openvino import engine_on_cpu
    from evalkit.restorers.engines.torch import TorchEngine
    from evalkit.restorers.gpen.layers import fold

    chance = torch.Generator().manual_seed(RANDOM_SEED)
    example = torch.rand(1, 3, side, side, generator=chance) * 2 - 1
    if make_engine:
        return make_engine(module, example, precision)
    if settings["runner"] == "upstream":
        precision = single_precision(settings) or precision
        return TorchEngine(module, settings["device"], precision, layout="nchw"), []
    if settings["device"] != "cpu":
        place = settings["device"], precision
        return TorchEngine(module, *place, layout="nchw", prepare=fold), []
    return engine_on_cpu(module, example, precision=precision)
