"""The claims that a metric bears on: what each says, as ranges of quantities."""

from dataclasses import dataclass
from math import inf

from evalkit.article._figures import GPEN, X4PLUS

SEEN = 1.0
"""CIE Lab: about the least difference of colour that is seen (see `colour_shift`)."""

LEVEL = 100 / 255
"""Per cent: one level of 255, for halos on average."""

SHINY = 0.5
"""Per cent of the skin."""

CHANGED = 0.5
"""dB: a change of blockiness that counts."""

BLOCKY = ("blockiness", 1.0)
COLOURED = ("colourfulness", 10.0)
SHARP = ("sharpness", 0.3)
"""Metrics of the source, and the least that it must have. A face enlarged tenfold stays
under 0.2: there all contrast that is regained leaves the source's range, as halos do,
and at that size nothing is left for Real-ESRGAN to do."""

IN_COLOUR = (SHARP, COLOURED)

SHARPER, PLASTIC = 1.0, -3.0
"""dB of the energy of fine texture; at the second half of it is gone."""

JAGGED = -0.05
"""The coherence that white noise of 15 levels takes from a portrait."""


@dataclass(frozen=True, slots=True)
class Part:
    """One statement of a claim, as a range of a quantity.

    Attributes
    ----------
    words
        The statement.
    metric, region
        Columns of the table ``pathologies``.
    low, high
        The range in which the median lies if the statement is true.
    either_way
        The range is that of the absolute value.
    against
        A restorer whose value on the same source is taken off first.
    only
        Metrics of the source, and the least that each must be for it to count.
    sometimes
        One source is enough; a few sources without the effect refute nothing.

    """

    words: str
    metric: str
    region: str
    low: float = -inf
    high: float = inf
    either_way: bool = False
    against: str | None = None
    only: tuple[tuple[str, float], ...] = ()
    sometimes: bool = False


NOT_SHINY = Part("no new highlights", "highlights", "skin", high=SHINY)
IS_SHINY = Part("new highlights", "highlights", "skin", low=SHINY, only=(SHARP,))
BLOCKS = ("blockiness_change", "whole")

CLAIMS: dict[str, tuple[str, tuple[Part, ...]]] = {
    "Q7": (GPEN, (Part("blocks softened", *BLOCKS, high=-CHANGED, only=(BLOCKY,)),)),
    "Q8": (
        X4PLUS,
        (
            Part(
                "blocks sometimes amplified",
                *BLOCKS,
                low=CHANGED,
                only=(BLOCKY,),
                sometimes=True,
            ),
        ),
    ),
    "Q9": (
        X4PLUS,
        (
            Part("skin colder", "colour_shift_b", "skin", high=-SEEN, only=IN_COLOUR),
            Part("lips redder", "colour_shift_a", "lips", low=SEEN, only=IN_COLOUR),
            IS_SHINY,
        ),
    ),
    "Q10": (
        GPEN,
        (
            Part("warm tone kept", "colour_shift_b", "skin", -SEEN, only=(COLOURED,)),
            Part("no green cast", "colour_shift_a", "skin", -SEEN, only=(COLOURED,)),
        ),
    ),
    "Q13": (
        X4PLUS,
        (
            Part(
                "texture of wax, or over-sharpened",
                "texture_energy",
                "skin",
                low=-PLASTIC,
                either_way=True,
                only=(SHARP,),
            ),
            IS_SHINY,
        ),
    ),
    "Q16": (GPEN, (NOT_SHINY,)),
    "Q17": (
        GPEN,
        (
            Part("brighter", "colour_shift_lightness", "faces", low=SEEN),
            NOT_SHINY,
            Part("more detail", "texture_energy", "faces", low=SHARPER),
        ),
    ),
    "Q18": (GPEN, (Part("no outlines", "halo", "hair", high=LEVEL, only=(SHARP,)),)),
    "Q19": (
        X4PLUS,
        (
            Part(
                "harder edges than GPEN's",
                "halo",
                "hair",
                low=LEVEL,
                against=GPEN,
                only=(SHARP,),
            ),
            Part("jagged", "coherence_change", "hair", high=JAGGED, only=(SHARP,)),
        ),
    ),
}
