"""Noise left in the output alone."""

from evalkit.features import noise_level
from evalkit.metrics._spec import Metric

ENTRIES = (
    Metric(
        name="noise_level",
        unit="of 255",
        higher_is_better=False,
        citation="Donoho & Johnstone 1994, doi:10.1093/biomet/81.3.425",
        needs="nothing",
        compute=noise_level,
    ),
)
