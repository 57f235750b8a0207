"""How the cost grows with more pictures in a call, and with larger ones."""

from evalkit.experiments._frame import FRAMED
from evalkit.experiments._sources import resized
from evalkit.experiments._sweep import Sweep

ENTRIES = (
    Sweep(
        name="batch",
        axis="batch, pictures",
        values=(1, 2, 4, 5, 8, 16),
        values_on_cpu=(1, 2, 4),
        is_of_pictures=True,
        arguments=lambda n_copies: {"batch": n_copies},
    ),
    Sweep(
        name="size",
        axis="size, longest side in px",
        values=(256, 512, 768, 1024, 1200, 1280, 1536, 2048, 4096),
        values_on_cpu=(64, 96, 128, 192),
        prepare=resized,
    ),
    FRAMED,
)
