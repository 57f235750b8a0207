"""Runs that ``evalkit fit`` makes of its own, where there are too few to say."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from evalkit.daily.evidence import RUN
from evalkit.downloads.files import digest
from evalkit.images import resize, write_image
from evalkit.paths import runs_dir
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import Run
from evalkit.study.runner import compute
from evalkit.tables import IMAGES


def sizes_to_measure(sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The smallest, the middle and the largest of widths and heights, px.

    Of one size alone, it and a half and a quarter of its sides, so that what lies
    between is known, too.
    """
    ordered = sorted(set(sizes), key=math.prod)
    if len(ordered) == 1:
        width, height = ordered[0]
        return [(max(1, width // n), max(1, height // n)) for n in (4, 2, 1)]
    return list(dict.fromkeys((ordered[0], ordered[len(ordered) // 2], ordered[-1])))


def measure(
    condition: str,
    sizes: Sequence[tuple[int, int]],
    *,
    folder: Path | None = None,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Run a condition once on a photograph of each size, in a fresh process.

    Parameters
    ----------
    condition
        A condition's name.
    sizes
        Widths and heights, px. The picture is one face (NASA, public domain), brought
        to that size.
    folder
        The run folder that gets records of ``cost``; what is there is not measured
        again. None for `evalkit.daily.evidence.RUN`.
    say
        Gets a line a run.

    Returns
    -------
    DataFrame
        The records (`evalkit.tables.RECORDS`).

    """
    from skimage import data

    run, rows = Run(folder or runs_dir() / RUN), []
    for width, height in sizes:
        path = run.path / "sources" / f"face-{width}x{height}.png"
        if not path.is_file():
            write_image(path, resize(data.astronaut()[:256, 96:352], width, height))
        row = {"source": path.stem, "path": str(path), "sha256": digest(path)}
        rows.append(row | {"width_px": width, "height_px": height})
    return compute(Measurement(run, condition, "cost"), IMAGES.frame(rows), say)
