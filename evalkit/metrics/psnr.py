"""Peak signal-to-noise ratio."""

import math

import numpy as np

from evalkit.features import rgb, strips
from evalkit.images import Picture
from evalkit.metrics._spec import Metric, check_same_size


def psnr(output: Picture, reference: Picture) -> float:
    r"""Peak signal-to-noise ratio over R, G and B together, in dB.

    .. math:: 10 \log_{10} (1 / \mathrm{MSE})

    Returns
    -------
    float
        In [0, inf]; ``inf`` for equal pictures.

    Notes
    -----
    Crop border: none. Channels: R, G, B, sRGB-encoded. The peak is 1. Computed in
    float64. Many papers on super-resolution crop the border and use luma alone: a
    value from here is not comparable with theirs. It says how near an output is to
    its reference, not whether people like it.

    References
    ----------
    Huynh-Thu & Ghanbari, Scope of validity of PSNR in image/video quality
    assessment, Electronics Letters 44(13), 2008, doi:10.1049/el:20080522.

    Examples
    --------
    >>> black = np.zeros((2, 2, 3), np.uint8)
    >>> round(psnr(black + np.uint8(51), black), 4)  # 51 of 255 is 0.2
    13.9794

    """
    check_same_size(output, reference, "reference")
    total = 0.0
    for rows in strips(output.shape):
        total += float(np.square(rgb(output[rows]) - rgb(reference[rows])).sum())
    mse = total / (output.shape[0] * output.shape[1] * 3)
    return math.inf if mse == 0 else -10 * math.log10(mse)


ENTRIES = (
    Metric(
        name="psnr",
        unit="dB",
        higher_is_better=True,
        citation="Huynh-Thu & Ghanbari 2008, doi:10.1049/el:20080522",
        needs="reference",
        compute=psnr,
    ),
)
