"""How a picture goes through Real-ESRGAN's networks: batches and their shapes."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from evalkit.restorers._protocol import Settings
from evalkit.restorers._work import Batches
from evalkit.restorers.engines.canvas import Tiling
from evalkit.restorers.realesrgan.network import Network, build_module

TILE_PAD = 10
"""Context of a tile, px, of `RealESRGANer`'s script and of ncnn's program."""


def batches_of(
    networks: Sequence[Network], settings: Settings, height: int, width: int
) -> list[Batches]:
    """What a source gives networks that run behind one another.

    The upstream runner uses the first alone.
    """
    tile = settings["tile"]
    if settings["runner"] == "upstream":
        step = networks[0].step
        height, width = (math.ceil(side / step) * step for side in (height, width))
        return in_tiles(networks[0], tile, height, width)
    batches = []
    for network in networks:
        tiling = network.tiling(settings["device"], tile)
        batches.append(in_windows(network, tiling, height, width))
        height, width = height * network.scale, width * network.scale
    return batches


def in_windows(network: Network, tiling: Tiling, height: int, width: int) -> Batches:
    """The windows of our tiler, which have all one shape."""
    rows, columns = tiling.rows_and_columns(height, width)
    sides = (rows[0].stop - rows[0].start, columns[0].stop - columns[0].start)
    n_windows = len(rows) * len(columns)
    n_together = min(n_windows, max(1, tiling.batch_px // math.prod(sides)))
    return _batches(network, (n_together, 3, *sides), n_windows / n_together)


def in_tiles(
    network: Network, tile: int, height: int, width: int, *, mirrors: bool = False
) -> list[Batches]:
    """Tiles as upstream's programs cut them; 0 to cut nothing.

    With `mirrors`, context goes on beyond the border, where the picture is mirrored.
    """
    rows, columns = (
        Counter(_padded(side, tile or side, mirrors)) for side in (height, width)
    )
    return [
        _batches(network, (1, 3, row, column), rows[row] * columns[column])
        for row in rows
        for column in columns
    ]


def _padded(side: int, tile: int, mirrors: bool) -> list[int]:
    """The lengths of the tiles along one side, with their context."""
    spans = [(low, min(low + tile, side)) for low in range(0, side, tile)]
    if mirrors:
        return [high - low + 2 * TILE_PAD for low, high in spans]
    return [min(high + TILE_PAD, side) - max(low - TILE_PAD, 0) for low, high in spans]


def _batches(
    network: Network, shape: tuple[int, int, int, int], count: float
) -> Batches:
    # one form has one cost: x4plus and realesrnet-x4plus are counted once
    return Batches(build_module, replace(network, name="", margin_px=0), shape, count)
