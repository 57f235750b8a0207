"""Set `article`: the kinds of the article, at its size, from registered pictures.

With it the sets of the shipped studies on claims: `panel` (`evalkit.article._panel`),
and `verdicts` and `verdicts-1024`, which hold enough real and degraded pictures of
people for claims on metrics, beside GPEN's published faces.

Every picture is 1024x768 (768x1024 upright), so that time and memory compare with
the article's. Nothing is cropped or enlarged: what is larger is shrunk to fit, and
what does not fill the frame stands in a plain grey margin. The note tells both.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.article._panel import prepare as prepare_panel
from evalkit.images.scaling import shrink
from evalkit.imagesets import imagesets
from evalkit.imagesets._build import Made, Recipe, build, read_opaque, save_pair
from evalkit.imagesets._degradations import (
    Bytes,
    add_noise,
    backlight_dark_parts,
    jpeg,
    overexpose,
    to_image,
    to_light,
)
from evalkit.imagesets._registered import registered
from evalkit.imagesets._spec import ImageSet
from evalkit.paths import imageset_dir

LONG_PX, SHORT_PX = 1024, 768
MARGIN = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One source of the set.

    Attributes
    ----------
    source, kind
        Columns of the table.
    picture
        Name in the registry.
    note
        What it shows and what was done.
    degrade
        The fitted picture to the source; None for a picture as it came.

    """

    source: str
    kind: str
    picture: str
    note: str
    degrade: Callable[[Bytes], Bytes] | None = None


def frame_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height of the whole: 1024x768, or 768x1024 for an upright picture."""
    return (LONG_PX, SHORT_PX) if width_px >= height_px else (SHORT_PX, LONG_PX)


def fitted_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height within the frame; never larger than before."""
    width, height = frame_size(width_px, height_px)
    share = min(width / width_px, height / height_px, 1)
    return round(width_px * share), round(height_px * share)


def _recipe(scene: Scene) -> Recipe:
    picture = registered()[scene.picture]
    before = (picture.width_px, picture.height_px)
    size = fitted_size(*before)
    frame = frame_size(*before)
    resized = "own size" if size == before else f"resized from {before[0]}x{before[1]}"
    margin = "" if size == frame else f"; grey margin to {frame[0]}x{frame[1]}"
    is_damaged = scene.degrade is not None
    note = f"{scene.note}; {size[0]}x{size[1]}, {resized}{margin}"
    return Recipe(
        facts=picture.facts(
            scene.source, kind=scene.kind, is_synthetic=is_damaged, note=note
        ),
        inputs=(picture.sha256,),
        make=lambda folder: _make(scene, folder),
    )


def _make(scene: Scene, folder: Path) -> Made:
    image = read_opaque(registered()[scene.picture].fetch())
    height, width = image.shape[:2]
    fitted = shrink(image, *fitted_size(width, height))
    frame = frame_size(width, height)
    if scene.degrade is None:
        return save_pair(folder, scene.source, _frame(fitted, *frame))
    source = _frame(scene.degrade(fitted), *frame)
    double = (2 * fitted.shape[1], 2 * fitted.shape[0])
    is_large = double[0] <= width and double[1] <= height
    scale = 2 if is_large else 1
    reference = shrink(image, *double) if is_large else fitted
    framed = _frame(reference, scale * frame[0], scale * frame[1])
    return save_pair(folder, scene.source, source, framed)


def _frame(image: Bytes, width_px: int, height_px: int) -> Bytes:
    """The picture amid a plain margin."""
    height, width = image.shape[:2]
    rows, columns = height_px - height, width_px - width
    margins = (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)
    sides = (*margins, *[(0, 0)] * (image.ndim - 2))
    return np.pad(image, sides, constant_values=MARGIN)


def _clipped(image: Bytes) -> Bytes:
    light = overexpose(to_light(image), stops=2.0, glow_px=24)
    return jpeg(to_image(add_noise(light, shot=2e-4, read=1e-3, seed=2)), 92)


def _backlit(image: Bytes) -> Bytes:
    light = backlight_dark_parts(to_light(image), glow_px=80)
    return jpeg(to_image(add_noise(light, shot=8e-4, read=3e-3, seed=1)), 85)


def _blocky(image: Bytes) -> Bytes:
    return jpeg(image, 8)


