"""``checkpoint:<file>``: any network file that spandrel knows, tiled by us.

Scale, channels, size requirements, half precision and tiling are what spandrel says of
the file. The runner ``upstream`` is spandrel's own call: the whole picture at once, in
PyTorch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.errors import SettingError, WeightsError
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.restorers._protocol import Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._work import Batches, count_work
from evalkit.restorers.engines.canvas import Tiling
from evalkit.restorers.engines.tf32 import SINGLE
from evalkit.restorers.engines.torch import (
    ASSUMED_BYTES,
    Engine,
    TorchEngine,
    pick_device,
    pick_precision,
)
from evalkit.restorers.realesrgan import OPTIONS
from evalkit.restorers.realesrgan.network import Network
from evalkit.weights import (
    UNREADABLE,
    WEIGHTS_SUFFIXES,
    any_state,
    known_by,
    user_weights,
)

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
        return (
            f"{self.architecture}, by spandrel {metadata.version('spandrel')}: "
            f"{self.purpose}, x{self.scale}, {self.n_inputs} channels in, "
            f"{self.n_outputs} out, {half}; {sides if self.step > 1 else 'any size'}"
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
    from evalkit.restorers._checkpoint_module import InRgb

    return InRgb(descriptor, is_plain=is_plain).eval()


def shown(argument: str) -> tuple[str, str | None]:
    """The file's stem, and the whole path of a file that is there; see `Shown`."""
    path = Path(argument).expanduser().absolute()
    is_suffix = path.suffix.lower() in WEIGHTS_SUFFIXES
    return (path.stem if is_suffix else path.name), (
        str(path) if path.is_file() else None
    )


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Read what the file is, and settle every ``auto`` by it.

    Raises
    ------
    SettingError
        A device that is not here, a precision that the network does not bear, or
        tiles where spandrel's own call makes none.
    WeightsError
        As in `read_descriptor`; or there is no such file.
    PackageMissingError
        The extra ``models`` is not installed.

    """
    path = Path(settings["file"]).expanduser()
    if not path.is_file() and path.name == settings["file"] and not path.suffix:
        raise WeightsError(
            f"{spec.name}:{path} names a file by its stem, and which file is not known "
            "here: give its path, as the study's own file does"
        )
    weights = user_weights(f"{spec.name}:{path.stem}", path)
    entry = known_by(weights.sha256)
    if entry:  # whose notice, if it has one, holds for this copy, too
        weights = replace(weights, name=entry.name)
    facts = facts_of(File(path.absolute(), str(weights.sha256)))
    device = pick_device(settings["device"])
    is_plain = settings["runner"] == "upstream"
    if is_plain and settings["tile"] not in ("auto", 0):
        raise SettingError(
            f"{spec.name}: spandrel's own call makes no tiles; got tile "
            f"{settings['tile']}; known: auto, 0, or runner=tuned"
        )
    precision = "fp32"
    if settings["precision"] != "auto" or not is_plain:
        precision = pick_precision(settings["precision"], device, settings["runner"])
    if precision not in facts.precisions and precision not in SINGLE:
        if settings["precision"] != "auto":
            raise SettingError(
                f"{path.name}: {facts.architecture} is not known to bear {precision}; "
                f"known: auto, {', '.join(facts.precisions)}"
            )
        precision = "fp32"
    scale = settings["scale"] or facts.scale
    settled = {"device": device, "precision": precision, "scale": scale}
    settled["tile"] = 0 if is_plain else facts.plan_tile({**settings, **settled})
    licence = entry.licence if entry else "unknown"
    notes = [facts.in_words(), f"licence: {licence}, SHA-256 {weights.sha256}"]
    if facts.purpose == "FaceSR":
        notes.append("made for one aligned face, which it draws anew: a guess")
    if scale != facts.scale:
        notes.append(f"scale {scale:g} by Lanczos from {facts.scale}")
    facts_kept = {
        "file": path.name,
        "architecture": facts.architecture,
        "spandrel": metadata.version("spandrel"),
        "licence": licence,
    }
    return Plan(
        spec=spec,
        requested=settings,
        resolved={**settings, **settled, **facts_kept},
        weights=(weights,),
        notes=tuple(notes),
        preload=("spandrel",),
    )


def build(plan: Plan) -> Restorer:
    """Load the network.

    Raises
    ------
    WeightsError
        As in `read_descriptor`.

    """
    import torch

    from evalkit.restorers.engines.openvino import engine_on_cpu
    from evalkit.restorers.engines.tiling import LoadedNetwork
    from evalkit.restorers.realesrgan.tuned import TunedRealESRGAN

    (weights,), settings = plan.weights, plan.resolved
    file = File(Path(str(weights.path)), str(weights.sha256))
    facts = facts_of(file)
    is_plain = settings["runner"] == "upstream" or facts.is_square
    device, tile = settings["device"], settings["tile"]

    def load(precision: str) -> tuple[Engine, list[str]]:
        module = as_module(read_descriptor(file), is_plain=is_plain)
        if is_plain or device != "cpu":
            return TorchEngine(module, device, precision), []
        step = facts.step
        n_steps = math.ceil(max(facts.least, 32) / step)
        # a size that the network does not have to pad would hide how it pads others
        sides = [step * (n_steps + more) for more in (0, 1, 3)]
        example, probe = torch.rand(1, 3, *sides[:1] * 2), torch.rand(2, 3, *sides[1:])
        return engine_on_cpu(
            module, example, precision=precision, takes_any_size=True, probe=probe
        )

    engine, notes = load(settings["precision"])
    step = LoadedNetwork(
        engine=engine,
        tiling=Tiling(scale=facts.scale, tile=0, margin=0)
        if is_plain
        else facts.tiling(device, tile),
        in_fp32=None if settings["precision"] in SINGLE else lambda: load("fp32")[0],
        fit=facts.fit if tile == "auto" else None,
    )
    return TunedRealESRGAN(plan, [step], [engine.name, *notes])


ENTRIES = (
    RestorerSpec(
        name="checkpoint",
        task="any network file that spandrel knows",
        scale=1,
        citation="the file's own; read by github.com/chaiNNer-org/spandrel",
        licence="unknown, unless the file's digest is registered",
        plan=plan,
        build=build,
        honours=frozenset(COMMON_OPTIONS) - {"weights"},
        preload=("torch", "evalkit.restorers._checkpoint_module"),
        argument="file",
        shown=shown,
        options={
            "file": Option(
                default=None,
                is_text=True,
                description="a .safetensors, .pth, .pt or .ckpt file",
            ),
            "scale": Option(
                default=None,
                choices=(None,),
                low=1,
                high=16,
                description="output side divided by source side, by Lanczos; None for "
                "the network's own",
            ),
            "alpha": OPTIONS["alpha"],
        },
    ),
)
