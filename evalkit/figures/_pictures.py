"""Figures of pictures: contact sheets, and outputs side by side."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from evalkit.errors import SettingError
from evalkit.figures._crop import CROP_RULE, Crop, cut, shows_same_view
from evalkit.figures._sheet import LINE_PX, TEXT_PT, Sheet, fitted, inside
from evalkit.figures._style import LIGHT, wrap
from evalkit.images import Picture

PANEL_PX = 480
FLATTEST, TALLEST = 0.3, 1.35
"""Height of a panel against its width, at least and at most."""

MAX_COLUMNS, MAX_CONDITIONS = 4, 6
GAP_PX, MARGIN_PX = 20, 24
NAME_PT, FOOT_PT = 9.5, 7.5
THUMBNAIL_PX, SHEET_COLUMNS = 228, 5
OTHER_VIEW = "another view than the source's:\nthere is no common crop"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    """One column of a side-by-side figure: a picture, its name, its caption."""

    name: str
    picture: Picture | str
    caption: str = ""

    @property
    def title(self) -> list[str]:
        return wrap(self.name, PANEL_PX, NAME_PT, 3, bold=True)

    @property
    def lines(self) -> list[str]:
        lines = wrap(self.caption, PANEL_PX, TEXT_PT, 3)
        return lines if isinstance(self.picture, str) else [*lines, _size(self.picture)]


def contact_sheet(pictures: Mapping[str, Picture]) -> Figure:
    """All pictures small, five in a row, with name and size under each.

    Parameters
    ----------
    pictures
        By name. Each is fitted whole into 228x228 px.

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
        panel = fitted(picture, THUMBNAIL_PX, THUMBNAIL_PX, ground=LIGHT)
        sheet.picture(panel, left, top)
        lines = [*wrap(name, THUMBNAIL_PX, FOOT_PT, 2), _size(picture)]
        sheet.write(lines, left, top + THUMBNAIL_PX + GAP_PX // 2, FOOT_PT)
    return sheet.figure


def side_by_side(
    source: Picture,
    outputs: Mapping[str, Picture | str],
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
        By condition, in the order shown, up to 6: the output, or the reason why there
        is none, which is then written into an empty frame.
    crop
        From `crop_box`, in px of the source.
    captions
        By condition: its cost, say. A condition without one has none.
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
    cells = _cells(source, reference, outputs, captions)
    n_columns = math.ceil(len(cells) / math.ceil(len(cells) / MAX_COLUMNS))
    n_rows = math.ceil(len(cells) / n_columns)
    ratio = float(source.shape[0] / source.shape[1])
    view_px = round(PANEL_PX * min(max(ratio, FLATTEST), TALLEST))
    crop_px = min(PANEL_PX, round(PANEL_PX * crop.height / crop.width))
    n_lines = max(len(cell.title) + len(cell.lines) for cell in cells)
    pitch_x = PANEL_PX + GAP_PX
    pitch_y = view_px + crop_px + LINE_PX * n_lines + 3 * GAP_PX
    width = 2 * MARGIN_PX + n_columns * pitch_x - GAP_PX
    foot = wrap(_footer(crop, view_px), width - 2 * MARGIN_PX, FOOT_PT)
    foot_top = MARGIN_PX + n_rows * pitch_y
    sheet = Sheet(width, foot_top + LINE_PX * len(foot) + MARGIN_PX // 2)
    for index, cell in enumerate(cells):
        row, column = divmod(index, n_columns)
        left, top = MARGIN_PX + column * pitch_x, MARGIN_PX + row * pitch_y
        below = top + view_px + GAP_PX // 2
        if isinstance(cell.picture, str):
            sheet.empty(left, top, PANEL_PX, view_px, f"no picture\n{cell.picture}")
            sheet.empty(left, below, PANEL_PX, crop_px, "")
        else:
            _draw_view(sheet, cell.picture, left, top, view_px, source)
            _draw_crop(sheet, cell.picture, left, below, crop_px, crop, source)
        if cell.picture is source:
            _frame(sheet, crop, source.shape, left, top, view_px)
        top = below + crop_px + GAP_PX // 2
        sheet.write(cell.title, left, top, NAME_PT, bold=True)
        sheet.write(cell.lines, left, top + LINE_PX * len(cell.title), TEXT_PT)
    sheet.write(foot, MARGIN_PX, foot_top, FOOT_PT)
    return sheet.figure


def _cells(
    source: Picture,
    reference: Picture | None,
    outputs: Mapping[str, Picture | str],
    captions: Mapping[str, str],
) -> list[_Cell]:
    cells = [_Cell(name="source", picture=source)]
    if reference is not None:
        cells.append(_Cell(name="reference", picture=reference))
    return cells + [
        _Cell(name=name, picture=picture, caption=captions.get(name, ""))
        for name, picture in outputs.items()
    ]


def _size(picture: Picture) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]} px"


def _footer(crop: Crop, view_px: int) -> str:
    return (
        f"All pictures are fitted into {PANEL_PX}x{view_px} px (reduced by area, "
        f"enlarged by Lanczos). Under each: the same {crop.width}x{crop.height} px of "
        f"the source, at x {crop.x}, y {crop.y} (framed); rule: {CROP_RULE}; enlarged "
        "by nearest neighbour, reduced by area."
    )


def _draw_view(
    sheet: Sheet, picture: Picture, left: int, top: int, height: int, source: Picture
) -> None:
    same_as = source.shape if shows_same_view(picture, source.shape) else None
    panel = fitted(picture, PANEL_PX, height, same_as)
    sheet.picture(panel, left, top)


def _draw_crop(
    sheet: Sheet,
    picture: Picture,
    left: int,
    top: int,
    height: int,
    crop: Crop,
    source: Picture,
) -> None:
    detail = cut(picture, crop, source.shape)
    if detail is None:
        sheet.empty(left, top, PANEL_PX, height, OTHER_VIEW)
        return
    shape = (crop.height, crop.width)
    panel = fitted(detail, PANEL_PX, height, shape, pixels=True)
    sheet.picture(panel, left, top)


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
