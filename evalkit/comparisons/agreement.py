"""Which conditions of one restorer make the same picture."""

from functools import partial
from itertools import combinations
from pathlib import Path

import pandas as pd

from evalkit.errors import attempt
from evalkit.experiments.backends import GATE_DB
from evalkit.images import read_image
from evalkit.metrics.psnr import psnr
from evalkit.study.run_folder import Run
from evalkit.tables import AGREEMENT


def compare_outputs(run: Run) -> pd.DataFrame:
    """Hold the outputs of a restorer's conditions against each other.

    Each pair of conditions of one restorer, on each picture of which both made an
    output of one size: the PSNR of one from the other, and whether they count as the
    same picture, which they do from `evalkit.experiments.backends.GATE_DB` on.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.AGREEMENT`, also written to the run's tables.

    """
    records = run.quality()
    records = records[(records["outcome"] == "ok") & records["output"].notna()]
    size = ["output_width_px", "output_height_px"]
    rows = []
    for _, made in records.groupby(["restorer", "source", *size], sort=False):
        for one, other in combinations(made.to_dict("records"), 2):
            row = {"condition": one["condition"], "other": other["condition"]}
            row |= {"source": one["source"]}
            if one["output_sha256"] == other["output_sha256"]:
                rows.append(row | {"is_same": True})
                continue
            paths = [run.path / record["output"] for record in (one, other)]
            what = f"{one['condition']} and {other['condition']} of {one['source']}"
            decibels, note = attempt(partial(_psnr_of, *paths), what)
            if decibels is not None:
                row["is_same"] = decibels >= GATE_DB
            rows.append(row | {"psnr_db": decibels, "note": note})
    return run.keep(AGREEMENT, rows)


def _psnr_of(output: Path, other: Path) -> float:
    return psnr(read_image(output), read_image(other))
