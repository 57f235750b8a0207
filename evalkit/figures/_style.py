"""What every figure shares: pixels, greys, wrapping, saving."""

import os
import textwrap
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evalkit.paths import atomic_path

DPI = 150
GROUND = 0.5
"""Mid-grey: around pictures that do not fill their frame, and under alpha."""

LIGHT = 0.88
"""Around thumbnails."""

INK, FAINT = "0.1", "0.35"
TEXT_PT = 8

FONTS = (
    "Noto Sans CJK SC",
    "Source Han Sans SC",
    "Microsoft YaHei",
    "PingFang SC",
    "WenQuanYi Micro Hei",
    "Noto Sans CJK JP",
)
"""Fonts, in this order, for letters that matplotlib's own lacks: names in Chinese."""

WIDE = "\u2060"
"""Behind a letter as wide as two, while lines are counted."""

NO_GLYPH = "\u25a1"
"""Stands for a letter that no font here has, or that has no shape."""

SAVED: dict[str, dict[str, Any]] = {
    # half the time of level 6, and 4 % larger
    "png": {"metadata": {"Software": None}, "pil_kwargs": {"compress_level": 4}},
    "pdf": {"metadata": dict.fromkeys(("CreationDate", "Creator", "Producer"))},
}


def new_figure(width_px: float, height_px: float) -> Figure:
    """A white figure of this size that no window and no later call holds on to."""
    import matplotlib.pyplot as plt

    plt.rcParams["font.family"] = _families()
    # pyplot makes it, so that notebooks know how to show what a cell returns
    figure = plt.figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI)
    plt.close(figure)
    return figure


def write_beside(axes: Axes, y: float, text: str, x: float | None = None) -> None:
    """Write right of the point ``(x, y)`` of the data; without `x`, of the frame."""
    axes.annotate(
        printable(text),
        (1 if x is None else x, y),
        xycoords=("axes fraction" if x is None else "data", "data"),
        xytext=(8, 0),
        textcoords="offset points",
        va="center",
        fontsize=TEXT_PT,
        color=INK,
        parse_math=False,
    )


@cache
def _families() -> list[str]:
    """The font families that are here: matplotlib's own, then those of `FONTS`."""
    import matplotlib as mpl
    from matplotlib.font_manager import get_font_names

    here = {*get_font_names()}
    default = list(mpl.rcParams["font.family"])
    more = (name for name in FONTS if name in here and name not in default)
    return [*default, *more]


@cache
def _is_printable(letter: str) -> bool:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    if unicodedata.category(letter)[0] == "C":
        return False
    fonts = (findfont(FontProperties(family=[name])) for name in _families())
    return any(get_font(font).get_char_index(ord(letter)) for font in fonts)


def printable(text: str) -> str:
    """A text without what cannot be drawn: control characters, letters of no font."""
    return "".join(
        letter if letter == "\n" or _is_printable(letter) else NO_GLYPH
        for letter in text
    )


def wrap(
    text: str, width_px: float, points: float, n_lines: int = 99, *, bold: bool = False
) -> list[str]:
    """Lines of `text` that fit `width_px`; a text too long loses its middle."""
    letter_pt = points * (0.64 if bold else 0.53)
    n_letters = max(8, int(width_px * 72 / DPI / letter_pt))
    lines = []
    for line in text.split("\n"):
        # a condition's name has no spaces: let it break behind @ and commas
        spaced = printable(line).replace("@", "@\u200b").replace(",", ",\u200b")
        spaced = spaced.replace("\u200b", "\u200b ")
        wide = "".join(
            letter + WIDE * (unicodedata.east_asian_width(letter) in "WF")
            for letter in spaced
        )
        lines += textwrap.wrap(wide, n_letters, break_on_hyphens=False)
    if len(lines) > n_lines:
        half = n_letters // 2 - 2
        cut = f"{lines[n_lines - 1][:half]} … {wide[-half:]}"
        lines = [*lines[: n_lines - 1], cut]
    return [
        line.replace("\u200b ", "").replace("\u200b", "").replace(WIDE, "")
        for line in lines
    ]


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write ``<name>.png`` (150 dpi); return its path.

    With ``EVALKIT_PDF=1``, or where there is one that would grow old, also
    ``<name>.pdf``, which takes longer than all else. Neither holds a date or a
    program's name: the same figure gives the same bytes.
    """
    for suffix, how in SAVED.items():
        file = Path(folder) / f"{name}.{suffix}"
        is_wanted = suffix == "png" or os.environ.get("EVALKIT_PDF") == "1"
        if is_wanted or file.exists():
            with atomic_path(file) as temporary:
                figure.savefig(temporary, format=suffix, dpi=DPI, **how)
    return Path(folder) / f"{name}.png"
