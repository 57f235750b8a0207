"""Each defect against each metric: the table of docs/metrics.md.

``python benchmarks/defects.py`` plants twelve defects in crops of real photographs and
prints Markdown tables: by how many times its threshold each metric moves to the worse
(either way where neither is), the least of all pictures on the diagonal, the most
beside it; and how far harmless changes move `halo` and `texture_energy`. Registered
pictures are taken where ``$EVALKIT_MIRROR`` has them, beside two that scikit-image
carries.
"""

import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage import data
from skimage.color import lab2rgb, rgb2lab

from evalkit.features import LUMA
from evalkit.images import read_image, resize
from evalkit.images.scaling import as_resampled, at_size_of
from evalkit.metrics import metrics
from evalkit.metrics.seams import TileBorders, noise

Rgb = NDArray[np.uint8]

SIDE, PERIOD = 256, 60
"""Sides of a crop and of the tiles whose borders `seams` looks at, px."""

REGISTERED = {
    "portrait/clean_man_600x900.jpg": 2.0,
    "portrait/adele_old_colour.png": 2.0,
    "group/kids_eight.jpg": 2.0,
    "mixed/zidane_two_men.jpg": 2.0,
    "mixed/bus_people_street.jpg": 2.0,
    "surveillance/car_plate_uk.jpg": 1.5,
    "text/street_sign_chinese.jpg": 1.3,
}
"""A picture of each class, and how far it is shrunk before its middle is cut out."""


