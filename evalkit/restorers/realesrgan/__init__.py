"""Real-ESRGAN: six released networks, with upstream's runner and ours."""

import math
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.errors import PackageMissingError, SettingError
from evalkit.imports.basicsr import missing
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.restorers._protocol import Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._work import CostBound, count_work
from evalkit.restorers.engines.torch import MakeEngine, pick_device, pick_precision
from evalkit.restorers.realesrgan.batches import batches_of
from evalkit.restorers.realesrgan.network import CITATION, NETWORKS
from evalkit.weights import WeightsInUse, fetch, find, user_weights

WITHOUT_DENOISING = "realesrgan-general-wdn-x4"
SECOND_PASS = "realesrgan-x2plus"
PHOTOGRAPHS = ("realesrgan-x4plus", "realesrnet-x4plus")
"""The networks that leave the second pass of a scale of 8 to x2plus, if it is here."""

OPTIONS = {
    "scale": Option(
        default=None,
        choices=(None,),
        low=1,
        high=16,
        description="output side divided by source side; None for the network's own. 8 "
        "is made in two passes by the tuned runner, all else by Lanczos",
    ),
    "alpha": Option(
        default="network",
        choices=("network", "interpolate"),
        description="how transparency is enlarged: by the network, or bilinearly",
    ),
}
DENOISING = Option(
    default=0.5,
    low=0,
    high=1,
    description="mixes the weights: 0 keeps the noise, 1 removes it",
)


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Settle every ``auto``, and find the weights or download them.

    Raises
    ------
    SettingError
        A device that is not here, or a precision that the runner does not have.
    WeightsError
        Weights that cannot be had.
    PackageMissingError
        The runner is ``upstream``, and upstream's packages are not installed.

    """
    network, runner = NETWORKS[spec.name], settings["runner"]
    if runner == "upstream":
        for package in ("basicsr", "realesrgan"):
            if reason := missing(package, "runner=upstream"):
                raise PackageMissingError(f"{reason} or runner=tuned")
    device = pick_device(settings["device"])
    precision = pick_precision(settings["precision"], device, runner)
    if runner == "upstream" and precision == "bf16":
        raise SettingError(
            f"{spec.name}: RealESRGANer has no bf16; known: auto, fp32, fp16"
        )
    scale = settings["scale"] or network.scale
    settled = {"device": device, "precision": precision, "scale": scale}
    settled["tile"] = network.plan_tile({**settings, **settled})
    weights = _find_weights(spec, settings)
    notes = [f"scale {scale:g} by Lanczos from {network.scale}"]
    if scale == network.scale:
        notes = []
    elif scale == 8 and runner == "tuned":
        second = find(SECOND_PASS) if spec.name in PHOTOGRAPHS else None
        weights += (second,) if second else ()
        notes = [_two_passes(spec.name, network.scale, second)]
    return Plan(
        spec=spec,
        requested=settings,
        resolved={**settings, **settled},
        weights=weights,
        notes=tuple(notes),
        preload=(f"{__name__}.upstream",) if runner == "upstream" else (),
    )


def build(plan: Plan, make_engine: MakeEngine | None = None) -> Restorer:
    """Load the network, or the two of a scale of 8.

    `make_engine` is that of `load_network`; the runner ``upstream`` has its own.

    Raises
    ------
    WeightsError
        The file is not one for this network.

    """
    network, settings = NETWORKS[plan.spec.name], plan.resolved
    denoise_strength = settings.get("denoise_strength", 1.0)
    n_own = 1 if denoise_strength == 1 else 2
    own_weights, second = plan.weights[:n_own], plan.weights[n_own:]
    if settings["runner"] == "upstream":
        from evalkit.restorers.realesrgan.network import load_module
        from evalkit.restorers.realesrgan.upstream import (
            UpstreamRealESRGAN,
            upstream_module,
        )

        module = load_module(network, own_weights, denoise_strength, upstream_module)
        return UpstreamRealESRGAN(plan, module, network.scale)
    from evalkit.restorers.realesrgan.tuned import TunedRealESRGAN, load_network

    arguments = {key: settings[key] for key in ("device", "precision", "tile")}
    arguments["make_engine"] = make_engine
    first, notes = load_network(
        network, own_weights, denoise_strength=denoise_strength, **arguments
    )
    passes = [first]
    if settings["scale"] == 8:
        while network.scale ** len(passes) < 8 and not second:
            passes.append(first)
    if second:
        passes.append(load_network(NETWORKS[SECOND_PASS], second, **arguments)[0])
    return TunedRealESRGAN(plan, passes, notes)


def work(name: str, settings: Settings, height: int, width: int) -> CostBound:
    """See `RestorerSpec.work`; of two possible second passes the lesser counts.

    The upstream runner with tiles holds source and output besides.
    """
    names, held_values, scale = [name], 0, NETWORKS[name].scale
    if settings["runner"] == "tuned" and settings["scale"] == 8:
        n_passes = math.ceil(math.log(8, scale))
        names = [name, SECOND_PASS] if name in PHOTOGRAPHS else [name] * n_passes
    if settings["runner"] == "upstream" and settings["tile"]:
        held_values = 3 * height * width * (1 + scale**2)
    networks = [NETWORKS[name] for name in names]
    batches = batches_of(networks, settings, height, width)
    return count_work(batches, settings["precision"], held_values)


def _find_weights(spec: RestorerSpec, settings: Settings) -> tuple[WeightsInUse, ...]:
    """The restorer's own file, and the one that it is mixed with."""
    path = settings["weights"]
    weights = (
        user_weights(spec.name, Path(path).expanduser()) if path else fetch(spec.name)
    )
    if settings.get("denoise_strength", 1) == 1:
        return (weights,)
    return weights, fetch(WITHOUT_DENOISING)


def _two_passes(name: str, scale: int, second: WeightsInUse | None) -> str:
    if second:
        return f"scale 8 as 4 then 2: {name}, then {second.name}"
    if scale == 2:
        return f"scale 8 as 2 then 2 then 2: {name} three times"
    return f"scale 8 as 4 then 2: {name} twice, the last output halved by Lanczos"


def _entry(name: str, task: str, **more: Any) -> RestorerSpec:
    return RestorerSpec(
        name=name,
        task=task,
        scale=NETWORKS[name].scale,
        citation=f"{CITATION}; github.com/xinntao/Real-ESRGAN at a4abfb2",
        licence="BSD-3-Clause",
        plan=plan,
        build=build,
        work=partial(work, name),
        honours=frozenset(COMMON_OPTIONS),
        preload=("torch", "evalkit.restorers.realesrgan.modules"),
        **{"weights": (name,), "options": OPTIONS, **more},
    )


ENTRIES = (
    _entry("realesrgan-x4plus", "photographs, general"),
    _entry("realesrgan-x2plus", "photographs, general, twice the size"),
    _entry(
        "realesrnet-x4plus", "photographs, general, trained without a discriminator"
    ),
    _entry("realesrgan-x4plus-anime", "drawings"),
    _entry(
        "realesrgan-general-x4",
        "photographs, general, small network with adjustable denoising",
        weights=("realesrgan-general-x4", WITHOUT_DENOISING),
        options={**OPTIONS, "denoise_strength": DENOISING},
    ),
    _entry("realesrgan-animevideo-x4", "animated films, small network"),
)
