"""Faces found, and skin's colour kept, by tone: counts with intervals, and no claim.

`python benchmarks/skin.py` prints the tables of docs/faces.md, of the faces of
``data/faces.yaml``: how many are found by one look and by the router's two, how far
restorers move the colour of skin, and how much of it the substitute of ParseNet takes
for skin.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray

from evalkit import faces
from evalkit.faces import skin_of
from evalkit.images import read_image, resize
from evalkit.imagesets._registered import registered
from evalkit.paths import data_file
from evalkit.profiling.experiments import failure_rate
from evalkit.restorers import load_restorer
from evalkit.restorers._look import FACES_PX

TONES = ("light", "medium", "dark")
"""By eye: the manifest says how."""

TOO_FEW = 10
"""With fewer faces, it is too few to say."""

LOOKED_AT_PX = (None, 45, 32)
"""Longer side of a face, None for its own."""

AROUND = 3
"""Longer sides of a face that are cut out around its middle, each way."""

RESTORERS = ("lanczos", "realesrgan-animevideo-x4", "realesrgan-x4plus")
RESTORED_PX = 64
"""Longer side of a face that is restored."""

Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Marked:
    """A face of the manifest: its picture, left, top, right, bottom, and its tone."""

    picture: str
    box: tuple[int, int, int, int]
    tone: str | None

    @property
    def length(self) -> int:
        """Longer side, pixels."""
        return max(self.box[2] - self.box[0], self.box[3] - self.box[1])

    def surroundings(self, length_px: int | None, around: float) -> tuple[Rgb, Rgb]:
        """Its part of the picture at that length, and its box there."""
        x, y = (self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2
        reach = around * self.length
        image = opened(self.picture)
        left, top = max(0, int(x - reach)), max(0, int(y - reach))
        part = image[top : int(y + reach), left : int(x + reach)]
        factor = min(1.0, (length_px or self.length) / self.length)
        height, width = (round(factor * side) for side in part.shape[:2])
        box = factor * (np.array(self.box) - (left, top, left, top))
        return np.asarray(resize(part, width, height), np.uint8), box


@cache
def opened(name: str) -> Rgb:
    return faces.as_rgb8(read_image(registered()[name].fetch()))


def marked() -> list[Marked]:
    rows = yaml.safe_load(data_file("faces.yaml").read_text(encoding="utf-8"))["faces"]
    return [Marked(row["picture"], tuple(row["box"]), row["tone"]) for row in rows]


def cheeks(image: Rgb, box: Sequence[float]) -> NDArray[np.float64]:
    """CIE L*, a*, b* (D65): the median of two squares beside the nose, by the box."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    top, bottom = round(y0 + 0.52 * height), round(y0 + 0.68 * height) + 1
    parts = [
        lab[top:bottom, round(x0 + a * width) : round(x0 + b * width) + 1]
        for a, b in ((0.18, 0.36), (0.64, 0.82))
    ]
    pixels = np.concatenate([part.reshape(-1, 3) for part in parts])
    return np.median(pixels, axis=0).astype(np.float64)


def angle(lab: NDArray[np.float64]) -> float:
    """The individual typology angle, in degrees: the darker, the less.

    References
    ----------
    Chardon, Cretois & Hourseau, Skin colour typology and suntanning pathways, Int. J.
    Cosmetic Science 13(4), 1991.

    """
    return float(np.degrees(np.arctan2(lab[0] - 50, max(lab[2], 1e-6))))


def is_found(detector: faces.Detector, image: Rgb, box: Rgb, *, twice: bool) -> bool:
    seen = faces.find_at(detector, image, faces.CANDIDATE, FACES_PX)
    if twice:
        seen = faces.look_again(detector, image, seen, FACES_PX)
    middle = (box[:2] + box[2:]) / 2
    return any(
        not face.confidence < faces.CONFIDENCE
        and np.hypot(*(face.landmarks.mean(axis=0) - middle)) < (box[3] - box[1]) / 3
        for face in seen
    )


def recall(people: Sequence[Marked]) -> Iterator[str]:
    """Faces found of each tone, by look and size, with Wilson's interval at 95 %."""
    detector = faces.detector()
    yield f"| tone | face | faces | {detector.name}, one look | two looks |"
    yield "|---|---|---|---|---|"
    for length_px in LOOKED_AT_PX:
        views = [(f, *f.surroundings(length_px, AROUND)) for f in people]
        for tone in [*TONES, None]:
            of_tone = [(view, box) for face, view, box in views if face.tone == tone]
            cells = []
            for twice in (False, True):
                n = sum(is_found(detector, *view, twice=twice) for view in of_tone)
                cells.append(share(n, len(of_tone)))
            size = f"{length_px} px" if length_px else "as it is"
            row = (tone or "not told", size, str(len(of_tone)), *cells)
            yield f"| {' | '.join(row)} |"


def share(n: int, n_all: int) -> str:
    rate = failure_rate(n, n_all)
    words = f"{n} ({rate.low:.0%} to {rate.high:.0%})"
    return words if n_all >= TOO_FEW else f"{words}, too few to say"


def by_tone(people: Sequence[Marked], value: Callable[[Marked], float]) -> list[str]:
    """The median of a value of each tone, and its range."""
    cells = []
    for tone in TONES:
        values = [value(face) for face in people if face.tone == tone]
        low, middle, high = (
            np.percentile(values, (0, 50, 100)) if values else [np.nan] * 3
        )
        few = "" if len(values) >= TOO_FEW else ", too few to say"
        cells.append(f"{middle:+.1f} ({low:+.1f} to {high:+.1f}){few}")
    return cells


def colour(people: Sequence[Marked]) -> Iterator[str]:
    """Change of skin's lightness and angle by restorers, and the substitute's share."""
    people = [face for face in people if face.tone]
    yield f"| what changes | {' | '.join(TONES)} |"
    yield f"|---|{'---|' * len(TONES)}"
    for name in RESTORERS:
        restorer = load_restorer(name)

        @cache
        def change(face: Marked, restorer=restorer) -> NDArray[np.float64]:
            view, box = face.surroundings(RESTORED_PX, 1)
            output = restorer.restore(view).image
            output = np.asarray(resize(output, view.shape[1], view.shape[0]))
            before, after = cheeks(view, box), cheeks(output, box)
            return np.array((after[0] - before[0], angle(after) - angle(before)))

        for place, what in enumerate(("L*", "angle, degrees")):
            cells = by_tone(people, lambda face, k=place, f=change: float(f(face)[k]))
            yield f"| {name}: {what} | {' | '.join(cells)} |"
    cells = by_tone(people, taken_for_skin)
    yield f"| cheeks that the substitute takes for skin, % | {' | '.join(cells)} |"


def taken_for_skin(face: Marked) -> float:
    """Of the middle of a face in GPEN's frame, per cent."""
    detector = faces.detector()
    view, box = face.surroundings(None, AROUND)
    seen = faces.find_at(detector, view, faces.CANDIDATE, FACES_PX)
    middle = (box[:2] + box[2:]) / 2
    nearest = min(seen, key=lambda f: np.hypot(*(f.landmarks.mean(axis=0) - middle)))
    crop, _ = faces.align(view, nearest.landmarks, faces.MASK_SIDE)
    skin = skin_of(crop, None)
    return 100 * float(
        np.concatenate((skin[270:340, 150:200], skin[270:340, 312:362])).mean()
    )


def main() -> None:
    people = marked()
    for line in (*recall(people), "", *colour(people)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
