"""Pictures small enough to travel inside the page, all of one source treated alike."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import ImageError
from evalkit.figures import crop_box, cut, on_screen, shrunk
from evalkit.images import Picture, read_image
from evalkit.report._pictures import Section, Step, View

STEPS = tuple(
    Step(level, *row)
    for level, row in enumerate(
        [
            (1280, 82, 1280, 90),
            (1280, 68, 1280, 80),
            (1024, 60, 960, 70),
            (768, 55, 640, 65),
            (560, 50, 480, 60),
            (400, 45, 360, 55),
            (280, 40, 280, 50),
        ]
    )
)

STRIP = 48
"""Length over thickness of the thinnest strip that a column of the page shows."""


def show(
    sections: Sequence[Section], room_bytes: int
) -> tuple[list[Section], list[Section]]:
    """Fill, in place, the views of as many sections as there is room for.

    Every section gets an equal share of the room that is left for all data URIs, and
    the next ones get what it does not use. All views of one source are reduced by
    the same step, so that no condition looks worse for being harder to encode.

    Returns the sections with views, and those that found no room even at the last step.
    """
    visible: list[Section] = []
    dropped: list[Section] = []
    level = 0
    for index, section in enumerate(sections):
        share = room_bytes / (len(sections) - index)
        pictures = _read(section)
        used = 0
        for step in STEPS[max(0, level - 1) :]:
            used = _encode(section, pictures, step)
            level = step.level
            if used <= share:
                break
        if used > room_bytes:
            _clear(section)
            dropped.append(section)
            continue
        room_bytes -= used
        visible.append(section)
    return visible, dropped


def shown_in(sections: Sequence[Section], shown: Sequence[Section]) -> list[Section]:
    """The sections of another language with what `show` filled in of the same pictures.

    Both are of one run folder, so that sections and views of a name are the same.
    """
    filled = {section.facts["source"]: section for section in shown}
    chosen = [s for s in sections if s.facts["source"] in filled]
    for section in chosen:
        other = filled[section.facts["source"]]
        section.crop, section.step, section.maps = other.crop, other.step, other.maps
        for view, same in zip(section.views, other.views, strict=True):
            view.whole, view.detail, view.size = same.whole, same.detail, same.size
            view.is_thick = same.is_thick
            view.reason = view.reason or same.reason
    return chosen


_Pictures = list[tuple[View, NDArray[np.uint8], NDArray[np.uint8] | None]]


def _read(section: Section) -> _Pictures:
    """Every picture of a section and its crop, as large as the first step shows them.

    Fills sizes, the reasons of files that cannot be read, and the crop.
    """
    pictures: _Pictures = []
    source: tuple[int, ...] | None = None
    for view in section.views:
        if view.file is None:
            continue
        try:
            picture = read_image(view.file)
        except ImageError as error:
            view.reason = str(error).replace(str(view.file), view.file.name)
            continue
        if view.name == "source":
            source = picture.shape
            section.crop = section.crop or crop_box(picture)
        view.size = (picture.shape[1], picture.shape[0])
        detail = None
        if source is not None and section.crop is not None:
            detail = cut(picture, section.crop, source)
        if detail is not None:
            detail = _reduced(detail, STEPS[0].crop_side).copy()
        if max(view.size) >= 2 * STRIP * min(view.size):
            view.is_thick = True
        pictures.append((view, _reduced(picture, STEPS[0].side), detail))
    return pictures


def _encode(section: Section, pictures: _Pictures, step: Step) -> int:
    """Fill a section's views; return how many bytes they take in the page."""
    used = 0
    for view, whole, detail in pictures:
        view.whole = _data_uri(whole, step.side, step.quality)
        if detail is not None:
            view.detail = _data_uri(detail, step.crop_side, step.crop_quality)
        used += len(view.whole) + len(view.detail)
    if section.map_file:
        sheet = on_screen(read_image(section.map_file))
        section.maps = _data_uri(sheet, step.side, step.quality)
    section.step = step
    return used + len(section.maps)


def _clear(section: Section) -> None:
    section.step, section.maps = None, ""
    for view in section.views:
        view.whole = view.detail = ""


def _reduced(picture: Picture, side: int) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    small: NDArray[np.uint8]
    small = on_screen(picture) if scale >= 1 else shrunk(picture, wide, high)
    times = [max(1, max(small.shape) // (STRIP * length)) for length in small.shape[:2]]
    return small.repeat(times[0], axis=0).repeat(times[1], axis=1)


def _data_uri(picture: NDArray[np.uint8], side: int, quality: int) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray(_reduced(picture, side))
    # half the time of Pillow's default, 4, for a twentieth more bytes
    image.save(buffer, "WEBP", quality=quality, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
