"""The tiler: windows cut from the source, seams faded, the output filled in place.

The whole picture never lies on the device: each window is cut and converted on the
CPU side. A window shows the network `Tiling.margin` pixels more than what is kept of
it, so that the kept part is what the untiled picture would give; neighbours overlap by
`SEAM` pixels, across which one fades into the other. Only the seams wait as floats for
their neighbours; all else goes into the output at once, so memory beyond the output
does not grow with the picture.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import OutOfMemoryError, OutputRejectedError
from evalkit.images import Picture
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._protocol import Context, stop_if
from evalkit.restorers.engines.canvas import Job, Planes, TileOutput, Tiling
from evalkit.restorers.engines.levels import Finish, Values, ends
from evalkit.restorers.engines.torch import Batch, Engine

SMALLEST_TILE = 16
"""Source pixels; a device without the memory for this one is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedNetwork:
    """A loaded network, and how pictures are cut for it.

    Attributes
    ----------
    engine
        Takes and gives R, G, B in [0, 1]; a grey picture is given three times.
    tiling
        How pictures are cut.
    in_fp32
        Makes the engine for a picture whose output is NaN, infinite or constant; None
        where `engine` calculates in fp32 itself.
    fit
        ``fit(engine, height, width)``: the cuts that suit the free memory, in place of
        `tiling`, and a note.

    """

    engine: Engine
    tiling: Tiling
    in_fp32: Callable[[], Engine] | None
    fit: Callable[[Engine, int, int], tuple[Tiling, str]] | None = None

    def cuts(
        self, height: int, width: int, engine: Engine | None = None
    ) -> tuple[Tiling, list[str]]:
        """How a picture is cut now, for its own engine or another, and notes."""
        if self.fit is None:
            return self.tiling, []
        tiling, note = self.fit(engine or self.engine, height, width)
        return tiling, [note]


def restore_tiled(
    sources: Sequence[Picture], step: LoadedNetwork, context: Context
) -> tuple[list[Picture], list[str]]:
    """Restore pictures of one size with a network that sees windows of them.

    Pictures that are not cut go to a GPU at once. When memory runs out their number is
    halved, then the tile; a rejected output is made anew in fp32. Each such step begins
    the pictures again and is noted.

    Parameters
    ----------
    sources
        Each ``(H, W)`` or ``(H, W, 3)``, uint8 or uint16, of one height and width.
    step
        The network, and how they are cut for it.
    context
        Its watch gets the stages upload, network, download and blend; windows are
        counted.

    Returns
    -------
    tuple
        The outputs, each with its source's dtype, and notes.

    Raises
    ------
    OutOfMemoryError
        Even with the smallest tile.
    OutputRejectedError
        Even in fp32.
    CancelledError
        `cancel` returned true.

    """
    height, width = sources[0].shape[:2]
    longest = max(height, width)
    engine, in_fp32 = step.engine, step.in_fp32
    tiling, notes = step.cuts(height, width)
    n_together = tiling.n_together(len(sources), height, width)
    load: Callable[[], Engine] | None = None
    while True:
        try:
            with oom_as_ours(f"a picture of {width}x{height} px"):
                return _attempt(sources, engine, tiling, n_together, context), notes
        except OutOfMemoryError as error:
            tile = math.ceil(min(tiling.tile or longest, longest) / 2)
            if n_together > 1:
                n_together //= 2
                tiling = replace(tiling, batch_px=0)
                notes.append(f"{n_together} pictures at a time: {error}")
            elif tile < SMALLEST_TILE:
                raise
            else:
                notes.append(f"tile {tile} px: {error}")
                tiling = replace(tiling, tile=tile, batch_px=0)
        except OutputRejectedError as error:
            if in_fp32 is None:
                raise
            notes.append(f"in fp32: {error} ({engine.name})")
            load, in_fp32 = in_fp32, None
        # only here: while the error lives, what the failed attempt held does
        engine.make_room()
        if load:
            engine, load = load(), None
            tiling, new_notes = step.cuts(height, width, engine)
            notes += new_notes
            n_fit = tiling.n_together(len(sources), height, width)
            n_together = min(n_together, n_fit)


