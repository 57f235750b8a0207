"""A sheet of paper, and the pixels that fill it."""

import re
from dataclasses import dataclass

from evalkit.errors import SettingError
from evalkit.images import Picture, resize

SHEETS_MM = {
    "A3": (297, 420),
    "A4": (210, 297),
    "A5": (148, 210),
    "A6": (105, 148),
    "letter": (215.9, 279.4),
}
"""Sides, the shorter first: ISO 216, and ANSI/ASME Y14.1."""

INCH_MM = 25.4
MAX_SIDE_PX = 20_000
"""A2 at 1200 dpi: what nobody means by mistake."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Sides in px, the shorter first, and dots per inch."""

    short_px: int
    long_px: int
    dpi: float

    def fill(self, image: Picture) -> tuple[Picture, str]:
        """The picture at the largest size that fits, turned as it is; and a note."""
        height, width = image.shape[:2]
        size = self.size(width, height)
        note = (
            f"{width}x{height} px became {size[0]}x{size[1]} px by "
            f"{'Lanczos' if size[0] > width else 'averages'}, for the sheet at "
            f"{self.dpi:g} dpi"
        )
        return resize(image, *size), note

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height, in px, of the largest such picture that fits."""
        short, long = sorted((height, width))
        factor = min(self.short_px / short, self.long_px / long)
        return max(1, round(width * factor)), max(1, round(height * factor))


def parse_sheet(text: str) -> Sheet:
    """``A4@300``, or ``100x150@300`` in mm.

    Raises
    ------
    SettingError
        It is neither, or has over 20,000 px.

    """
    name, at, dots = text.partition("@")
    by_lower = {sheet.lower(): sides for sheet, sides in SHEETS_MM.items()}
    sides = by_lower.get(name.lower())
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", name):
        sides = (float(match[1]), float(match[2]))
    if not at or not sides or not re.fullmatch(r"\d+(\.\d+)?", dots):
        raise SettingError(
            f"for-print must be a sheet and its dots per inch, such as A4@300 or, in "
            f"mm, 100x150@300; found {text!r}; known: {', '.join(SHEETS_MM)}"
        )
    dpi = float(dots)
    short_px, long_px = sorted(round(side / INCH_MM * dpi) for side in sides)
    if not 1 <= short_px <= long_px <= MAX_SIDE_PX:
        raise SettingError(
            f"for-print must have 1 to {MAX_SIDE_PX} px a side; {text} has "
            f"{short_px}x{long_px}"
        )
    return Sheet(short_px, long_px, dpi)
