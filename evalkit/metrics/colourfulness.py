"""How colourful the output is: over-saturated, or without colour."""

import math

from evalkit.features import rgb
from evalkit.images import Picture
from evalkit.metrics._spec import Metric


def colourfulness(output: Picture) -> float:
    """Spread and mean of the opponent colours, in levels of 255.

    Returns
    -------
    float
        0 for a grey picture; by its authors' subjects 15 is slightly, 59 quite and 109
        extremely colourful. Noise in each channel adds to it.

    References
    ----------
    Hasler & Süsstrunk, Measuring colourfulness in natural images, SPIE 5007, 2003,
    doi:10.1117/12.477378.

    Examples
    --------
    Half red and half green, so that red less green is 255 or -255:

    >>> import numpy as np
    >>> flag = np.zeros((2, 2, 3), np.uint8)
    >>> flag[0, :, 0] = flag[1, :, 1] = 255
    >>> colourfulness(flag)  # 255 + 0.3 * 127.5
    293.25

    """
    red, green, blue = (255 * rgb(output)[..., channel] for channel in range(3))
    across, along = red - green, (red + green) / 2 - blue
    spread = math.hypot(across.std(), along.std())
    return spread + 0.3 * math.hypot(across.mean(), along.mean())


ENTRIES = (
    Metric(
        name="colourfulness",
        unit="of 255",
        higher_is_better=None,
        citation="Hasler & Süsstrunk 2003, doi:10.1117/12.477378",
        needs="nothing",
        compute=colourfulness,
    ),
)
