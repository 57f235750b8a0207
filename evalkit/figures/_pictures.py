"""Figures of pictures: contact sheets, and outputs side by side."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evalkit.errors import SettingError, attempt
from evalkit.figures._crop import CROP_RULE, Crop, cut, shows_same_view
from evalkit.figures._sheet import (
    LEAST_PX,
    LINE_PX,
    TEXT_PT,
    Sheet,
    fitted,
    inside,
    is_thickened,
    is_tiny,
)
from evalkit.figures._style import LIGHT, wrap
from evalkit.images import Picture, read_image

Panel: TypeAlias = NDArray[np.uint8]

PANEL_PX = 480
FLATTEST, TALLEST = 0.3, 1.35
"""The least and the greatest height of a panel, as a share of its width."""

MAX_COLUMNS, MAX_CONDITIONS = 4, 6
GAP_PX, MARGIN_PX = 20, 24
NAME_PT, FOOT_PT = 9.5, 7.5
THUMBNAIL_PX, SHEET_COLUMNS = 228, 5
OTHER_VIEW = "another view than the source's:\nthere is no common crop"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """One column of a side-by-side figure: a picture, its name, its caption."""

    name: str
    caption: str = ""
    view: Panel | str = ""  # or why there is none
    detail: Panel | str = ""
    size: str = ""

    @property
    def title(self) -> list[str]:
        return wrap(self.name, PANEL_PX, NAME_PT, 3, bold=True)

    @property
    def lines(self) -> list[str]:
        lines = wrap(self.caption, PANEL_PX, TEXT_PT, 3)
        return [*lines, self.size] if self.size else lines


def contact_sheet(pictures: Mapping[str, Picture | Path]) -> Figure:
    """All pictures small, five in a row, with name and size under each.

    Parameters
    ----------
    pictures
        By name; a file is read when its turn comes, so that one at a time is in
        memory. Each is fitted whole into 228x228 px: by nearest neighbour up to 32 px,
        and a strip at least 12 px thick. One that cannot be read is an empty frame
        with the reason.

    Raises
    ------
    SettingError
        No picture.

    """
    if not pictures:
        raise SettingError(
            "expected at least one picture for a contact sheet, got none"
        )
    n_columns = min(SHEET_COLUMNS, len(pictures))
    n_rows = math.ceil(len(pictures) / n_columns)
    pitch_x, pitch_y = THUMBNAIL_PX + GAP_PX, THUMBNAIL_PX + 4 * LINE_PX
    width = 2 * MARGIN_PX + n_columns * pitch_x - GAP_PX
    sheet = Sheet(width, MARGIN_PX + n_rows * pitch_y)
    for index, (name, picture) in enumerate(pictures.items()):
        row, column = divmod(index, n_columns)
        left, top = MARGIN_PX + column * pitch_x, MARGIN_PX + row * pitch_y
        side = THUMBNAIL_PX
        lines = wrap(name, side, FOOT_PT, 2)
        drawn, why = attempt(partial(_thumbnail, picture), name)
        if drawn is None:
            sheet.empty(left, top, side, side, _no_picture(picture, why))
        else:
            sheet.picture(drawn[0], left, top)
            lines.append(drawn[1])
        sheet.write(lines, left, top + THUMBNAIL_PX + GAP_PX // 2, FOOT_PT)
    return sheet.figure


def _thumbnail(source: Picture | Path) -> tuple[Panel, str]:
    picture, side = _picture(source), THUMBNAIL_PX
    pixels = is_tiny(picture.shape)
    panel = fitted(picture, side, side, ground=LIGHT, pixels=pixels)
    return panel, _size(picture, side, side)


def _no_picture(shown: Picture | Path | str, why: str | None) -> str:
    """The text in an empty frame; the folders of a file are nobody's business."""
    text = f"no picture\n{why}"
    return text.replace(str(shown), shown.name) if isinstance(shown, Path) else text


def _picture(source: Picture | Path) -> Picture:
    return read_image(source) if isinstance(source, Path) else source