SCENES = (
    Scene(
        source="portrait-highlights",
        kind="portrait",
        picture="woman_street_portrait_2500",
        degrade=_clipped,
        note="woman in a street; highlights clipped: overexposed by 2 stops by us",
    ),
    Scene(
        source="portrait-backlit",
        kind="portrait",
        picture="selfie_exif6_input",
        degrade=_backlit,
        note="boy before a white wall; backlit: what is not bright made over three "
        "stops darker by us, stray light, noise",
    ),
    Scene(
        source="portrait-jpeg",
        kind="portrait",
        picture="clean_man_600x900",
        degrade=_blocky,
        note="man in a studio; JPEG blocks: saved at JPEG quality 8 by us",
    ),
    Scene(
        source="building-glass-facade",
        kind="building",
        picture="glass_facades_sky",
        note="glass towers that mirror clouds",
    ),
    Scene(
        source="building-stone-street",
        kind="building",
        picture="stone_street",
        note="stone houses along a wet cobbled street; an ordinary JPEG",
    ),
    Scene(
        source="text-screenshot",
        kind="text",
        picture="screenshot_cmake_gui",
        note="screenshot of a program with small print; opaque alpha left out",
    ),
    Scene(
        source="mixed-street",
        kind="mixed",
        picture="bus_people_street",
        note="people before a bus with lettering and a house",
    ),
    Scene(
        source="group-family",
        kind="group",
        picture="family_wedding_10045",
        note="family of three, an old print with grain and a green cast",
    ),
)

PORTRAITS = (
    *("adele_old_colour", "paris_hilton_old_bw", "codeformer_0763_severe"),
    *("facexlib_test_bw_glasses", "oldphoto2_sepia_160", "kair_face_09_142_rgba"),
    *("gpen_parse_test_blur", "clean_man_600x900"),
)
"""Registered portraits that are small enough for a CPU, each of another person."""

MOST_PX = 512**2


def _of_verdicts(folder: Path, first: str) -> pd.DataFrame:
    """The pictures of a set, then registered portraits, then GPEN's published faces."""
    beside = imagesets()[first].prepare(imageset_dir(first))
    portraits = build(folder, map(_as_it_is, PORTRAITS))
    published = imagesets()["gpen-official"].prepare(imageset_dir("gpen-official"))
    n_px = published["width_px"] * published["height_px"]
    is_meant = (published["kind"] == "aligned-face") & (n_px <= MOST_PX)
    return pd.concat([beside, portraits, published[is_meant]], ignore_index=True)


def _as_it_is(name: str) -> Recipe:
    picture = registered()[name]
    facts = picture.facts(name, width_px=picture.width_px, height_px=picture.height_px)
    make = lambda _: Made(path=picture.fetch())  # noqa: E731
    return Recipe(facts=facts, inputs=(picture.sha256,), make=make)


LICENCE = (
    "of each picture's repository; for most the origin is not stated: show them, do "
    "not republish them"
)

ENTRIES = (
    ImageSet(
        name="article",
        title="the kinds of pictures of the article, at 1024x768",
        licence=LICENCE,
        note="the article's own pictures are not public; nothing is cropped or "
        "enlarged, a grey margin fills the frame; the three flaws of portraits are "
        "synthetic and have references, the other pictures show what their cameras and "
        "scanners left",
        prepare=lambda folder: build(folder, map(_recipe, SCENES)),
    ),
    ImageSet(
        name="panel",
        title="six pictures or more of each kind that people must judge",
        licence=LICENCE,
        note="the light from behind, the age of four prints and one facade are ours, "
        "and the table says so; the other pictures are as they came, but for the size",
        prepare=prepare_panel,
    ),
    ImageSet(
        name="verdicts",
        title="the set quick, registered portraits, and GPEN's published faces",
        licence=LICENCE,
        note="small pictures, for a CPU: some degraded by us, some as they came",
        prepare=lambda folder: _of_verdicts(folder, "quick"),
    ),
    ImageSet(
        name="verdicts-1024",
        title="the set article, registered portraits, and GPEN's published faces",
        licence=LICENCE,
        note="for a GPU: the first pictures have the article's size",
        prepare=lambda folder: _of_verdicts(folder, "article"),
    ),
)