def _attempt(
    sources: Sequence[Picture],
    engine: Engine,
    tiling: Tiling,
    n_together: int,
    context: Context,
) -> list[Picture]:
    canvases = [TileOutput(source, tiling) for source in sources]
    started: deque[tuple[list[Job], Batch, Finish]] = deque()
    total = sum(len(canvas.rows) * len(canvas.columns) for canvas in canvases)
    n_done = 0

    def collect() -> None:
        nonlocal n_done
        jobs, batch, finish = started.popleft()
        values = finish()
        with context.watch("blend"):
            tiles = zip(jobs, batch, values[::2], values[1::2], strict=True)
            for job, window, extremes, levels in tiles:
                check_output(window, extremes, window.size * tiling.scale**2)
                canvases[job.picture].write(job, levels)
        n_done += len(jobs)
        context.progress(n_done, total)

    for jobs in _batches(canvases, tiling.batch_px, n_together):
        stop_if(context.cancel)
        with context.watch("upload"):
            batch = np.stack(
                [_window(sources[j.picture], canvases[0], j) for j in jobs]
            )
        finish = engine.start_then(
            batch, context.watch, partial(_blended, canvases, jobs)
        )
        started.append((jobs, batch, finish))
        if len(started) > engine.n_ahead:
            collect()
    while started:
        collect()
    return [canvas.output for canvas in canvases]


def _blended(
    canvases: Sequence[TileOutput], jobs: Sequence[Job], outputs: Values
) -> list[Values]:
    """The ends of each window's output, then its levels."""
    values = []
    for job, output in zip(jobs, outputs, strict=True):
        canvas = canvases[job.picture]
        values += [
            ends(output),
            canvas.blend(job, _without_margin(canvas, job, output)),
        ]
    return values


def _batches(
    canvases: Sequence[TileOutput], batch_px: int, n_together: int
) -> Iterator[list[Job]]:
    rows, columns = canvases[0].rows, canvases[0].columns
    window_px = (rows[0].stop - rows[0].start) * (columns[0].stop - columns[0].start)
    jobs = (
        Job(picture, row, column)
        for picture in range(len(canvases))
        for row in range(len(rows))
        for column in range(len(columns))
    )
    while batch := list(islice(jobs, max(n_together, batch_px // window_px))):
        yield batch


def _window(source: Picture, canvas: TileOutput, job: Job) -> Planes:
    """Cut a window, as R, G, B; mirrored where `Tiling.step` or `least` asks."""
    rows, columns = canvas.rows[job.row], canvas.columns[job.column]
    part = source[rows.start : rows.stop, columns.start : columns.stop]
    window: NDArray[Any] = np.atleast_3d(part)
    below = rows.stop - rows.start - window.shape[0]
    beside = columns.stop - columns.start - window.shape[1]
    if below or beside:
        window = np.pad(window, ((0, below), (0, beside), (0, 0)), "reflect")
    planes = np.empty((3, *window.shape[:2]), np.float32)
    planes[...] = window.transpose(2, 0, 1)
    planes /= np.float32(np.iinfo(source.dtype).max)
    return planes


def _without_margin(canvas: TileOutput, job: Job, output: Values) -> Values:
    (top, bottom), (left, right) = (
        (
            (span.low - span.start) * canvas.scale,
            (span.high - span.start) * canvas.scale,
        )
        for span in (canvas.rows[job.row], canvas.columns[job.column])
    )
    return output[:, top:bottom, left:right]


def check_output(window: Planes, extremes: NDArray[np.float32], n_values: int) -> None:
    """Refuse what a failed network makes: NaN, infinity, or one value everywhere.

    Parameters
    ----------
    window
        What the network was shown.
    extremes
        The `ends` of its output.
    n_values
        How many values the output has.

    Raises
    ------
    OutputRejectedError
        With the reason. A constant is refused from 64 values on, and only where the
        source is not constant itself.

    """
    low, high = map(float, extremes)
    if not np.isfinite(low) or not np.isfinite(high):
        raise OutputRejectedError("the network's output holds NaN or infinity")
    if low == high and n_values >= 64 and window.min() < window.max():
        raise OutputRejectedError(f"the network's output is {low:g} everywhere")
