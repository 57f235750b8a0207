"""GPEN: rebuilds faces from a generative prior; four sizes, upstream's runner and ours.

Where the released weights cannot be had, the generator runs with seeded random ones:
its time and memory are real, its pictures are noise.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import RandomWeightsWarning, SettingError, WeightsError
from evalkit.faces import DETECTORS, NETWORKS, find_detector, load_detector
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.restorers._protocol import Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._work import Batches, CostBound, count_work
from evalkit.restorers.engines.tf32 import SINGLE
from evalkit.restorers.engines.torch import (
    Engine,
    MakeEngine,
    pick_device,
    pick_precision,
)
from evalkit.restorers.gpen.background import (
    REALESRNET,
    background_batches,
    load_background,
    plan_background,
)
from evalkit.restorers.gpen.generators import (
    RANDOM_SEED,
    SIZES,
    Size,
    engine_for,
    load_generator,
    random_generator,
    untrained_generator,
)
from evalkit.weights import WeightsInUse, fetch, user_weights

if TYPE_CHECKING:
    from evalkit.faces.parser import Parser


__all__ = ["ENTRIES", "load_generator", "random_generator"]

OPTIONS = {
    "strength": Option(
        default=100,
        low=0,
        high=100,
        description="per cent of the restored face; the rest is the picture",
    ),
    "background": Option(
        default="none",
        choices=("none", "realesrnet", "realesrgan"),
        description="what else is restored, and made twice as large, first",
    ),
    "skin_protection": Option(
        default=False,
        choices=(False, True),
        description="keep the source's colour of the skin, take the restored detail",
    ),
    "confidence": Option(
        default=0.9, low=0, high=1, description="least confidence of a face"
    ),
    "detector": Option(
        default="auto",
        choices=("auto", *DETECTORS),
        description="what finds the faces; auto is the first that can be had",
    ),
}

RANDOM = "random"
"""As `weights`: do not look for the released ones."""

PARSER = "parsenet"

OUR_KERNELS = (
    "our layers ran in place of the CUDA extensions of GPEN's authors (fused_act, "
    "upfirdn2d), without cuDNN's search, which they switch on: on CUDA this cost is "
    "not the original's"
)
"""Note on ``upstream``: the authors' ``face_model/op`` and ``face_detect``."""


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Settle every ``auto``, and find the weights or download them.

    Raises
    ------
    SettingError
        A device that is not here, or a setting that the runner does not have.
    WeightsError
        Weights that were named, or those of the background, cannot be had.

    """
    is_upstream = settings["runner"] == "upstream"
    device = pick_device(settings["device"])
    precision = settings["precision"]
    if is_upstream:
        if precision not in ("auto", "fp32"):
            raise SettingError(
                f"{spec.name}: upstream's GPEN has no {precision}; known: auto, fp32"
            )
        if settings["skin_protection"]:
            raise SettingError(f"{spec.name}: upstream's GPEN has no skin_protection")
        precision = "fp32"
    precision = pick_precision(precision, device, settings["runner"])
    settled = {**settings, "device": device, "precision": precision}
    generator, notes = _find_generator(SIZES[spec.name], settings["weights"])
    settled["detector"], detector, detector_notes = find_detector(settings["detector"])
    parser, parser_notes = _find_parser()
    settled["tile"], background, background_notes, parts = plan_background(settled)
    helpers = filter(None, (detector, parser))
    kernel_notes = [OUR_KERNELS] if is_upstream and device != "cpu" else []
    return Plan(
        spec=spec,
        requested=settings,
        resolved=settled,
        weights=(generator, *helpers, *background),
        notes=(
            *notes,
            *kernel_notes,
            *detector_notes,
            *parser_notes,
            *background_notes,
        ),
        parts=parts,
    )


def _find_generator(size: Size, path: str | None) -> tuple[WeightsInUse, list[str]]:
    """The weights that were named, else the registry's, else random ones."""
    if path and path != RANDOM:
        return user_weights(size.weights, Path(path).expanduser()), []
    reason = f"weights={RANDOM!r} asks for them"
    if path is None:
        try:
            return fetch(size.weights), []
        except WeightsError as error:
            reason = str(error).partition(":")[0]
    note = (
        f"RANDOM weights (seed {RANDOM_SEED}) in GPEN's generator: cost is real, the "
        f"picture is noise and no result. `evalkit weights fetch {size.weights}` gets "
        f"the released ones, or give a file as `weights`. Why: {reason}"
    )
    return WeightsInUse(size.weights, None, None, "random"), [note]


