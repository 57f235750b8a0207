"""``hybrid``: one restorer on the faces, another on everything else, in one picture.

Faces come from a GPEN restorer, or from a folder of faces that others restored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit.errors import SettingError
from evalkit.faces import (
    NETWORKS,
    find_detector,
    find_second,
    load_detector,
    load_parser,
)
from evalkit.restorers._look import SMALLEST_FACE_PX
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.restorers._protocol import Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._work import CostBound
from evalkit.restorers.engines.torch import pick_device
from evalkit.restorers.gpen import OPTIONS as GPEN_OPTIONS
from evalkit.restorers.gpen import PARSER
from evalkit.restorers.gpen.generators import SIZES
from evalkit.weights import find

OPTIONS = {
    "faces": Option(
        default="gpen-512",
        is_condition=True,
        description="a GPEN condition, or outputs:<folder> of restored aligned faces: "
        "beside each, on its left or in ../sources, the face before",
    ),
    "background": Option(
        default="realesrgan-x4plus",
        is_condition=True,
        description="the condition that restores the rest; one with a scale",
    ),
    "scale": Option(
        default=2, low=1, high=16, description="output side divided by source side"
    ),
    "crop_from": Option(
        default="source",
        choices=("source", "enlarged"),
        description="what faces are cut out of: the source, or the background",
    ),
    "least_face_px": Option(
        default=SMALLEST_FACE_PX,
        low=0,
        high=16384,
        description="least shorter side, in source px; as of the router",
    ),
    "sharp_enough": Option(
        default=0.5,
        low=0,
        high=1,
        description="sharpness at 512 px from which a face is left alone; published "
        "outputs of GPEN have 0.47 to 0.59. Grain counts as sharp",
    ),
    "memory_mib": Option(
        default=None,
        choices=(None,),
        low=0,
        high=1 << 24,
        description="may be held by this process, or by torch on the GPU, before one "
        "network is let go for the other; None keeps both",
    ),
    **{
        name: GPEN_OPTIONS[name]
        for name in ("strength", "skin_protection", "confidence", "detector")
    },
}

PASSED_ON = ("device", "precision", "tile", "scale", "skin_protection", "detector")
"""Settings that a part follows where it has them."""


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Plan both parts.

    Raises
    ------
    UnknownNameError, SettingError, WeightsError
        As in `plan_restorer`; a part that is not of its kind.

    """
    device = pick_device(settings["device"])
    parts = [_plan_part(settings[part], settings) for part in ("faces", "background")]
    on_faces, on_background = parts
    if (
        on_faces.spec.name not in (*SIZES, "outputs")
        or "scale" not in on_background.resolved
    ):
        raise SettingError(
            f"{spec.name}: expected faces by one of {', '.join(SIZES)} or "
            "outputs:<folder>, and a background by a restorer that has a scale; got "
            f"{settings['faces']!r} and {settings['background']!r}"
        )
    detector, *helpers, notes = find_detector(settings["detector"])
    helpers.append(find_second(detector))
    if on_faces.spec.name == "outputs":
        helpers.append(find(PARSER))
        folder = Path(on_faces.resolved["folder"])
        notes.insert(
            0, f"no face is made here: those that others made are in {folder.name}"
        )
    weights = (*on_faces.weights, *on_background.weights, *filter(None, helpers))
    part_settings = [{"name": part.spec.name, **part.resolved} for part in parts]
    settled: dict[str, Any] = {"device": device, "detector": detector}
    settled |= {
        name: on_background.resolved.get(name) for name in ("precision", "tile")
    }
    settled |= {"faces": part_settings[0], "background": part_settings[1]}
    return Plan(
        spec=spec,
        requested=settings,
        resolved={**settings, **settled},
        weights=tuple(dict.fromkeys(weights)),
        notes=tuple(dict.fromkeys((*on_faces.notes, *notes))),
        parts=tuple(parts),
    )


def _plan_part(condition: str, settings: Settings) -> Plan:
    """The plan of a condition; what it does not set itself follows the hybrid."""
    from evalkit.restorers import parse_condition, plan_restorer, restorers

    arguments = parse_condition(condition)
    if wrong := sorted(set(arguments) & set(OPTIONS)):
        raise SettingError(
            f"hybrid: {condition!r} sets {', '.join(wrong)}: set it on the hybrid"
        )
    options = restorers()[arguments["name"].partition(":")[0]].all_options
    followed = {n: settings[n] for n in PASSED_ON if n in options}
    return plan_restorer(**(followed | arguments))


def build(plan: Plan) -> Restorer:
    """Load what finds faces, and both parts unless memory is short.

    Raises
    ------
    WeightsError
        A file is not that of its network.

    """
    from evalkit.restorers.hybrid.pipeline import Hybrid
    from evalkit.restorers.hybrid.placement import read_published

    settings, published, parser = plan.resolved, None, None
    by_name = {weights.name: weights for weights in plan.weights}
    if settings["faces"]["name"] == "outputs":
        published = read_published(Path(settings["faces"]["folder"]))
        if PARSER in by_name:
            parser = load_parser(by_name[PARSER])
    name, device = settings["detector"], settings["device"]
    detector = load_detector(name, by_name.get(name), device)
    return Hybrid(plan, detector, published, parser)


def work(settings: Settings, height: int, width: int) -> CostBound:
    """See `RestorerSpec.work`: the background and one face, one after the other."""
    from evalkit.restorers import restorers

    parts: list[dict[str, Any]] = [settings["background"], settings["faces"]]
    counts = [(restorers()[part["name"]].work, part) for part in parts]
    bounds = [count(part, height, width) for count, part in counts if count]
    return CostBound(
        bounds[0].precision if bounds else "none",
        sum(bound.operations for bound in bounds),
        max((bound.coexisting_bytes for bound in bounds), default=0),
        sum(bound.moved_bytes for bound in bounds),
    )


ENTRIES = (
    RestorerSpec(
        name="hybrid",
        redraws_faces=True,
        task="photographs with faces: GPEN on the faces, Real-ESRGAN on the rest",
        scale=2,
        citation="this study; its parts: Yang et al., arXiv:2105.06070, and Wang et "
        "al., arXiv:2107.10833",
        licence="those of its parts",
        plan=plan,
        build=build,
        work=work,
        weights=("gpen-bfr-512", *NETWORKS, PARSER, "realesrgan-x4plus"),
        honours=frozenset(COMMON_OPTIONS) - {"runner", "weights"},
        preload=(
            "torch",
            "evalkit.restorers.realesrgan.modules",
            "evalkit.restorers.gpen.pipeline",
        ),
        options=OPTIONS,
    ),
)
