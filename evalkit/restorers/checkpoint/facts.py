"""What spandrel says of a file of weights, and the network that it makes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import WeightsError
from evalkit.restorers._work import Batches, count_work
from evalkit.restorers.engines.canvas import Tiling
from evalkit.restorers.engines.torch import ASSUMED_BYTES
from evalkit.restorers.realesrgan.network import Network
from evalkit.weights import UNREADABLE, any_state, known_by

if TYPE_CHECKING:
    import torch

MARGIN_PX = 80
"""Context of a tile, source px: what Real-ESRGAN's largest network was measured to need
(see `evalkit.restorers.realesrgan.network`). Others were not measured one by one."""

PROBE_PX = 64
"""Side of the picture with which a network's memory is counted."""

HELD = 2
"""What a network holds at its worst moment, as multiples of its largest operation's
inputs and outputs: 1.6 in Real-ESRGAN's x4plus, measured, rounded up."""

UNKNOWN_VALUES = 16384
"""Numbers a source pixel is taken to need where a network cannot be counted."""


class File(NamedTuple):
    """A file of weights; its digest stands for what it holds."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts(Network):
    """What spandrel says of a file.

    Attributes
    ----------
    architecture
        With its tags, as spandrel names them.
    purpose
        ``SR``, ``FaceSR`` or ``Restoration``.
    n_inputs, n_outputs
        Channels.
    precisions
        Those that it is known to bear.
    multiple_of, least
        Of the sides of what it takes, px.
    is_square
        Whether it takes squares only.
    tiling_by
        ``SUPPORTED``, ``DISCOURAGED`` (tiles change the picture, which is cut only
        where memory asks for it) or ``INTERNAL`` (it cuts pictures itself).

    """

    architecture: str
    purpose: str
    n_inputs: int
    n_outputs: int
    precisions: tuple[str, ...]
    multiple_of: int
    least: int
    is_square: bool
    tiling_by: str

    @property
    def step(self) -> int:
        """Source sides must be multiples of it."""
        return self.multiple_of

    def auto_tile(
        self,
        device: str,  # noqa: ARG002 - one rule for all
        precision: str,
        room_bytes: int = ASSUMED_BYTES,
    ) -> int:
        """The side of a tile, source px, that needs `room_bytes` at most; 0: no cut."""
        # super() without arguments lacks its class in one with slots
        tile = Network.auto_tile(self, "cuda", precision, room_bytes)
        return 0 if self.tiling_by == "INTERNAL" else tile

    def tiling(self, device: str, tile: int | str) -> Tiling:
        """See `Network.tiling`."""
        return replace(Network.tiling(self, device, tile), least=self.least)

    def in_words(self) -> str:
        """For the notes of an output."""
        half = " and ".join(self.precisions)
        sides = f"sides are multiples of {self.multiple_of}, at least {self.least} px"
        takes_any = self.step == self.least == 1
        return (
            f"{self.architecture}, by spandrel {metadata.version('spandrel')}: "
            f"{self.purpose}, x{self.scale}, {self.n_inputs} channels in, "
            f"{self.n_outputs} out, {half}; {'any size' if takes_any else sides}"
            f"{', squares only' if self.is_square else ''}"
            f"{'; tiles change its picture' if self.tiling_by == 'DISCOURAGED' else ''}"
        )


def read_descriptor(file: File) -> Any:
    """The network in a file, on the CPU in fp32, as spandrel describes it.

    Raises
    ------
    WeightsError
        Not a file that can be read safely, none of spandrel's architectures, or one
        that takes more than a picture.
    PackageMissingError
        The extra ``models`` is not installed.

    """
    state = any_state(file.path)
    import spandrel
    import torch

    try:
        with torch.device("cpu"):
            descriptor = spandrel.MAIN_REGISTRY.load(state)
    except (*UNREADABLE, spandrel.UnsupportedModelError) as error:
        entry = known_by(file.sha256)
        instead = f"; it is {entry.name}, {entry.network}" if entry else ""
        raise WeightsError(
            f"{file.path}: expected one of the {len(list(spandrel.MAIN_REGISTRY))} "
            f"architectures that spandrel {spandrel.__version__} knows; found none "
            f"that fits ({type(error).__name__}){instead}"
        ) from error
    channels = descriptor.input_channels, descriptor.output_channels
    is_picture = isinstance(descriptor, spandrel.ImageModelDescriptor)
    if not is_picture or channels not in {(1, 1), (3, 3), (4, 4), (1, 3), (3, 1)}:
        raise WeightsError(
            f"{file.path}: expected a network from a picture to a picture; found "
            f"{descriptor.architecture.name}, a network for {descriptor.purpose} with "
            f"{channels[0]} channels in and {channels[1]} out"
        )
    descriptor.model.eval().float()
    return descriptor


@cache
def facts_of(file: File) -> Facts:
    """What spandrel says of a file; see `read_descriptor`."""
    descriptor = read_descriptor(file)
    sizes = descriptor.size_requirements
    tags = f" ({', '.join(descriptor.tags)})" if descriptor.tags else ""
    halves = {
        "fp16": descriptor.supports_half,
        "bf16": descriptor.supports_bfloat16,
    }
    return Facts(
        name=file.path.stem,
        margin_px=MARGIN_PX,
        scale=descriptor.scale,
        peak_values=_peak_values(file, sizes),
        architecture=f"{descriptor.architecture.name}{tags}",
        purpose=descriptor.purpose,
        n_inputs=descriptor.input_channels,
        n_outputs=descriptor.output_channels,
        precisions=("fp32", *(name for name, has in halves.items() if has)),
        multiple_of=sizes.multiple_of,
        least=max(sizes.minimum, 1),
        is_square=sizes.square,
        tiling_by=descriptor.tiling.name,
    )


def _peak_values(file: File, sizes: Any) -> int:
    """Numbers that a source pixel takes at once, counted without running it."""
    side: int = PROBE_PX + sizes.get_padding(PROBE_PX, PROBE_PX)[0]
    try:
        bound = count_work([Batches(_on_meta, file, (1, 3, side, side))], "fp32")
    except UNREADABLE:  # which asks for values, of which there are none on that device
        return UNKNOWN_VALUES
    return math.ceil(HELD * bound.coexisting_bytes / 4 / side**2)


def _on_meta(file: File) -> torch.nn.Module:
    return as_module(read_descriptor(file)).to("meta")


def as_module(descriptor: Any, *, is_plain: bool = False) -> torch.nn.Module:
    """The network from R, G, B to R, G, B.

    Parameters
    ----------
    descriptor
        As `read_descriptor` returned it.
    is_plain
        By spandrel's own call, which pads and clips.

    """
    from evalkit.restorers.checkpoint.module import InRgb

    return InRgb(descriptor, is_plain=is_plain).eval()
