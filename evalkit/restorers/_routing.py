"""Which restorer for which picture: what is looked at, and the rules in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.images import Picture

if TYPE_CHECKING:
    from evalkit.faces import Detector

ROUTES = {
    "gpen": "gpen-512",
    "hybrid": "hybrid",
    "realesrgan": "realesrgan-x4plus",
}
"""Restorer by route; the last takes what the others cannot."""

FEATURES = {
    "is_pdf": "1 for a page of a PDF, 0 for none; unknown of pixels alone",
    "text_density": "share of the picture in boxes of text that hold no face",
    "n_faces": "faces found with a confidence of 0.9",
    "largest_face_px": "longer side of the largest face, pixels of the picture",
    "face_share": "share of the picture in the boxes of faces",
    "straight_edges": "share of the edges' length in long straight ones",
    "sharpness": "from 0, blurred, to 1",
    "noise_level": "of luma, levels of 255",
    "blockiness": "contrast across JPEG's grid, dB",
}
"""What is looked at; NaN for what is unknown."""

FACES_PX = 800
"""Longest side at which faces are sought, once: what is lost is too small to decide."""

QUALITY_PX, LEAST_QUALITY_PX = 512, 22
"""Sides of the window in the middle in which sharpness, noise and blocks are measured;
on JPEG's grid. They stay unknown in a smaller picture than the second."""

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
        (Test("text_density", ">", 0.3),),
        "realesrgan",
        "lettering is no face; also where a face is printed beside the text",
    ),
    NO_FACE,
    Rule(
        "crowd",
        (Test("n_faces", ">", 40),),
        "realesrgan",
        "most faces are too small for GPEN, and each costs its time",
    ),
    Rule(
        "tiny faces",
        (Test("largest_face_px", "<", 40),),
        "realesrgan",
        "GPEN would invent most of a face that it enlarges 13 times",
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

KINDS = {
    "document": "text",
    "text": "text",
    "crowd": "group",
    "built scene": "building",
    "portrait": "portrait",
}
"""What a picture of a rule shows (`evalkit.tables.IMAGES`), where faces do not say."""


def kind_of(values: Values) -> str:
    """What one picture shows, as far as its rule and its faces say, else ``other``."""
    rule = RULES[int(first_rule(values)[0])].name
    n_faces = values["n_faces"]
    by_faces = "group" if n_faces > 1 else "mixed" if n_faces == 1 else "other"
    return KINDS.get(rule, by_faces)


class Decision(NamedTuple):
    """Where a picture goes, and why.

    Attributes
    ----------
    route, rule
        One of `ROUTES`, and the name of the rule that said so.
    reasons
        The rule with its numbers, then what else was seen and what is unknown.

    """

    route: str
    rule: str
    reasons: tuple[str, ...]


def look(
    picture: Picture, detector: Detector, *, is_pdf: float = float("nan")
) -> dict[str, float]:
    """Measure all of `FEATURES`.

    Parameters
    ----------
    picture
        See `Picture`.
    detector
        From `evalkit.faces.detector`.
    is_pdf
        1 or 0 where the file is known.

    """
    from evalkit import faces, features  # late: whoever reads the rules only needs none

    pixels = faces.as_rgb8(picture)
    picture_faces = faces.find_at(detector, pixels, faces.CONFIDENCE, FACES_PX)
    boxes = features.text_boxes(pixels)
    values = {
        "is_pdf": is_pdf,
        "text_density": features.text_density(boxes, picture_faces, pixels.shape),
        **features.face_statistics(picture_faces, pixels.shape),
        "straight_edges": features.straight_edges(pixels),
    }
    grid = features.JPEG_BLOCK_PX
    window = pixels[tuple(_middle(length, grid) for length in pixels.shape[:2])]
    for name in ("sharpness", "noise_level", "blockiness"):
        is_large = min(window.shape[:2]) >= LEAST_QUALITY_PX
        values[name] = getattr(features, name)(window) if is_large else float("nan")
    return values


def _middle(length: int, grid: int) -> slice:
    start = max(0, length - QUALITY_PX) // 2 // grid * grid
    return slice(start, start + QUALITY_PX)


def first_rule(values: Values, rules: Sequence[Rule] = RULES) -> NDArray[np.intp]:
    """Which rule decides on each picture, by its place in the list."""
    matches = [
        np.logical_and.reduce([test.holds(values) for test in rule.tests])
        for rule in rules
    ]
    places: NDArray[np.intp] = np.argmax(matches, axis=0)
    return places


def decide(values: Values, rules: Sequence[Rule] = RULES) -> Decision:
    """Route one picture, and say why."""
    place = int(first_rule(values, rules)[0])
    rule = rules[place]
    tests = " and ".join(
        f"{test.feature} {values[test.feature]:.3g} {test.sign} {test.limit:g}"
        for test in rule.tests
    )
    reason = f"rule {place + 1} of {len(rules)}, {rule.name}: {tests} ({rule.why})"
    unknown = [name for name in FEATURES if np.isnan(values[name])]
    measured = [f"{n} {values[n]:.3g}" for n in FEATURES if n not in unknown]
    reasons = [reason, f"seen: {', '.join(measured)}"]
    if unknown:
        reasons.append(f"unknown: {', '.join(unknown)}")
    if "text_density" in unknown:
        reasons.append("text is found by the extra ocr: pip install 'evalkit[ocr]'")
    return Decision(rule.route, rule.name, tuple(reasons))
