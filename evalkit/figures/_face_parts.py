"""The figure of a face's classes, numbered so that grey print shows them too."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from evalkit.errors import SettingError
from evalkit.faces import CLASSES
from evalkit.figures._screen import on_screen
from evalkit.figures._sheet import LINE_PX, TEXT_PT, Sheet, fitted
from evalkit.images import Picture

PANEL_PX, LEGEND_PX, MARGIN_PX = 480, 300, 24
TINT = 0.55


def face_parts(face: Picture, classes: NDArray[np.uint8]) -> Figure:
    """A face, its classes tinted and numbered over it, and what each number means.

    Parameters
    ----------
    face
        See `Picture`.
    classes
        ``(H, W)``, as `evalkit.faces.parse` gives them for `face`.

    Raises
    ------
    SettingError
        The map has another size, or a number that is no class.

    """
    if classes.shape != face.shape[:2] or classes.max() >= len(CLASSES):
        raise SettingError(
            f"expected classes 0 to {len(CLASSES) - 1} of shape {face.shape[:2]}, got "
            f"up to {classes.max()} of shape {classes.shape}"
        )
    import matplotlib as mpl
    from scipy.ndimage import distance_transform_edt

    colours = 255 * mpl.colormaps["tab20"](np.arange(len(CLASSES)))[:, :3]
    source = on_screen(face)
    tinted = np.where(
        (classes == 0)[..., None],
        source,
        (1 - TINT) * source + TINT * colours[classes],
    ).astype(np.uint8)
    side = PANEL_PX
    width = 2 * side + LEGEND_PX + 4 * MARGIN_PX
    sheet = Sheet(width, side + 2 * MARGIN_PX)
    sheet.picture(fitted(source, side, side), MARGIN_PX, MARGIN_PX)
    axes = sheet.picture(fitted(tinted, side, side), side + 2 * MARGIN_PX, MARGIN_PX)
    scale = side / max(classes.shape)
    before = (side - scale * np.array(classes.shape)) / 2
    lines = []
    for number in np.unique(classes):
        part = np.pad(classes == number, 1)
        share = part[1:-1, 1:-1].mean()
        digits = str(number).rjust(2, "\u2007")  # a space as wide as a digit
        lines.append(f"{digits}  {CLASSES[number]}, {share:.1%}")
        # where the part is widest: its middle may lie outside of it
        depth = distance_transform_edt(part)[1:-1, 1:-1]
        y, x = before + scale * np.array(np.unravel_index(depth.argmax(), depth.shape))
        axes.annotate(
            f"{number}",
            (x, y),
            ha="center",
            va="center",
            fontsize=TEXT_PT,
            bbox={"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none"},
        )
    top = max(MARGIN_PX, (side + 2 * MARGIN_PX - LINE_PX * len(lines)) // 2)
    sheet.write(lines, 2 * side + 3 * MARGIN_PX, top, TEXT_PT)
    return sheet.figure
