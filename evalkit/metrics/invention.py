"""Invention: the output, made small again, is not the source made small."""

import cv2
import numpy as np
from numpy.typing import NDArray

from evalkit.features import rgb
from evalkit.images import Picture
from evalkit.metrics._spec import Mask, Metric, mean_within
from evalkit.metrics._tone import fitted

SMALLER = 8
SEEN = 2.3
"""CIE Lab: the difference of two colours that is just noticed, by Mahy, Van Eycken &
Oosterlinck, Color Research & Application 19(2), 1994."""


def where(output: Picture, source: Picture) -> NDArray[np.float32]:
    """Colour difference (CIE 1976) of coarse places, as far as it is noticed."""
    from skimage.color import rgb2lab

    height, width = source.shape[:2]
    size = max(1, width // SMALLER), max(1, height // SMALLER)
    out, src = (
        cv2.resize(rgb(picture), size, interpolation=cv2.INTER_AREA)
        for picture in (output, source)
    )
    channels = np.moveaxis(src, 2, 0)
    expected = np.dstack([fitted(out[..., c], *channels) for c in range(3)])
    distance = np.linalg.norm(rgb2lab(out) - rgb2lab(expected.clip(0, 1)), axis=2)
    noticed = np.maximum(distance - SEEN, 0).astype(np.float32)
    whole: NDArray[np.float32] = cv2.resize(
        noticed, (width, height), interpolation=cv2.INTER_NEAREST
    )
    return whole


def invention(output: Picture, source: Picture, mask: Mask | None = None) -> float:
    """Mean colour difference noticed between both at an eighth of their size.

    Restoring adds detail, which vanishes when the output is made small; what is left
    was moved, painted over or invented.

    Returns
    -------
    float
        CIE Lab, from 0: what each place differs by, beyond the 2.3 that are just
        noticed. One linear change of the colours of the whole picture is left out:
        that is `colour_shift`, or `colourfulness`.

    References
    ----------
    Our own; the constraint is that of Menon et al., PULSE, CVPR 2020,
    arXiv:2003.03808.

    """
    return mean_within(where, output, source, mask)


ENTRIES = (
    Metric(
        name="invention",
        unit="CIE Lab",
        higher_is_better=False,
        citation="ours; after Menon et al. 2020, arXiv:2003.03808",
        needs="source",
        takes_mask=True,
        compute=invention,
        where=where,
    ),
)