def _find_parser() -> tuple[WeightsInUse | None, list[str]]:
    try:
        return fetch(PARSER), []
    except WeightsError as error:
        reason = str(error).splitlines()[0].rstrip(":")
    return None, [f"faces are pasted with a soft rectangle, since {reason}"]


def build(plan: Plan, make_engine: MakeEngine | None = None) -> Restorer:
    """Load the generator, and what finds, masks and surrounds the faces.

    Without `make_engine`, OpenVINO or PyTorch runs the generator.

    Raises
    ------
    WeightsError
        A file is not that of its network.

    """
    from evalkit.restorers.gpen.face_restorer import FaceRestorer
    from evalkit.restorers.gpen.pipeline import GpenRestorer

    settings, size = plan.resolved, SIZES[plan.spec.name]
    by_name = {weights.name: weights for weights in plan.weights}
    device, precision = settings["device"], settings["precision"]
    if settings["runner"] == "upstream":
        # GPEN's program does, and its user pays for all that comes with it
        import torchvision  # noqa: F401
    if plan.weights[0].kind == "random":
        warnings.warn(plan.notes[0], RandomWeightsWarning, stacklevel=2)
    engine, notes = _load_engine(plan, precision, make_engine)
    face_restorer = FaceRestorer(
        engine=engine,
        in_fp32=None
        if precision in SINGLE
        else lambda: _load_engine(plan, "fp32", make_engine)[0],
        side=size.side,
        batch=1 if device == "cpu" else size.cuda_batch,
        parser=_load_parser(plan, by_name.get(PARSER)),
        truncate=settings["runner"] == "upstream",
        skin_protection=settings["skin_protection"],
    )
    detector = settings["detector"]
    return GpenRestorer(
        plan,
        face_restorer=face_restorer,
        detector=load_detector(detector, by_name.get(detector), device),
        background=load_background(plan),
        notes=[f"generator: {engine.name}", *notes],
    )


def work(name: str, settings: Settings, height: int, width: int) -> CostBound:
    """See `RestorerSpec.work`: for one face. A picture without any takes less.

    What finds and parses faces is left out.
    """
    size, background = SIZES[name], settings["background"]
    face = (1, 3, size.side, size.side)
    batches = [Batches(untrained_generator, size, face)]
    if background != "none":
        batches += background_batches(settings, height, width)
    return count_work(batches, settings["precision"])


def _load_engine(
    plan: Plan, precision: str, make_engine: MakeEngine | None
) -> tuple[Engine, list[str]]:
    size, weights = SIZES[plan.spec.name], plan.weights[0]
    if weights.path is None:
        module = random_generator(size.side)
    else:
        module = load_generator(
            weights.path, size.side, size.channel_multiplier, size.narrow
        )
    return engine_for(module, size.side, plan.resolved, precision, make_engine)


def _load_parser(plan: Plan, weights: WeightsInUse | None) -> Parser | None:
    if weights is None:
        return None
    from evalkit.faces.parser import SIDE, Parser, load_parsenet

    precision = plan.resolved["precision"]
    module = load_parsenet(weights)
    return Parser(engine_for(module, SIDE, plan.resolved, precision)[0])


def _entry(name: str) -> RestorerSpec:
    return RestorerSpec(
        name=name,
        redraws_faces=True,
        task="faces, rebuilt from a generative prior",
        scale=1,
        citation="Yang et al., GAN Prior Embedded Network for Blind Face Restoration "
        "in the Wild, CVPR 2021, arXiv:2105.06070; github.com/yangxy/GPEN at 2c73670",
        licence="none stated since 2026-03-10; before, academic and non-commercial use",
        plan=plan,
        build=build,
        work=partial(work, name),
        weights=(SIZES[name].weights, *NETWORKS, PARSER, REALESRNET.name),
        honours=frozenset(COMMON_OPTIONS),
        preload=("torch", "evalkit.restorers.gpen.pipeline"),
        options=OPTIONS,
    )


ENTRIES = tuple(_entry(name) for name in SIZES)
