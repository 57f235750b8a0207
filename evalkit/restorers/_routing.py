"""Which restorer for which picture: what is looked at, and the rules in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.restorers._look import (
    CROWD_FROM,
    FACTS,
    FEATURES,
    SMALLEST_FACE_PX,
    TEXT_FROM,
    look,
)

__all__ = [
    "DOCUMENT",
    "FACTS",
    "FEATURES",
    "NO_FACE",
    "ROUTES",
    "RULES",
    "SCENES",
    "Decision",
    "Rule",
    "Test",
    "Values",
    "decide",
    "first_rule",
    "is_decided",
    "kind_of",
    "look",
    "routes_by",
]

ROUTES = {
    "gpen": "gpen-512",
    "hybrid": "hybrid",
    "realesrgan": "realesrgan-x4plus",
}
"""Restorer by route; the last takes what the others cannot."""

REDRAWING = frozenset({"gpen", "hybrid"})
"""The routes on which faces are drawn anew."""

MOSTLY_FACES = 0.9
"""The share of a folder's pictures with a face from which on its people go to GPEN."""

Values: TypeAlias = Mapping[str, Any]
"""By the names of `FEATURES`: one picture's numbers, or arrays of a value a picture."""


class Test(NamedTuple):
    """Whether a feature is above or below a limit; never true of what is unknown.

    Attributes
    ----------
    feature
        One of `FEATURES`.
    sign, limit
        The comparison.

    """

    feature: str
    sign: Literal["<", ">"]
    limit: float

    def holds(self, values: Values) -> NDArray[np.bool_]:
        """Whether it holds for each picture."""
        of_pictures = np.atleast_1d(np.asarray(values[self.feature], float))
        is_above = self.sign == ">"
        return of_pictures > self.limit if is_above else of_pictures < self.limit


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a rule list.

    Attributes
    ----------
    name
        What a picture of this rule is.
    tests
        All must hold.
    route
        One of `ROUTES`.
    why
        The reason, or who says so.

    """

    name: str
    tests: tuple[Test, ...]
    route: str
    why: str


DOCUMENT = Rule("document", (Test("is_pdf", ">", 0),), "realesrgan", "as text")
NO_FACE = Rule(
    "no face",
    (Test("n_faces", "<", 1),),
    "realesrgan",
    "product, surveillance, plate, building, sign: GPEN changes faces only",
)

RULES = (
    DOCUMENT,
    Rule(
        "text",
        (Test("text_density", ">", TEXT_FROM),),
        "realesrgan",
        "lettering is no face; also where a face is printed beside the text",
    ),
    NO_FACE,
    Rule(
        "crowd",
        (Test("n_faces", ">", CROWD_FROM),),
        "realesrgan",
        "most faces are too small for GPEN, and each costs its time",
    ),
    Rule(
        "tiny faces",
        (Test("largest_face_px", "<", SMALLEST_FACE_PX),),
        "realesrgan",
        "GPEN would invent most of a face that it enlarges 18 times",
    ),
    Rule(
        "built scene",
        (
            Test("straight_edges", ">", 0.4),
            Test("face_share", "<", 0.01),
        ),
        "realesrgan",
        "hardly a face among walls and windows: painted, shown, or far away",
    ),
    Rule(
        "portrait",
        (
            Test("n_faces", "<", 2),
            Test("face_share", ">", 0.1),
        ),
        "gpen",
        "one face is what matters, and there is little else to restore",
    ),
    Rule(
        "people",
        (Test("n_faces", ">", 0),),
        "hybrid",
        "faces, and much around them: an old photo of a family",
    ),
)
"""Read from the top: the first rule whose tests all hold decides. One always does."""


def _id_photo(*ground: Test) -> Rule:
    tests = (
        *(Test("n_faces", ">", 0), Test("n_faces", "<", 2)),
        *(Test("plain_top", ">", 0.9), Test("face_share", ">", 0.08)),
        *(Test("face_offset", "<", 0.1), Test("face_turn", "<", 0.3)),
        *(Test("aspect", ">", 0.95), Test("aspect", "<", 1.7)),
    )
    why = "what is drawn into it is no likeness, and it would be shown as one"
    return Rule("ID photo", (*tests, *ground), "realesrgan", why)


def _camera_frame(*tests: Test) -> Rule:
    why = "what is drawn into it is a guess, and it would be taken for evidence"
    return Rule("camera frame", tests, "realesrgan", why)


SCENES = (
    _camera_frame(Test("is_camera", ">", 0)),
    _camera_frame(Test("time_stamp", ">", 0)),
    _camera_frame(Test("is_video_size", ">", 0), Test("face_share", "<", 0.02)),
    _id_photo(Test("ground_lightness", ">", 80)),
    _id_photo(Test("ground_blue", ">", 20)),
    _id_photo(Test("ground_red", ">", 40)),
    Rule(
        "product on white",
        (
            *(Test("plain_border", ">", 0.95), Test("ground_lightness", ">", 88)),
            *(Test("face_share", "<", 0.05), Test("text_density", "<", TEXT_FROM)),
        ),
        "realesrgan",
        "cloth, letters and edges are what is sold",
    ),
)
"""Kinds of pictures on which no face is drawn anew unless a restorer is named; the
first one that holds. Photographs of people before a plain ground are among the ID
photos, and those of people far off, of a video's size, among the frames."""

