"""A figure laid out in pixels from its top left corner, so that panels stay exact."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from evalkit.figures._screen import on_screen, shrunk
from evalkit.figures._style import FAINT, GROUND, INK, new_figure, printable, wrap
from evalkit.images import Picture, resize

LINE_PX = 24
"""The pitch of lines of text of up to 9 points."""

TEXT_PT = 8.5

TINY_PX = 32
"""A picture with no longer side is enlarged by nearest neighbour: its pixels are all
that there is to see."""

LEAST_PX = 12
"""The side of a strip that would be drawn thinner, and not be seen."""


class Sheet:
    """A figure under construction.

    Parameters
    ----------
    width_px, height_px
        At 150 dpi.

    """

    def __init__(self, width_px: int, height_px: int) -> None:
        self.figure: Figure = new_figure(width_px, height_px)
        self._size = (width_px, height_px)

    def picture(self, panel: NDArray[np.uint8], left: int, top: int) -> Axes:
        """Put a panel down, one of its pixels on one of the figure's."""
        axes = self._axes(left, top, panel.shape[1], panel.shape[0])
        axes.imshow(panel, interpolation="none", aspect="auto")
        axes.set_axis_off()
        return axes

    def empty(self, left: int, top: int, width: int, height: int, text: str) -> None:
        """Draw an empty frame with a reason in it."""
        axes = self._axes(left, top, width, height)
        axes.set(xticks=[], yticks=[], facecolor="0.96")
        axes.spines[:].set(color=FAINT, linestyle=(0, (4, 4)))
        lines = "\n".join(wrap(text, width - 40, TEXT_PT, height // LINE_PX))
        axes.text(
            0.5,
            0.5,
            lines,
            ha="center",
            va="center",
            fontsize=TEXT_PT,
            color=INK,
            parse_math=False,
        )

    def frame(self, left: float, top: float, width: float, height: float) -> None:
        """Draw a frame, white within black, so that it shows on any ground."""
        for colour, line_pt in (("black", 2.4), ("white", 1.0)):
            box = Rectangle(
                self._point(left, top + height),
                width / self._size[0],
                height / self._size[1],
                transform=self.figure.transFigure,
                fill=False,
                edgecolor=colour,
                linewidth=line_pt,
                zorder=5,
            )
            self.figure.add_artist(box)

    def write(
        self,
        lines: list[str],
        left: float,
        top: float,
        points: float,
        *,
        bold: bool = False,
    ) -> None:
        """Write lines of text below each other."""
        for index, line in enumerate(lines):
            self.figure.text(
                *self._point(left, top + index * LINE_PX),
                printable(line),
                fontsize=points,
                fontweight="bold" if bold else "normal",
                color=INK,
                va="top",
                parse_math=False,
            )

    def _point(self, left: float, top: float) -> tuple[float, float]:
        return left / self._size[0], 1 - top / self._size[1]

    def _axes(self, left: int, top: int, width: int, height: int) -> Axes:
        x, y = self._point(left, top + height)
        return self.figure.add_axes(
            (x, y, width / self._size[0], height / self._size[1])
        )


def fitted(
    picture: Picture,
    width: int,
    height: int,
    same_as: tuple[int, ...] | None = None,
    *,
    ground: float = GROUND,
    pixels: bool = False,
) -> NDArray[np.uint8]:
    """A picture, as large as fits, in the middle of a panel of one grey.

    Parameters
    ----------
    picture
        See `evalkit.images.Picture`.
    width, height
        The panel's size, px.
    same_as
        Take this shape for the picture's, so that rounding moves no pixel.
    ground
        The grey, in [0, 1].
    pixels
        Enlarge by nearest neighbour, not by Lanczos.

    Returns
    -------
    ndarray
        Shape ``(height, width, 3)``, otherwise as `on_screen` makes it.

    """
    import cv2

    left, top, wide, high = inside(width, height, same_as or picture.shape)
    if wide < picture.shape[1] and high < picture.shape[0]:
        resized: Picture = shrunk(picture, wide, high)
    elif pixels and wide >= picture.shape[1] and high >= picture.shape[0]:
        resized = cv2.resize(
            on_screen(picture), (wide, high), interpolation=cv2.INTER_NEAREST_EXACT
        )
    else:
        resized = resize(on_screen(picture), wide, high)
    panel = np.full((height, width, 3), round(255 * ground), np.uint8)
    panel[top : top + high, left : left + wide] = resized
    return panel


def inside(
    width: int, height: int, shape: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Left, top, width and height of a picture of `shape` fitted into a panel, px.

    A strip is drawn `LEAST_PX` thick at least; see `is_thickened`.
    """
    scale = min(width / shape[1], height / shape[0])
    wide = min(width, max(LEAST_PX, round(shape[1] * scale)))
    high = min(height, max(LEAST_PX, round(shape[0] * scale)))
    if abs(width - wide) <= 1 and abs(height - high) <= 1:
        return 0, 0, width, height
    return (width - wide) // 2, (height - high) // 2, wide, high


def is_thickened(width: int, height: int, shape: tuple[int, ...]) -> bool:
    """Whether a picture is a strip that a panel shows thicker than it is."""
    scale = min(width / shape[1], height / shape[0])
    return min(width, height) > LEAST_PX > scale * min(shape[:2])


def is_tiny(shape: tuple[int, ...]) -> bool:
    """Whether a picture of this shape is shown by its pixels, see `TINY_PX`."""
    return max(shape[:2]) <= TINY_PX