def side_by_side(
    source: Picture,
    outputs: Mapping[str, Picture | Path | str],
    crop: Crop,
    captions: Mapping[str, str],
    reference: Picture | None = None,
) -> Figure:
    """A source and what each condition made of it, all at one displayed size.

    Each picture stands over the same crop of it, with the condition and its caption
    below. The source's crop is framed. The last line says how pictures were resized.

    Parameters
    ----------
    source
        See `evalkit.images.Picture`.
    outputs
        Up to 6 by condition, in the order of display: the output, or its file, which is
        read when its turn comes; or the reason why there is none, which is written into
        an empty frame.
    crop
        From `crop_box`, in px of the source.
    captions
        A caption by condition, such as its cost; a condition may have none.
    reference
        The pristine version, shown behind the source.

    Raises
    ------
    SettingError
        More than 6 conditions.

    """
    if len(outputs) > MAX_CONDITIONS:
        raise SettingError(
            f"expected up to {MAX_CONDITIONS} conditions in one figure, got "
            f"{len(outputs)}; make several figures"
        )
    ratio = float(source.shape[0] / source.shape[1])
    view_px = round(PANEL_PX * min(max(ratio, FLATTEST), TALLEST))
    crop_px = max(LEAST_PX, round(PANEL_PX * crop.height / crop.width))
    crop_px = min(PANEL_PX, crop_px)
    heights = (view_px, crop_px)
    panels_of = partial(_panels, source=source, crop=crop, heights=heights)
    cells = _cells(source, reference, outputs, captions, panels_of)
    n_columns = math.ceil(len(cells) / math.ceil(len(cells) / MAX_COLUMNS))
    n_rows = math.ceil(len(cells) / n_columns)
    n_lines = max(len(cell.title) + len(cell.lines) for cell in cells)
    pitch_x = PANEL_PX + GAP_PX
    pitch_y = view_px + crop_px + LINE_PX * n_lines + 3 * GAP_PX
    width = 2 * MARGIN_PX + n_columns * pitch_x - GAP_PX
    how = "nearest neighbour" if is_tiny(source.shape) else "Lanczos"
    foot = wrap(_footer(crop, view_px, how), width - 2 * MARGIN_PX, FOOT_PT)
    foot_top = MARGIN_PX + n_rows * pitch_y
    sheet = Sheet(width, foot_top + LINE_PX * len(foot) + MARGIN_PX // 2)
    for index, cell in enumerate(cells):
        row, column = divmod(index, n_columns)
        left, top = MARGIN_PX + column * pitch_x, MARGIN_PX + row * pitch_y
        below = top + view_px + GAP_PX // 2
        for panel, y, high in (
            (cell.view, top, view_px),
            (cell.detail, below, crop_px),
        ):
            if isinstance(panel, str):
                sheet.empty(left, y, PANEL_PX, high, panel)
            else:
                sheet.picture(panel, left, y)
        if index == 0:
            _frame(sheet, crop, source.shape, left, top, view_px)
        top = below + crop_px + GAP_PX // 2
        sheet.write(cell.title, left, top, NAME_PT, bold=True)
        sheet.write(cell.lines, left, top + LINE_PX * len(cell.title), TEXT_PT)
    sheet.write(foot, MARGIN_PX, foot_top, FOOT_PT)
    return sheet.figure


def _cells(
    source: Picture,
    reference: Picture | None,
    outputs: Mapping[str, Picture | Path | str],
    captions: Mapping[str, str],
    panels_of: Callable[[Picture | Path], dict[str, Any]],
) -> list[_Cell]:
    """A cell for the source, its reference and every output, in turn."""
    pictures: dict[str, Picture | Path | str] = {"source": source}
    if reference is not None:
        pictures["reference"] = reference
    cells = []
    for name, picture in (pictures | dict(outputs)).items():
        panels, why = (
            (None, picture)
            if isinstance(picture, str)
            else attempt(partial(panels_of, picture), name)
        )
        panels = panels or {"view": _no_picture(picture, why)}
        cells.append(_Cell(name=name, caption=captions.get(name, ""), **panels))
    return cells


def _panels(
    output: Picture | Path, *, source: Picture, crop: Crop, heights: tuple[int, int]
) -> dict[str, Any]:
    """A picture's view, the crop of it, and its size, as columns of `_Cell`."""
    picture, (view_px, crop_px) = _picture(output), heights
    same_as = source.shape if shows_same_view(picture, source.shape) else None
    pixels = is_tiny(source.shape)
    view = fitted(picture, PANEL_PX, view_px, same_as, pixels=pixels)
    part = cut(picture, crop, source.shape)
    shape = (crop.height, crop.width)
    return {
        "view": view,
        "detail": OTHER_VIEW
        if part is None
        else fitted(part, PANEL_PX, crop_px, shape, pixels=True),
        "size": _size(picture, PANEL_PX, view_px),
    }


def _size(picture: Picture, width: int, height: int) -> str:
    """A picture's size, and whether a panel of that size draws it thicker."""
    size = f"{picture.shape[1]}x{picture.shape[0]} px"
    is_strip = is_thickened(width, height, picture.shape)
    return f"{size}, drawn thicker" if is_strip else size


def _footer(crop: Crop, view_px: int, how: str) -> str:
    return (
        f"All pictures are fitted into {PANEL_PX}x{view_px} px (reduced by area, "
        f"enlarged by {how}). Under each: the same {crop.width}x{crop.height} px of "
        f"the source, at x {crop.x}, y {crop.y} (framed); rule: {CROP_RULE}; enlarged "
        "by nearest neighbour, reduced by area."
    )


def _frame(
    sheet: Sheet, crop: Crop, shape: tuple[int, ...], left: int, top: int, height: int
) -> None:
    x, y, wide, high = inside(PANEL_PX, height, shape)
    scale_x, scale_y = wide / shape[1], high / shape[0]
    sheet.frame(
        left + x + crop.x * scale_x,
        top + y + crop.y * scale_y,
        crop.width * scale_x,
        crop.height * scale_y,
    )
