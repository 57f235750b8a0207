"""``auto``: looks at each picture, says what it saw, and leaves the rest to others."""

from __future__ import annotations

import threading
from copy import copy
from importlib import metadata
from importlib.util import find_spec

from evalkit import faces
from evalkit.features import changed_text
from evalkit.images import Picture, resize
from evalkit.restorers._options import Option
from evalkit.restorers._protocol import Context, Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._routing import FEATURES, ROUTES, Values, decide, look
from evalkit.restorers.engines.tf32 import calculating_in, single_precision

FALLBACK = "realesrgan"

OPTIONS = {
    "scale": Option(
        default=2,
        low=1,
        high=16,
        description="output side divided by source side; GPEN, which changes no size, "
        "gets the picture enlarged by Lanczos",
    )
}


class Auto(Restorer):
    """Decides for each picture; loads a restorer when the first picture needs it.

    The parts of a plan are the restorers that can be had.
    """

    def __init__(self, plan: Plan, detector: faces.Detector) -> None:
        super().__init__(plan)
        self._detector = detector
        self._plans = {part.spec.name: part for part in plan.parts}
        self._loaded: dict[str, Restorer] = {}
        self._lock = threading.Lock()
        self._facts: dict[str, float] = {}

    def knowing(self, facts: Values) -> Auto:
        """The same, with what is loaded; it knows this of its pictures.

        `FACTS`; with all `FEATURES` among them it does not look at a picture itself.
        """
        other = copy(self)
        other._facts = dict(facts)
        return other

    def _restore(self, image: Picture, context: Context) -> Picture:
        single = single_precision(self.plan.resolved)
        with context.watch("route"), calculating_in(single):
            values = self._facts
            if not values.keys() >= set(FEATURES):
                is_pdf = values.get("is_pdf", float("nan"))
                values = look(image, self._detector, is_pdf=is_pdf) | values
            route, _, (rule, *reasons), *_ = decide(values)
        context.notes += [f"route {route}: {rule}", *reasons]
        if ROUTES[route] not in self._plans:
            context.notes.append(fallback_note(route))
            route = FALLBACK
        source = image
        if route == "gpen":
            with context.watch("enlarge"):
                scale = self.plan.resolved["scale"]
                height, width = (round(scale * side) for side in image.shape[:2])
                image = resize(image, width, height)
        restored = self._load(ROUTES[route]).restore(
            image,
            aligned=context.aligned,
            source=context.source,
            progress=context.progress,
            cancel=context.cancel,
        )
        context.watch.stages_s |= restored.stages_s
        context.notes += restored.notes
        if values["text_density"] > 0:
            with context.watch("read"):
                context.notes += filter(None, [changed_text(restored.image, source)])
        return restored.image

    def _load(self, name: str) -> Restorer:
        with self._lock:
            if name not in self._loaded:
                self._loaded[name] = self._plans[name].load()
            return self._loaded[name]


def takes_facts(plan: Plan) -> bool:
    """Whether facts of a file and of its folder decide on its output, too."""
    return plan.spec.build is build


def fallback_note(route: str) -> str:
    """What is said where a route needs GPEN and its weights cannot be had."""
    return (
        f"{ROUTES[route]} was chosen, and {ROUTES[FALLBACK]} is used: GPEN's weights "
        "cannot be had or their notice is not accepted, and a picture made with random "
        "ones is noise"
    )


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Plan every restorer that a picture may be sent to, but none with random weights.

    Raises
    ------
    SettingError, WeightsError
        As in `plan_restorer`.

    """
    from evalkit.restorers import plan_restorer, restorers

    parts = []
    for name in ROUTES.values():
        options = restorers()[name].all_options
        part = plan_restorer(
            name, **{k: v for k, v in settings.items() if k in options}
        )
        if part.weights_kind != "random":
            parts.append(part)
    detector, weights, notes = faces.find_detector()
    second = faces.find_second(detector)
    is_read = find_spec("rapidocr_onnxruntime")
    resolved = {
        **settings,
        "parts": {part.spec.name: dict(part.resolved) for part in parts},
        "detector": detector,
        "second_detector": second and second.name,
        "text": metadata.version("rapidocr-onnxruntime") if is_read else None,
    }
    part_weights = [w for part in reversed(parts) for w in part.weights]
    return Plan(
        spec=spec,
        requested=settings,
        resolved=resolved | {"device": parts[-1].resolved["device"]},
        weights=tuple(dict.fromkeys([*part_weights, *filter(None, [weights, second])])),
        notes=tuple(f"router: {note}" for note in notes),
        parts=tuple(parts),
    )


def build(plan: Plan) -> Restorer:
    """Load what finds faces; restorers follow as pictures need them.

    Raises
    ------
    WeightsError
        The detector's file is not that of its network.

    """
    name = plan.resolved["detector"]
    weights = next((file for file in plan.weights if file.name == name), None)
    return Auto(plan, faces.load_detector(name, weights, plan.resolved["device"]))


ENTRIES = (
    RestorerSpec(
        name="auto",
        redraws_faces=True,
        task="any picture: looked at, then sent to GPEN, the hybrid or Real-ESRGAN",
        scale=2,
        citation="this study: rules written with its photographs in sight, 2026",
        licence="those of the restorers that it sends pictures to",
        plan=plan,
        build=build,
        weights=("realesrgan-x4plus", "gpen-bfr-512", *faces.NETWORKS, "parsenet"),
        honours=frozenset({"device", "precision", "tile"}),
        preload=("torch", "evalkit.restorers.realesrgan.modules"),
        options=OPTIONS,
    ),
)
