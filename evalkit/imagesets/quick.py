"""Set `quick`: seven small pictures, made on the spot from what the packages carry."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evalkit.downloads.files import digest
from evalkit.errors import ImageError
from evalkit.images.scaling import shrink
from evalkit.imagesets._build import Made, Recipe, build, read_opaque, save_pair
from evalkit.imagesets._degradations import (
    Bytes,
    add_noise,
    backlight,
    blur,
    filled_polygon,
    jpeg,
    overexpose,
    to_image,
    to_light,
)
from evalkit.imagesets._spec import ImageSet
from evalkit.paths import package_dir

HOPPER_PX = (512, 600)
HOPPER_OUTLINE = (
    *((356, 87), (352, 64), (336, 46), (300, 41), (287, 30), (260, 23), (233, 27)),
    *((200, 43), (177, 67), (174, 84), (148, 92), (145, 115), (147, 173), (152, 200)),
    *((160, 240), (168, 267), (175, 288), (198, 300), (198, 318), (187, 327)),
    *((127, 356), (73, 373), (42, 398), (27, 467), (12, 600), (512, 600), (512, 427)),
    *((503, 426), (492, 393), (461, 376), (422, 366), (365, 342), (337, 321)),
    *((343, 290), (361, 262), (372, 225), (375, 192), (369, 183), (368, 92)),
)
"""The person in matplotlib's grace_hopper.jpg, drawn by hand; x, y in its pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One source of the set.

    Attributes
    ----------
    source, kind
        Columns of the table.
    package, file
        The package that carries the picture, and its path there.
    licence
        As the package states it.
    reference
        Makes the pristine reference of the carried picture.
    degrade
        Makes the source of the reference.
    note
        What was done, for the reader.

    """

    source: str
    kind: str
    package: str
    file: str
    licence: str
    reference: Callable[[Bytes], Bytes]
    degrade: Callable[[Bytes], Bytes]
    note: str


def _recipe(scene: Scene) -> Recipe:
    facts = {
        "source": scene.source,
        "kind": scene.kind,
        "origin": f"{scene.package}: {Path(scene.file).name}",
        "original": Path(scene.file).stem,
        "licence": scene.licence,
        "is_synthetic": True,
        "note": scene.note,
    }
    path = _carried(scene)

    def make(folder: Path) -> Made:
        reference = scene.reference(read_opaque(path))
        return save_pair(folder, scene.source, scene.degrade(reference), reference)

    inputs = (digest(path),) if path.is_file() else ()
    return Recipe(facts=facts, inputs=inputs, make=make)


def _carried(scene: Scene) -> Path:
    """The path of the file in the installed package."""
    folder = package_dir(scene.package)
    if folder is None:
        raise ImageError(f"package {scene.package}, which carries pictures, is missing")
    return folder / scene.file


def _as_it_is(image: Bytes) -> Bytes:
    return image


def _half(image: Bytes) -> Bytes:
    height, width = image.shape[:2]
    return shrink(image, width // 2, height // 2)


def _head(image: Bytes) -> Bytes:
    return np.ascontiguousarray(image[8:264, 96:352])


def _blocky(image: Bytes) -> Bytes:
    return jpeg(image, 9)


def _clipped(image: Bytes) -> Bytes:
    light = overexpose(to_light(_half(image)), stops=1.4, glow_px=8)
    return jpeg(to_image(add_noise(light, shot=3e-4, read=1e-3, seed=2)), 92)


def _backlit(image: Bytes) -> Bytes:
    small = _half(image)
    height, width = small.shape[:2]
    corners = tuple((x / HOPPER_PX[0], y / HOPPER_PX[1]) for x, y in HOPPER_OUTLINE)
    subject = filled_polygon(corners, width, height)
    light = backlight(to_light(small), subject, glow_px=25)
    return jpeg(to_image(add_noise(light, shot=1.2e-3, read=4e-3, seed=1)), 88)


def _far_wall(image: Bytes) -> Bytes:
    light = blur(to_light(_half(image)), 0.6)
    return jpeg(to_image(add_noise(light, shot=6e-4, read=4e-3, seed=4)), 80)


def _page(image: Bytes) -> Bytes:
    light = blur(to_light(image), 0.7)
    return jpeg(to_image(add_noise(light, shot=3e-4, read=4e-3, seed=3)), 60)


SCENES = (
    Scene(
        source="portrait-jpeg",
        kind="portrait",
        package="skimage",
        file="data/astronaut.png",
        licence="public domain (NASA)",
        reference=_head,
        degrade=_blocky,
        note="JPEG blocks: crop of the head, saved at JPEG quality 9; reference at "
        "equal size; the same face as portrait-highlights",
    ),
    Scene(
        source="portrait-highlights",
        kind="portrait",
        package="skimage",
        file="data/astronaut.png",
        licence="public domain (NASA)",
        reference=_as_it_is,
        degrade=_clipped,
        note="highlights clipped: half size, overexposed by 1.4 stops; reference at "
        "double size; the same face as portrait-jpeg",
    ),
    Scene(
        source="portrait-backlit",
        kind="portrait",
        package="matplotlib",
        file="mpl-data/sample_data/grace_hopper.jpg",
        licence="public domain (U.S. Navy)",
        reference=lambda image: shrink(image, 436, 512),
        degrade=_backlit,
        note="backlit: half size, the person (outlined by hand) three stops darker, "
        "the ground nearly three brighter, stray light, noise; reference at double "
        "size, resized from 512x600",
    ),
    Scene(
        source="building-pagoda",
        kind="building",
        package="sklearn",
        file="datasets/images/china.jpg",
        licence="CC BY 2.0 (danielbuechele)",
        reference=lambda image: shrink(image, 512, 342),
        degrade=_half,
        note="half size, nothing else; reference at double size, resized from 640x427",
    ),
    Scene(
        source="building-brick-wall",
        kind="building",
        package="skimage",
        file="data/brick.png",
        licence="CC0 (CC0 Textures, Bricks25)",
        reference=lambda image: np.ascontiguousarray(np.rot90(image)),
        degrade=_far_wall,
        note="half size, slightly out of focus, noise, JPEG quality 80; grey; turned "
        "by 90 degrees so that the courses lie flat; reference at double size",
    ),
    Scene(
        source="text-page",
        kind="text",
        package="skimage",
        file="data/page.png",
        licence="as scikit-image (BSD-3-Clause); none stated for the scan",
        reference=lambda image: np.ascontiguousarray(image[:166]),
        degrade=_page,
        note="printed page, slightly out of focus, noise, JPEG quality 60; grey; crop "
        "above a line that the scan cuts through; reference at equal size",
    ),
    Scene(
        source="mixed-cameraman",
        kind="mixed",
        package="skimage",
        file="data/camera.png",
        licence="CC0 (Lav Varshney)",
        reference=_as_it_is,
        degrade=lambda image: jpeg(_half(image), 85),
        note="a man before a skyline: a photograph, not composed; half size, JPEG "
        "quality 85; grey; reference at double size",
    ),
)

ENTRIES = (
    ImageSet(
        name="quick",
        title="seven small pictures that the packages carry, damaged on the spot",
        licence="public domain, CC0, CC BY 2.0: may be published with the credits",
        note="every degradation is synthetic and each picture has its pristine "
        "reference; one face is used twice; no picture is composed",
        is_offline=True,
        prepare=lambda folder: build(folder, map(_recipe, SCENES)),
    ),
)
