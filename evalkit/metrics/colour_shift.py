"""How far the mean colour moved from the source, in CIE Lab."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from evalkit.features import rgb, strips
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, region

CITATION = "CIE 15:2018 (L*a*b*, colour difference of 1976); IEC 61966-2-1 (sRGB)"


class LabShift(NamedTuple):
    """Mean colour of the output minus that of the source, CIE Lab, illuminant D65.

    Attributes
    ----------
    lightness
        The shift of L*: above 0 is brighter.
    a
        The shift of a*: above 0 is redder, below greener.
    b
        The shift of b*: above 0 is yellower (warmer), below bluer (colder).

    """

    lightness: float
    a: float
    b: float

    @property
    def distance(self) -> float:
        """The colour difference of 1976 between the two means; about 1 is just seen."""
        return math.hypot(*self)


def lab_shift(output: Picture, source: Picture, mask: Mask | None = None) -> LabShift:
    """Mean CIE Lab of the output minus mean CIE Lab of the source.

    Zeros for equal pictures. See `Metric` for the arguments.

    Notes
    -----
    The shift of the means, not the mean of the pixels' shifts: restored detail moves
    pixels both ways and is no change of colour.

    """
    from skimage.color import rgb2lab

    area = region(output, source, mask)
    total = np.zeros(3)
    for rows in strips(source.shape):
        inside = area[rows]
        total += rgb2lab(rgb(output[rows])[inside]).sum(axis=0)
        total -= rgb2lab(rgb(source[rows])[inside]).sum(axis=0)
    return LabShift(*(float(value) for value in total / area.sum()))


def colour_shift(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Colour difference (CIE 1976) between the mean colours of output and source.

    Returns
    -------
    float
        At least 0, and 0 for equal pictures. A difference of about 1 is just seen
        on large even areas side by side.

    References
    ----------
    CIE 15:2018, Colorimetry, 4th edition, section 8.2.

    Examples
    --------
    >>> white = np.full((2, 2, 3), 255, np.uint8)
    >>> round(colour_shift(white, np.zeros_like(white)), 2)
    100.0

    """
    return lab_shift(output, source, mask).distance


def _part(name: str, above: str) -> Callable[..., float]:
    def compute(output: Picture, source: Picture, mask: Mask | None = None) -> float:
        return float(getattr(lab_shift(output, source, mask), name))

    compute.__doc__ = f"Shift of the mean colour in Lab's {name}: above 0 is {above}."
    return compute


ENTRIES = (
    Metric(
        name="colour_shift",
        unit="CIE Lab",
        higher_is_better=False,
        citation=CITATION,
        needs="source",
        takes_mask=True,
        compute=colour_shift,
    ),
    *(
        Metric(
            name=f"colour_shift_{part}",
            unit="CIE Lab",
            higher_is_better=None,
            citation=CITATION,
            needs="source",
            takes_mask=True,
            compute=_part(part, above),
        )
        for part, above in (("lightness", "brighter"), ("a", "redder"), ("b", "warmer"))
    ),
)
