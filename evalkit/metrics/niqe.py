"""Naturalness of the output alone."""

import math
import warnings

import numpy as np

from evalkit.features import rgb
from evalkit.images import Picture
from evalkit.imports.basicsr import import_basicsr, missing
from evalkit.imports.torchvision import import_torchvision
from evalkit.metrics._spec import Metric

BLOCK_PX = 96
LEAST_BLOCKS = 36
"""As many as NIQE has features, whose covariance it takes over the blocks. Crops of one
photograph differ by 0.7 to 3 (standard deviation) with 4 blocks, by 0.2 to 0.5 with 36.
"""


def niqe(output: Picture) -> float:
    """Distance of a picture's statistics from those of pristine photographs.

    Returns
    -------
    float
        From 0, lower is more natural; NaN with under 36 blocks of 96x96 px, such as
        576x576 px have, and where basicsr is not installed.

    Notes
    -----
    basicsr's implementation and parameters: luma of BT.601 in [16, 235], no border
    cropped, 8 bits, no saving as JPEG in between (which raises the value).

    References
    ----------
    Mittal, Soundararajan & Bovik, Making a "completely blind" image quality analyzer,
    IEEE Signal Processing Letters 20(3), 2013, doi:10.1109/LSP.2012.2227726.

    """
    picture = np.rint(255 * rgb(output))
    n_blocks = math.prod(side // BLOCK_PX for side in picture.shape[:2])
    if n_blocks < LEAST_BLOCKS or missing("basicsr", "niqe"):
        return float("nan")
    import_torchvision()
    import_basicsr()
    from basicsr.metrics.niqe import calculate_niqe

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(calculate_niqe(picture[..., ::-1], crop_border=0))


ENTRIES = (
    Metric(
        name="niqe",
        unit="",
        higher_is_better=False,
        citation="Mittal, Soundararajan & Bovik 2013, doi:10.1109/LSP.2012.2227726",
        needs="nothing",
        nan_means=f"under {LEAST_BLOCKS} blocks of {BLOCK_PX}x{BLOCK_PX} px",
        compute=niqe,
    ),
)
