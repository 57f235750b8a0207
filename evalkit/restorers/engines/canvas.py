"""How a picture is cut into windows, and the output that their kept parts fill."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.images import Picture
from evalkit.restorers.engines.levels import Values, library_of, to_levels

Planes: TypeAlias = NDArray[np.float32]
"""Shape ``(channels, height, width)``, in [0, 1]."""

SEAM = 16
"""Source pixels by which two neighbours overlap."""

LUMA = (0.299, 0.587, 0.114)
"""Rec. 601 weights of R, G, B: what OpenCV, and so RealESRGANer, makes grey with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiling:
    """How pictures are cut for a network.

    Attributes
    ----------
    scale
        Output side divided by source side.
    tile
        Side of what is kept of a window, source pixels; 0 to cut nothing. A picture
        that fits into a tile and its margins is not cut either.
    margin
        Source pixels of context around what is kept.
    step
        A window begins and ends at a multiple of it.
    least
        A window has at least this side; a smaller picture is mirrored.
    batch_px
        Source pixels up to which windows go to the network together.
    room_px
        Source pixels for which memory has room at once; None where that is not known.

    """

    scale: int
    tile: int
    margin: int
    step: int = 1
    least: int = 1
    batch_px: int = 0
    room_px: int | None = None

    def rows_and_columns(
        self, height: int, width: int
    ) -> tuple[list["Span"], list["Span"]]:
        """The cuts of a picture."""
        return self._cut(height), self._cut(width)

    def cuts(self, height: int, width: int) -> bool:
        """Whether a picture is cut at all."""
        return any(len(spans) > 1 for spans in self.rows_and_columns(height, width))

    def n_together(self, n_pictures: int, height: int, width: int) -> int:
        """How many pictures of one size go to the network at once, at most.

        More than one only if the device gains by batches and the pictures are not cut.
        """
        if not self.batch_px or self.cuts(height, width):
            return 1
        if self.room_px is None:
            return n_pictures
        (row,), (column,) = self.rows_and_columns(height, width)
        return max(1, min(n_pictures, self.room_px // (row.stop * column.stop)))

    def _cut(self, size: int) -> list["Span"]:
        size = math.ceil(max(size, self.least) / self.step) * self.step
        if not self.tile or size <= self.tile + 2 * self.margin:
            return [Span(0, size, 0, size)]
        count = min(math.ceil(size / self.tile), size // self.step)
        borders = [
            i * (size // self.step) // count * self.step for i in range(count + 1)
        ]
        half = min(SEAM, min(b - a for a, b in pairwise(borders))) // 2
        bounds = [
            (max(low - half, 0), min(high + half, size))
            for low, high in pairwise(borders)
        ]
        widest = max(high - low for low, high in bounds) + 2 * self.margin
        widest = max(widest, self.least)
        length = min(math.ceil((widest + self.step - 1) / self.step) * self.step, size)
        spans = []
        for low, high in bounds:
            start = min(max(low - self.margin, 0), size - length)
            start -= start % self.step
            spans.append(Span(start, start + length, low, high))
        return spans


@dataclass(frozen=True, slots=True)
class Span:
    """One window along one axis, and what is kept of it; source pixels."""

    start: int
    stop: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Job:
    """One window of one picture: ``rows[row]`` times ``columns[column]``."""

    picture: int
    row: int
    column: int


class TileOutput:
    """An output that is filled in reading order, one tile after the other.

    The source decides its size, its depth and whether it is grey. Tiles are blended
    where they lie: on the device of a network of PyTorch's, else in NumPy.
    """

    def __init__(self, source: Picture, tiling: Tiling) -> None:
        height, width = source.shape[:2]
        self.scale = tiling.scale
        self.rows, self.columns = tiling.rows_and_columns(height, width)
        shape = (height * self.scale, width * self.scale, *source.shape[2:])
        self.output = np.empty(shape, source.dtype)
        self._above: Values = None
        self._below: Values = None
        self._left: Values = None

    def blend(self, job: Job, tile: Values) -> Values:
        """Fade the next window into its neighbours; return its finished part as levels.

        Parameters
        ----------
        job
            Which window.
        tile
            What is kept of it, ``(3, H, W)``: red, green and blue, not clipped.

        Returns
        -------
        Values
            ``(H, W)`` or ``(H, W, 3)``, for `write`: without the seams that wait
            for later neighbours, with those that waited for this window.

        """
        library = library_of(tile)
        tile = library.clip(tile, 0, 1)
        if self.output.ndim == 2:
            tile = sum(w * plane for w, plane in zip(LUMA, tile, strict=True))[None]
        if self._above is None:
            widest = (len(tile), SEAM * self.scale, self.columns[-1].high * self.scale)
            self._above, self._below = (
                library.zeros(widest, dtype=tile.dtype, device=tile.device)
                for _ in range(2)
            )
        before, after = self._overlaps(self.columns, job.column)
        above, below = self._overlaps(self.rows, job.row)
        _fade(tile.swapaxes(1, 2), above, below)
        _fade(tile, before, after)
        if before:
            tile[:, :, :before] += self._left
        n_columns = tile.shape[2] - after
        self._left = library.asarray(tile[:, :, n_columns:], copy=True)
        tile = tile[:, :, :n_columns]
        y, x = self._corner(job)
        across = slice(x, x + n_columns)
        tile[:, :above] += self._above[:, :above, across]
        n_rows = tile.shape[1] - below
        self._below[:, :below, across] = tile[:, n_rows:]
        if job.column == len(self.columns) - 1:
            self._above, self._below = self._below, self._above
        height, width = self.output.shape[:2]  # less what `step` added
        tile = tile[:, : min(n_rows, height - y), : width - x]
        tile = tile[0] if self.output.ndim == 2 else library.moveaxis(tile, 0, -1)
        return to_levels(tile, self.output.dtype)

    def write(self, job: Job, levels: NDArray[Any]) -> None:
        """Put the levels that `blend` gave in their place."""
        y, x = self._corner(job)
        self.output[y : y + levels.shape[0], x : x + levels.shape[1]] = levels

    def _corner(self, job: Job) -> tuple[int, int]:
        """Output row and column at which a window's tile begins."""
        low = self.rows[job.row].low, self.columns[job.column].low
        return low[0] * self.scale, low[1] * self.scale

    def _overlaps(self, spans: list[Span], index: int) -> tuple[int, int]:
        """Output pixels shared with the neighbour before and the one after."""
        span = spans[index]
        before = spans[index - 1].high - span.low if index else 0
        after = span.high - spans[index + 1].low if index + 1 < len(spans) else 0
        return before * self.scale, after * self.scale


def _fade(tile: Values, before: int, after: int) -> None:
    """Fade in over the first columns and out over the last; neighbours add to one."""
    if before:
        tile[:, :, :before] *= _ramp(tile, before)
    if after:
        tile[:, :, -after:] *= 1 - _ramp(tile, after)


def _ramp(tile: Values, length: int) -> Values:
    """Made on the device: a copy of it there would wait for the network."""
    steps = library_of(tile).arange(length, dtype=tile.dtype, device=tile.device)
    return (steps + 0.5) / length