KINDS = {
    "document": "text",
    "text": "text",
    "crowd": "group",
    "built scene": "building",
    "portrait": "portrait",
    "product on white": "product",
    "camera frame": "surveillance",
    "ID photo": "portrait",
}
"""What a picture of a rule or a scene shows (`evalkit.tables.IMAGES`), where faces do
not say."""


def kind_of(values: Values) -> str:
    """What one picture shows, as far as rule, scene and faces say, else ``other``."""
    rule, scene = RULES[int(first_rule(values)[0])].name, _scene_of(values)
    n_faces = values["n_faces"]
    by_faces = "group" if n_faces > 1 else "mixed" if n_faces == 1 else "other"
    if scene and rule not in ("document", "text"):
        return KINDS[scene.name]
    return KINDS.get(rule, by_faces)


class Decision(NamedTuple):
    """Where a picture goes, and why.

    Attributes
    ----------
    route, rule
        One of `ROUTES`, and the name of the rule that said so.
    reasons
        First what set the route, with its numbers: a scene, the folder, or the rule;
        then the others, what was seen, and what is unknown.
    scene
        The name of one of `SCENES`, where one holds.

    """

    route: str
    rule: str
    reasons: tuple[str, ...]
    scene: str | None = None


def first_rule(values: Values, rules: Sequence[Rule] = RULES) -> NDArray[np.intp]:
    """Which rule decides on each picture, by its place in the list."""
    places: NDArray[np.intp] = np.argmax(_matches(values, rules), axis=0)
    return places


def is_decided(rules: Sequence[Rule], values: Values) -> NDArray[np.bool_]:
    """Whether any rule holds of each picture."""
    return np.asarray(_matches(values, rules).any(axis=0))


def _matches(values: Values, rules: Sequence[Rule]) -> NDArray[np.bool_]:
    """Shape ``(rules, pictures)``."""
    return np.array(
        [
            np.logical_and.reduce([test.holds(values) for test in rule.tests])
            for rule in rules
        ]
    )


def _scene_of(values: Values) -> Rule | None:
    matches = _matches(values, SCENES)[:, 0]
    return SCENES[int(np.argmax(matches))] if matches.any() else None


def routes_by(rules: Sequence[Rule], values: Values) -> NDArray[Any]:
    """The route of each picture by a list of rules, and by nothing else."""
    return np.array([rule.route for rule in rules])[first_rule(values, rules)]


def decide(values: Values) -> Decision:
    """Route one picture, and say why.

    The first rule decides. In a folder of which nine of ten pictures have a face, those
    for the hybrid go to GPEN. On a picture of one of `SCENES` no face is drawn anew.
    """
    place = int(first_rule(values)[0])
    rule, scene = RULES[place], _scene_of(values)
    route, where = rule.route, f"rule {place + 1} of {len(RULES)}, {rule.name}"
    reasons = [f"{where}: {_in_words(rule, values)}"]
    if route == "hybrid" and values["folder_faces"] >= MOSTLY_FACES:
        route = "gpen"
        share = f"{values['folder_faces']:.0%} of the pictures of this folder"
        reasons.insert(0, f"folder rule: {share} have a face: GPEN for its people")
    if scene:
        seen = f"{scene.name}: {_in_words(scene, values)}"
        if route in REDRAWING:
            route = scene.route
            seen += "; no face is drawn anew in what looks like this unless a restorer "
            reasons.insert(0, f"{seen}that does so is named")
        else:
            reasons.append(seen)
    if values["n_candidates"] > 0:
        reasons.append(
            f"candidates: {values['n_candidates']:.0f} seen that may be a face, not "
            "confirmed by a second look: they decide nothing"
        )
    unknown = [name for name in FEATURES if np.isnan(values[name])]
    measured = [f"{n} {values[n]:.3g}" for n in FEATURES if n not in unknown]
    reasons.append(f"seen: {', '.join(measured)}")
    if unknown:
        reasons.append(f"unknown: {', '.join(unknown)}")
    if "text_density" in unknown:
        reasons.append("text is found by the extra ocr: pip install 'evalkit[ocr]'")
    return Decision(route, rule.name, tuple(reasons), scene.name if scene else None)


def _in_words(rule: Rule, values: Values) -> str:
    tests = " and ".join(
        f"{test.feature} {values[test.feature]:.3g} {test.sign} {test.limit:g}"
        for test in rule.tests
    )
    return f"{tests} ({rule.why})"
