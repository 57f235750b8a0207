"""Sharpness of the output alone."""

from evalkit.features import sharpness
from evalkit.metrics._spec import Metric

ENTRIES = (
    Metric(
        name="sharpness",
        unit="",
        higher_is_better=True,
        citation="Crété et al. 2007, doi:10.1117/12.702790",
        needs="nothing",
        compute=sharpness,
    ),
)