def pictures() -> dict[str, Rgb]:
    """The crops by name, ``(256, 256, 3)``."""
    folders = [Path(f) for f in os.environ.get("EVALKIT_MIRROR", "").split(os.pathsep)]
    crops = {
        "astronaut": data.astronaut()[:SIDE, 100 : 100 + SIDE],
        "chelsea": data.chelsea()[:SIDE, 100 : 100 + SIDE],
    }
    for name, factor in REGISTERED.items():
        for path in (folder / name for folder in folders if (folder / name).is_file()):
            whole = read_image(path)[..., :3]
            size = [round(side / factor) for side in whole.shape[1::-1]]
            small = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
            top, left = ((side - SIDE) // 2 for side in small.shape[:2])
            crops[path.stem] = small[top : top + SIDE, left : left + SIDE]
    return {name: np.ascontiguousarray(crop, np.uint8) for name, crop in crops.items()}


def blocks(picture: Rgb) -> Rgb:
    """JPEG's blocks: each of 8x8 px a few levels off."""
    shape = [side // 8 for side in picture.shape[:2]]
    steps = np.random.default_rng(0).choice([-3, 0, 3], shape)
    return in_levels(picture + steps.repeat(8, 0).repeat(8, 1)[..., None])


def jagged(picture: Rgb) -> Rgb:
    """Strong edges fray: their pixels are moved to and fro by a pixel or two."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    beside = beside_edges(picture)[..., 0]
    across, down = (
        beside * cv2.GaussianBlur(rng.normal(0, 5, (SIDE, SIDE)), (0, 0), 1.2)
        for _ in range(2)
    )
    x, y = (columns + across).astype(np.float32), (rows + down).astype(np.float32)
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_CUBIC), np.uint8)


def cast(picture: Rgb) -> Rgb:
    """Warmer: red up, blue down, luma as it was."""
    return in_levels(picture + np.array([5.0, 0, -5 * LUMA[0] / LUMA[2]]))


def paler(picture: Rgb) -> Rgb:
    """Colours half way to the mean colour; lightness stays."""
    lab = rgb2lab(picture)
    lab[..., 1:] -= 0.5 * (lab[..., 1:] - lab[..., 1:].mean((0, 1)))
    return in_levels(255 * lab2rgb(lab))


def dead(picture: Rgb) -> Rgb:
    """One tile of 28x28 px has the value of its own mean."""
    output = picture.copy()
    tile = output[112:140, 112:140]
    tile[:] = tile.mean((0, 1))
    return output


def outlined(picture: Rgb) -> Rgb:
    """Dark and bright lines along strong edges."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    more = grey - cv2.GaussianBlur(grey, (0, 0), 2)
    return in_levels(picture + 2 * beside_edges(picture) * more[..., None])


def beside_edges(picture: Rgb, share: float = 0.15) -> NDArray[np.float32]:
    """How near each pixel is to the strongest edges: ``(256, 256, 1)``, from 0 to 1.

    `share` is that of the pixels beside them.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    span = cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((5, 5)))
    is_edge = (span >= np.quantile(span, 1 - share)).astype(np.float32)
    return cv2.GaussianBlur(is_edge, (0, 0), 1)[..., None]


def shiny(picture: Rgb) -> Rgb:
    """A soft shine, nearly white, where the picture is darkest."""
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 12)
    y, x = np.unravel_index(np.argmin(grey[40:-40, 40:-40]), (SIDE - 80, SIDE - 80))
    light = np.zeros(grey.shape, np.float32)
    cv2.circle(light, (int(x) + 40, int(y) + 40), 18, 1, -1)
    light = cv2.GaussianBlur(light, (0, 0), 3)[..., None]
    return in_levels(picture * (1 - light) + 250 * light)


def invented(picture: Rgb) -> Rgb:
    """The middle stands on its head: other content, of the same look."""
    output = picture.copy()
    output[70:186, 70:186] = picture[70:186, 70:186][::-1, ::-1]
    return output


def noisy(picture: Rgb) -> Rgb:
    """White noise in luma."""
    noise = np.random.default_rng(0).normal(0, 5, picture.shape[:2])
    return in_levels(picture + noise[..., None])


def soft(picture: Rgb) -> Rgb:
    """The strongest edges out of focus, fine texture as it was."""
    beside = beside_edges(picture, 0.25)
    blurred = cv2.GaussianBlur(picture, (0, 0), 3)
    return in_levels(picture * (1 - beside) + blurred * beside)


def plastic(picture: Rgb) -> Rgb:
    """Texture smoothed, the stronger edges kept."""
    beside = beside_edges(picture, 0.3)
    blurred = cv2.GaussianBlur(picture, (0, 0), 1.5)
    return in_levels(picture * beside + blurred * (1 - beside))


def tiled(picture: Rgb) -> Rgb:
    """Every second tile is 6 levels brighter."""
    rows, columns = np.indices(picture.shape[:2]) // PERIOD
    return in_levels(picture + 6 * ((rows + columns) % 2)[..., None])


def in_levels(values: NDArray[Any]) -> Rgb:
    return np.rint(values).clip(0, 255).astype(np.uint8)


def lighter(picture: Rgb) -> Rgb:
    return in_levels(picture + 20.0)


def more_contrast(picture: Rgb) -> Rgb:
    return in_levels(1.3 * picture)


def less_contrast(picture: Rgb) -> Rgb:
    return in_levels(0.7 * picture)


def noisier(picture: Rgb) -> Rgb:
    """White noise of 8 levels, in each channel."""
    return in_levels(picture + np.random.default_rng(0).normal(0, 8, picture.shape))


def noisiest(picture: Rgb) -> Rgb:
    """White noise of 12 levels, in each channel."""
    return in_levels(picture + np.random.default_rng(0).normal(0, 12, picture.shape))


def shot(picture: Rgb) -> Rgb:
    """Noise of light itself: four electrons a level, in each channel."""
    return in_levels(np.random.default_rng(0).poisson(4.0 * picture) / 4)


def colour_grain(picture: Rgb) -> Rgb:
    """Noise of 8 levels, blurred by 1 px, in each channel."""
    return in_levels(picture + grain(picture.shape))


def luma_grain(picture: Rgb) -> Rgb:
    """The same in luma."""
    return in_levels(picture + grain(picture.shape[:2])[..., None])


def grain(shape: tuple[int, ...]) -> NDArray[Any]:
    white = np.random.default_rng(0).normal(size=shape)
    blurred = cv2.GaussianBlur(white, (0, 0), 1)
    return np.asarray(8 * blurred / blurred.std())


def enlarged(picture: Rgb) -> Rgb:
    """Four times by Lanczos and back, as a clean enlargement is measured."""
    return at_size_of(resize(picture, 4 * SIDE, 4 * SIDE), picture)[0]


NOISES = (noisier, noisiest, shot, colour_grain, luma_grain)
HARMLESS = (lighter, more_contrast, less_contrast, *NOISES, enlarged)
BLIND = ("halo", "texture_energy")
"""Changes that are none of these two's matter; noise that is removed neither."""


class Planted(NamedTuple):
    """A defect, the metric that names it, and how far it must move to count."""

    defect: Callable[[Rgb], Rgb]
    metric: str
    threshold: float
    reason: str


PLANTED = (
    Planted(blocks, "blockiness_change", 0.8, "what JPEG of quality 90 adds"),
    Planted(jagged, "coherence_change", -0.06, "more than noise of 5 levels takes"),
    Planted(cast, "colour_shift", 2.3, "just noticed, Mahy et al. 1994"),
    Planted(paler, "colourfulness", -7.0, "half a step of its authors' scale"),
    Planted(dead, "dead_area", 0.5, "a tile of 18 px in a crop of 256"),
    Planted(outlined, "halo", 0.45, "a little over one level of 255 on average"),
    Planted(shiny, "highlights", 0.4, "a spot of 18 px in a crop of 256"),
    Planted(invented, "invention", 2.0, "a tenth of the picture off by 20"),
    Planted(noisy, "noise_level", 3.0, "seen on even ground"),
    Planted(soft, "sharpness", -0.08, "what a blur of 0.8 px takes"),
    Planted(plastic, "texture_energy", -1.0, "a fifth of the energy of detail"),
    Planted(tiled, "seams", 1.0, "over the highest of the same lines elsewhere"),
)


def movement(name: str, output: Rgb, source: Rgb) -> float:
    """How far a metric moves from what the source itself has; NaN where it has none."""
    metric = metrics()[name]
    if metric.needs == "source":
        return metric.compute(output, source)
    if metric.needs == "borders":  # beyond what lines without tiles have
        borders = TileBorders.every(PERIOD, SIDE, SIDE)
        over = [
            metric.compute(p, borders) - noise(p, borders) for p in (output, source)
        ]
        return max(0, over[0]) - max(0, over[1])
    return metric.compute(output) - metric.compute(source)


def moved(sources: dict[str, Rgb]) -> pd.DataFrame:
    """Columns ``defect, metric, picture``; ``times`` the threshold that it moved."""
    rows = []
    for planted, (picture, source) in product(PLANTED, sources.items()):
        output = planted.defect(source)
        for other in PLANTED:
            times = movement(other.metric, output, source) / other.threshold
            if metrics()[other.metric].higher_is_better is None:
                # of either sign; but its own defect has one
                times = times if other is planted else abs(times)
            rows.append((planted.defect.__name__, other.metric, picture, times))
    return pd.DataFrame(rows, columns=["defect", "metric", "picture", "times"])


def harmless(sources: dict[str, Rgb]) -> pd.DataFrame:
    """The largest movement of `BLIND` metrics, either way, by harmless change.

    A noise removed is a row, too: ``shot, removed``. Null where it cannot be told.
    """
    rows = []
    for change, source in product(HARMLESS, sources.values()):
        base = as_resampled(source, np.empty((4 * SIDE, 4 * SIDE, 3), np.uint8))
        changed = change(source)
        pairs = {change.__name__: (changed, base if change is enlarged else source)}
        if change in NOISES:
            pairs[f"{change.__name__}, removed"] = source, changed
        for what, pair in pairs.items():
            values = {name: abs(metrics()[name].compute(*pair)) for name in BLIND}
            rows.append({"change": what, **values})
    return pd.DataFrame(rows).groupby("change", sort=False).max()


def main() -> None:
    sources = pictures()
    print("Crops of", ", ".join(sources), "\n")
    print("| metric | its defect | threshold | reason |\n|---|---|---:|---|")
    for planted in PLANTED:
        unit = metrics()[planted.metric].unit
        what = f"| `{planted.metric}` | {planted.defect.__name__} "
        print(f"{what}| {planted.threshold:g} {unit} | {planted.reason} |")
    cells = moved(sources).groupby(["defect", "metric"], sort=False)["times"]
    table, least = cells.max().unstack(sort=False), cells.min()
    for planted in PLANTED:
        cell = planted.defect.__name__, planted.metric
        table.loc[cell] = least[cell]
    print("\n" + table.round(1).to_markdown() + "\n")
    print(harmless(sources).to_markdown(floatfmt=".2f"))


if __name__ == "__main__":
    main()
