"""The figure that shows where: each condition's output, and a map of each defect."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evalkit.figures._pictures import GAP_PX, MARGIN_PX, NAME_PT
from evalkit.figures._screen import on_screen
from evalkit.figures._sheet import LINE_PX, TEXT_PT, Sheet, fitted
from evalkit.figures._style import wrap
from evalkit.images import Picture

Map = NDArray[np.float32]
"""Shape ``(height, width)``, as `evalkit.metrics.Metric.where` gives it."""

PANEL_PX, FLATTEST, TALLEST = 270, 0.1, 1.35
BAR_PX, LEGEND_PX, FRAME = 22, 150, 150
COLOURS = "PuOr_r"
"""Purple below 0, brown above, which the colour-blind tell apart; 0 has no colour."""

PALE, STEEP = 0.5, 0.6
"""How much of a picture's contrast is left under a map; how fast colour sets in."""


def pathology_maps(
    source: Picture,
    outputs: Mapping[str, Picture],
    maps: Mapping[str, Mapping[str, tuple[Map, str]]],
    legends: Mapping[str, tuple[str, str]],
) -> Figure:
    """A row for each condition: its output, and beside it each defect laid over it.

    The first row has the source and, for each map, what its colours mean; they are the
    same for all conditions, up to what 99 % of the pixels stay below in the worst. A
    defect that no condition has anywhere has no column.

    Parameters
    ----------
    source
        See `evalkit.images.Picture`.
    outputs
        Outputs by condition, of the source's size.
    maps
        The map and what is written below it, by condition, then by metric.
    legends
        What each metric is, in a sentence, and the unit of its map.

    """
    names = [
        name
        for name in legends
        if any(np.any(by_metric[name][0]) for by_metric in maps.values())
    ]
    ratio = min(max(source.shape[0] / source.shape[1], FLATTEST), TALLEST)
    height = round(PANEL_PX * ratio)
    pitch_x, pitch_y = PANEL_PX + GAP_PX, height + 2 * LINE_PX + GAP_PX
    width = 2 * MARGIN_PX + (1 + len(names)) * pitch_x - GAP_PX
    bottom = MARGIN_PX + max(height, LEGEND_PX)
    sheet = Sheet(width, bottom - height + (1 + len(outputs)) * pitch_y)
    sheet.picture(fitted(source, PANEL_PX, height), MARGIN_PX, bottom - height)
    sheet.write(["source"], MARGIN_PX, bottom + 6, NAME_PT, bold=True)
    limits = {
        name: _limits([by_metric[name][0] for by_metric in maps.values()])
        for name in names
    }
    for column, name in enumerate(names, 1):
        left = MARGIN_PX + column * pitch_x
        _legend(sheet, name, legends[name], limits[name], left, bottom)
    for row, (condition, output) in enumerate(outputs.items(), 1):
        top = bottom - height + row * pitch_y
        below = top + height + 6
        sheet.picture(fitted(output, PANEL_PX, height), MARGIN_PX, top)
        lines = wrap(condition, PANEL_PX, TEXT_PT, 2, bold=True)
        sheet.write(lines, MARGIN_PX, below, TEXT_PT, bold=True)
        for column, name in enumerate(names, 1):
            left = MARGIN_PX + column * pitch_x
            values, caption = maps[condition][name]
            laid = _laid_over(output, values, limits[name])
            sheet.picture(_framed(fitted(laid, PANEL_PX, height)), left, top)
            sheet.write([caption], left, below, TEXT_PT)
    return sheet.figure


def _limits(maps: list[Map]) -> tuple[float, float]:
    """The values of the first and the last colour."""
    sizes = [np.abs(values) for values in maps]
    most = max(float(np.quantile(size, 0.99)) for size in sizes)
    most = most or max(float(size.max()) for size in sizes) or 1.0
    is_signed = min(float(values.min()) for values in maps) < 0
    return (-most if is_signed else 0.0), most


def _laid_over(
    picture: Picture, values: Map, limits: tuple[float, float]
) -> NDArray[np.uint8]:
    """The picture in pale grey, under the colours of a map."""
    grey = on_screen(picture).mean(axis=2, keepdims=True)
    return _shaded(values, limits, 255 - PALE * (255 - grey))


def _shaded(
    values: Map, limits: tuple[float, float], ground: NDArray[np.floating[Any]] | float
) -> NDArray[np.uint8]:
    """The colours of values over a ground of 0 to 255, which 0 leaves as it is."""
    import matplotlib as mpl

    share = (values / limits[1]).clip(-1, 1)
    colours = 255 * mpl.colormaps[COLOURS]((1 + share) / 2)[..., :3]
    cover = (np.abs(share) ** STEEP)[..., None]
    mixed: NDArray[np.uint8]
    mixed = np.rint(cover * colours + (1 - cover) * ground).astype(np.uint8)
    return mixed


def _framed(panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    panel[[0, -1]] = panel[:, [0, -1]] = FRAME
    return panel


def _legend(
    sheet: Sheet,
    name: str,
    legend: tuple[str, str],
    limits: tuple[float, float],
    left: int,
    bottom: int,
) -> None:
    """The metric's name and sentence, over a bar of its colours with both ends."""
    (sentence, unit), (low, high) = legend, limits
    top = bottom - BAR_PX
    ramp = np.linspace(low, high, PANEL_PX, dtype=np.float32)[None]
    bar = _shaded(np.repeat(ramp, BAR_PX, axis=0), limits, 255.0)
    sheet.picture(_framed(bar), left, top)
    ends = f"map: {low:.2g} to {high:.2g} {unit}"
    sheet.write([ends], left, bottom + 6, TEXT_PT)
    lines = wrap(sentence, PANEL_PX, TEXT_PT, 4)
    top -= 6 + LINE_PX * (1 + len(lines))
    sheet.write([name.replace("_", " ")], left, top, NAME_PT, bold=True)
    sheet.write(lines, left, top + LINE_PX, TEXT_PT)
