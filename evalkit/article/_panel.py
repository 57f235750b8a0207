"""Set `panel`: six pictures or more of each kind that the claims on opinion name.

Most are registered photographs, scans and screenshots as they came, cropped or shrunk
to `LONGEST_PX`; the light from behind, the age of some prints, and one facade are ours,
as their notes say; ``is_synthetic`` are those that were made worse. The notes also have
the words by which ``data/claims.yaml`` tells which pictures count for a claim.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from evalkit.images.scaling import shrink
from evalkit.imagesets._build import Made, Recipe, build, read_opaque, save_pair
from evalkit.imagesets._degradations import (
    Bytes,
    add_noise,
    backlight_dark_parts,
    blur,
    jpeg,
    to_image,
    to_light,
)
from evalkit.imagesets._registered import registered

LONGEST_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One source of the set, made of a registered picture.

    Attributes
    ----------
    picture
        Its name in the registry.
    box
        Left, top, right, bottom of what is taken, pixels; None for the whole.
    degrade
        The taken part to the source; None for one as it came.

    """

    picture: str
    box: tuple[int, int, int, int] | None = None
    degrade: Callable[[Bytes], Bytes] | None = None


def _backlit(image: Bytes) -> Bytes:
    light = backlight_dark_parts(to_light(image), glow_px=40)
    return jpeg(to_image(add_noise(light, shot=8e-4, read=3e-3, seed=1)), 85)


def _aged(image: Bytes) -> Bytes:
    """As an old print: soft, without colour but for a brown cast, with coarse grain."""
    grey = blur(to_light(image), 1.0).mean(axis=2, keepdims=True)
    sepia = 0.04 + 0.9 * grey * np.array([1.0, 0.86, 0.66])
    return jpeg(to_image(add_noise(sepia, shot=3e-3, read=1e-2, seed=5)), 80)


KINDS: dict[str, tuple[str, str, tuple[Shown, ...]]] = {
    "backlit": (
        "portrait",
        "backlit: what is not bright made over three stops darker by us, stray light, "
        "noise",
        tuple(
            Shown(picture=name, degrade=_backlit)
            for name in (
                *("selfie_exif6_input", "selfie_a_input", "woman_street_portrait_2500"),
                *("clean_man_600x900", "facexlib_test_bw_glasses", "ffhq_00000_hq"),
            )
        ),
    ),
    "glass": (
        "building",
        "a glass facade or wall",
        (
            Shown(picture="glass_vault"),
            Shown(picture="glass_facades_sky"),
            Shown(picture="office_tower_grid"),
            Shown(picture="giant_face_on_building", box=(600, 40, 1024, 560)),
            Shown(picture="mural_man_on_building", box=(305, 0, 481, 190)),
        ),
    ),
    "text": (
        "text",
        "printed text, scanned or on a screen",
        (
            Shown(picture="scan_magazine_bilevel", box=(180, 80, 1180, 980)),
            *(
                Shown(picture=name)
                for name in (
                    *("scan_hebrew", "screenshot_cmake_gui", "book_cover_ppt3_240"),
                    *("infographic_english_rgba", "chinese_chars_old_172"),
                )
            ),
        ),
    ),
    "passport": (
        "portrait",
        "one face from the front, for a passport photo",
        tuple(
            Shown(picture=name)
            for name in (
                *("clean_man_600x900", "facexlib_test_bw_glasses", "adele_old_colour"),
                *("paris_hilton_old_bw", "gpen_parse_test_blur", "oldphoto2_sepia_160"),
            )
        ),
    ),
    "product": (
        "product",
        "a thing that a shop could show",
        tuple(
            Shown(picture=name)
            for name in (
                *("camera_white_bg", "earbuds_white_bg", "desk_lamp", "mainboard_280"),
                *("chip_120", "mountain_bike_3000"),
            )
        ),
    ),
    "camera": (
        "surveillance",
        "a frame of a fixed or mounted camera",
        tuple(
            Shown(picture=name)
            for name in (
                *("mot20_05_frame_0020", "room_camera_1080p", "dashcam_city"),
                *("cctv_like_table_320_grey", "car_plate_uk"),
                "car_plate_washington_rear",
            )
        ),
    ),
    "family": (
        "group",
        "an old photo of a family or a group",
        (
            Shown(picture="family_wedding_10045"),
            Shown(picture="solvay_input", box=(380, 100, 960, 568)),
            *(
                Shown(picture=name, degrade=_aged)
                for name in (
                    *("family_seven_elderly", "kids_eight"),
                    *("four_men_conference", "band_four_248"),
                )
            ),
        ),
    ),
}
"""By the name before each source's: its kind, its note, and what it is made of."""

