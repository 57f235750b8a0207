"""``hybrid``: one restorer on the faces, another on everything else, in one picture.

Faces come from a GPEN restorer, or from a folder of faces that others restored.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit import faces
from evalkit.errors import SettingError
from evalkit.restorers._options import COMMON_OPTIONS, Option
from evalkit.restorers._protocol import Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._work import Work
from evalkit.restorers.engines.torch import pick_device
from evalkit.restorers.gpen import OPTIONS as GPEN_OPTIONS
from evalkit.restorers.gpen import PARSER
from evalkit.restorers.gpen.generators import SIZES
from evalkit.weights import find

OPTIONS = {
    "faces": Option(
        default="gpen-512",
        is_text=True,
        description="a GPEN condition, or outputs:<folder> of restored aligned faces: "
        "beside each, on its left or in ../sources, the face before",
    ),
    "background": Option(
        default="realesrgan-x4plus",
        is_text=True,
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
        default=24, low=0, high=16384, description="least shorter side, in source px"
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
    on_faces, rest = parts
    if on_faces.spec.name not in (*SIZES, "outputs") or "scale" not in rest.resolved:
        raise SettingError(
            f"{spec.name}: expected faces by one of {', '.join(SIZES)} or "
            "outputs:<folder>, and a background by a restorer that has a scale; got "
            f"{settings['faces']!r} and {settings['background']!r}"
        )
    detector, *found, notes = faces.find_detector(settings["detector"])
    if on_faces.spec.name == "outputs":
        found.append(find(PARSER))
        folder = on_faces.resolved["folder"]
        notes.insert(0, f"no face is made here: those that others made are in {folder}")
    weights = (*on_faces.weights, *rest.weights, *filter(None, found))
    named = [{"name": part.spec.name, **part.resolved} for part in parts]
    told: dict[str, Any] = {"device": device, "detector": detector}
    told |= {name: rest.resolved.get(name) for name in ("precision", "tile")}
    told |= {"faces": named[0], "background": named[1]}
    return Plan(
        spec=spec,
        requested=settings,
        resolved={**settings, **told},
        weights=tuple(dict.fromkeys(weights)),
        notes=tuple(dict.fromkeys((*on_faces.notes, *notes))),
        parts=tuple(parts),
    )


def _plan_part(condition: str, settings: Settings) -> Plan:
    """The plan of a condition; what it does not set itself follows the hybrid."""
    from evalkit.restorers import parse_condition, plan_restorer, restorers

    own = parse_condition(condition)
    if wrong := sorted(set(own) & set(OPTIONS)):
        raise SettingError(
            f"hybrid: {condition!r} sets {', '.join(wrong)}: set it on the hybrid"
        )
    known = restorers()[own["name"].partition(":")[0]].all_options
    followed = {n: settings[n] for n in PASSED_ON if n in known}
    return plan_restorer(**(followed | own))


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
    by_name = {found.name: found for found in plan.weights}
    if settings["faces"]["name"] == "outputs":
        published = read_published(Path(settings["faces"]["folder"]))
        if PARSER in by_name:
            parser = faces.load_parser(by_name[PARSER])
    name, device = settings["detector"], settings["device"]
    detector = faces.load_detector(name, by_name.get(name), device)
    return Hybrid(plan, detector, published, parser)


def work(settings: Settings, height: int, width: int) -> Work:
    """See `RestorerSpec.work`: the background and one face, one after the other."""
    from evalkit.restorers import restorers

    parts: list[dict[str, Any]] = [settings["background"], settings["faces"]]
    counts = [(restorers()[part["name"]].work, part) for part in parts]
    done = [count(part, height, width) for count, part in counts if count]
    return Work(
        done[0].precision if done else "none",
        sum(each.operations for each in done),
        max((each.coexisting_bytes for each in done), default=0),
        sum(each.moved_bytes for each in done),
    )


ENTRIES = (
    RestorerSpec(
        name="hybrid",
        task="photographs with faces: GPEN on the faces, Real-ESRGAN on the rest",
        scale=2,
        citation="this study; its parts: Yang et al., arXiv:2105.06070, and Wang et "
        "al., arXiv:2107.10833",
        licence="those of its parts",
        plan=plan,
        build=build,
        work=work,
        weights=("gpen-bfr-512", *faces.NETWORKS, PARSER, "realesrgan-x4plus"),
        honours=frozenset(COMMON_OPTIONS) - {"runner", "weights"},
        preload=(
            "torch",
            "evalkit.restorers.realesrgan.modules",
            "evalkit.restorers.gpen.pipeline",
        ),
        options=OPTIONS,
    ),
)
