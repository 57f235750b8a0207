"""``checkpoint:<file>``: any network file that spandrel knows, tiled by us.

Scale, channels, size requirements, half precision and tiling are what spandrel says of
the file. The runner ``upstream`` is spandrel's own call: the whole picture at once, in
PyTorch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from evalkit.errors import SettingError, WeightsError
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.restorers._protocol import Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers.checkpoint.facts import (
    File,
    as_module,
    facts_of,
    read_descriptor,
)
from evalkit.restorers.engines.canvas import Tiling
from evalkit.restorers.engines.tf32 import SINGLE
from evalkit.restorers.engines.torch import (
    Engine,
    TorchEngine,
    pick_device,
    pick_precision,
)
from evalkit.restorers.realesrgan import OPTIONS
from evalkit.weights import WEIGHTS_SUFFIXES, known_by, user_weights


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
    is_plain = settings["runner"] == "upstream"
    # no window of ours is a square: spandrel's call makes it one
    pads_itself = is_plain or facts.is_square
    device, tile = settings["device"], settings["tile"]

    def load(precision: str) -> tuple[Engine, list[str]]:
        module = as_module(read_descriptor(file), is_plain=pads_itself)
        if pads_itself or device != "cpu":
            return TorchEngine(module, device, precision), []
        step = facts.step
        n_steps = math.ceil(max(facts.least, 32) / step)
        # what a network pads or divides by itself shows in sizes unlike each other
        sides = [step * n for n in (n_steps, n_steps + 1, 2 * n_steps + 3)]
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
        preload=("torch", "evalkit.restorers.checkpoint.module"),
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
