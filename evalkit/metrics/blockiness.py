"""JPEG's blocks in the output alone."""

from evalkit.features import blockiness
from evalkit.metrics._spec import Metric

ENTRIES = (
    Metric(
        name="blockiness",
        unit="dB",
        higher_is_better=False,
        citation="after Wang, Bovik & Evans 2000, doi:10.1109/ICIP.2000.899622",
        needs="nothing",
        compute=blockiness,
    ),
)