AGED = "made an old print by us: soft, brown, with grain"


def sources() -> Iterator[Recipe]:
    """Every recipe of the set."""
    for name, (kind, note, scenes) in KINDS.items():
        for scene in scenes:
            yield _recipe(f"{name}-{scene.picture}", kind, note, scene)
    yield _facade()


def _recipe(source: str, kind: str, note: str, scene: Shown) -> Recipe:
    picture = registered()[scene.picture]
    parts = [note]
    if scene.degrade is _aged:
        parts.append(AGED)
    if scene.box:
        parts.append(
            f"cropped to {scene.box} of {picture.width_px}x{picture.height_px}"
        )
    parts.append(f"{LONGEST_PX} px at most; {picture.note}")
    facts = picture.facts(
        source,
        kind=kind,
        is_synthetic=scene.degrade is not None,
        note="; ".join(parts),
    )

    def make(folder: Path) -> Made:
        image = read_opaque(picture.fetch())
        if scene.box:
            left, top, right, bottom = scene.box
            image = np.ascontiguousarray(image[top:bottom, left:right])
        height, width = image.shape[:2]
        scale = min(1.0, LONGEST_PX / max(height, width))
        image = shrink(image, round(width * scale), round(height * scale))
        if scene.degrade is None:
            return save_pair(folder, source, image)
        coloured = image if image.ndim == 3 else np.dstack([image] * 3)
        return save_pair(folder, source, scene.degrade(coloured), image)

    return Recipe(facts=facts, inputs=(picture.sha256,), make=make)


def _facade() -> Recipe:
    facts = {
        "source": "glass-drawn",
        "kind": "building",
        "origin": "drawn by evalkit",
        "original": "glass-drawn",
        "licence": "as evalkit",
        "is_synthetic": False,  # nothing was made worse
        "note": "a glass facade or wall; drawn by us: panes that mirror a sky",
    }
    return Recipe(
        facts=facts,
        inputs=(),
        make=lambda folder: save_pair(folder, "glass-drawn", _drawn()),
    )


def _drawn() -> Bytes:
    """A facade of 16 by 12 panes, each with its own tilt, mirroring a cloudy sky."""
    rng = np.random.default_rng(6)
    height, width, pane = 384, 512, 32
    rows, columns = np.mgrid[:height, :width]
    tilts = rng.normal(0, 12, (height // pane, width // pane)).repeat(pane, 0)
    tilts = tilts.repeat(pane, 1)
    cloud = blur(rng.standard_normal((height, width)), 24)
    cloud /= np.abs(cloud).max()
    sky = 0.55 - 0.35 * (rows + tilts) / height + 0.2 * np.clip(cloud, 0, 1)
    panes = sky[..., None] * np.array([0.55, 0.8, 1.0])
    is_frame = (rows % pane < 2) | (columns % pane < 2)
    panes[is_frame] = 0.08
    return jpeg(to_image(add_noise(blur(panes, 0.6), 2e-4, 1e-3, seed=7)), 90)


def prepare(folder: Path) -> pd.DataFrame:
    """Find or fetch the registered pictures, and make the set of them."""
    return build(folder, sources())
