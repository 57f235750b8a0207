"""Structural similarity."""

from evalkit.errors import ImageError
from evalkit.features import rgb
from evalkit.images import Picture
from evalkit.metrics._spec import Metric, check_same_size

WINDOW_PX = 11
"""Side of the Gaussian window; a picture must be at least as high and wide."""


def ssim(output: Picture, reference: Picture) -> float:
    """Mean structural similarity, the mean of the three channels R, G and B.

    Returns
    -------
    float
        In [-1, 1]; 1 for equal pictures.

    Raises
    ------
    ImageError
        A side under 11 px.

    Notes
    -----
    The parameters of the paper: Gaussian window of 11x11 px with sigma 1.5, K1 0.01,
    K2 0.03, population covariance. Crop border: 5 px, where the window would leave
    the picture. Channels: R, G, B, sRGB-encoded, in [0, 1]. Computed in float64 at
    full size, without the downsampling that the authors' later script suggests for
    large pictures. Papers that use luma alone give other values.

    References
    ----------
    Wang, Bovik, Sheikh & Simoncelli, Image quality assessment: from error visibility
    to structural similarity, IEEE Transactions on Image Processing 13(4), 2004,
    doi:10.1109/TIP.2003.819861.

    Examples
    --------
    For two constant pictures only the luminance term is left,
    ``(2ab + C1) / (a**2 + b**2 + C1)`` with ``C1 = 0.01**2``:

    >>> import numpy as np
    >>> a, b = np.full((16, 16), 51, np.uint8), np.full((16, 16), 102, np.uint8)
    >>> round(ssim(a, b), 6), round((0.16 + 1e-4) / (0.2 + 1e-4), 6)
    (0.8001, 0.8001)

    """
    from skimage.metrics import structural_similarity

    check_same_size(output, reference, "reference")
    if min(output.shape[:2]) < WINDOW_PX:
        raise ImageError(
            f"expected at least {WINDOW_PX}x{WINDOW_PX} px for SSIM's window, got "
            f"{output.shape[1]}x{output.shape[0]}"
        )
    value = structural_similarity(
        rgb(output),
        rgb(reference),
        data_range=1.0,
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        K1=0.01,
        K2=0.03,
    )
    return float(value)


ENTRIES = (
    Metric(
        name="ssim",
        unit="",
        higher_is_better=True,
        citation="Wang et al. 2004, doi:10.1109/TIP.2003.819861",
        needs="reference",
        compute=ssim,
    ),
)
