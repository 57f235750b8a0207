"""Outputs beside each other: metrics against references, side-by-side figures."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from evalkit.errors import attempt, of_each
from evalkit.figures import MAX_CONDITIONS, Crop, save, side_by_side
from evalkit.images import Picture, read_image
from evalkit.images.scaling import at_size_of
from evalkit.metrics import Metric, metrics
from evalkit.paths import file_name
from evalkit.study.crops import choose_crop
from evalkit.study.kept import replace_figures
from evalkit.study.run_folder import CELL, Run, write_text
from evalkit.tables import COST, IMAGES, METRICS


def compare_metrics(run: Run) -> pd.DataFrame:
    """Every metric that needs a reference, on every output that has one.

    An output is first brought to the reference's size: by area when it is larger,
    by Lanczos when it is smaller; the column ``resampling`` says which.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.METRICS`, also written to the run's tables.

    """
    images = run.read(IMAGES).set_index("source")
    rows = []
    for record in run.quality().to_dict("records"):
        reference_path = images.loc[record["source"], "reference"]
        if record["outcome"] != "ok" or pd.isna(reference_path):
            continue
        what = f"{record['condition']} of {record['source']}"
        pair, why = attempt(
            partial(_pair, run.path / record["output"], Path(reference_path)), what
        )
        shows = {"", images.loc[record["source"], "kind"]}
        for metric in metrics().values():
            if metric.needs == "reference":
                row = value_of(metric, pair and pair[:2], shows, what, why)
                cell = {name: record[name] for name in ("condition", "source")}
                rows.append(cell | row | {"resampling": pair and pair[2]})
    return run.keep(METRICS, rows)


def _pair(output: Path, reference: Path) -> tuple[Picture, Picture, str]:
    """An output at the reference's size, the reference, how it was resampled."""
    picture = read_image(reference)
    resampled, how = at_size_of(read_image(output), picture)
    return resampled, picture, how


def value_of(
    metric: Metric,
    inputs: Sequence[Any] | None,
    shows: set[str],
    what: str,
    why: str | None = None,
    **region: Any,
) -> dict[str, Any]:
    """A metric's value as columns of a table; null, with a note, where it has none.

    Parameters
    ----------
    metric
        The metric to compute.
    inputs
        What its `compute` takes; None where that could not be had.
    shows
        What the picture shows, see `evalkit.metrics.Metric`.
    what
        The picture in words, see `evalkit.errors.attempt`.
    why
        Why there are no inputs.
    **region
        The metric's ``mask``.

    Returns
    -------
    dict
        ``metric``, ``value``, ``unit``, ``higher_is_better`` and ``note``.

    """
    value, note = None, why
    if inputs is not None and metric.shows not in shows:
        note = f"the picture shows no {metric.shows}"
    elif inputs is not None:
        compute: Callable[[], float] = partial(metric.compute, *inputs, **region)
        value, note = attempt(compute, f"{metric.name} of {what}")
    if value is not None and math.isnan(value):
        value, note = None, metric.nan_means or "nothing to measure"
    elif value is not None and math.isinf(value):
        note = "infinite: the two are equal"
    return {
        "metric": metric.name,
        "value": value,
        "unit": metric.unit,
        "higher_is_better": metric.higher_is_better,
        "note": note,
    }


def choose_crops(run: Run) -> dict[str, Crop]:
    """The crop of each source that every figure and the report show.

    See `evalkit.study.crops.choose_crop`. Written to ``crops.json``.
    """
    paths = run.usable.set_index("source")["path"]
    tasks = {source: partial(choose_crop, Path(path)) for source, path in paths.items()}
    crops = of_each(tasks, "crop")
    write_text(run.path / "crops.json", json.dumps(crops))
    return crops


def compare_side_by_side(run: Run, conditions: Sequence[str]) -> list[Path]:
    """Each source's conditions at one size, and the same crop of each.

    Parameters
    ----------
    run
        Gets ``figures/60_<source>.png`` and ``.pdf``.
    conditions
        In the order shown, `MAX_CONDITIONS` at most in one figure. One without any
        output, such as a restorer with random weights, is left out; a run that failed
        is an empty frame with its reason.

    Returns
    -------
    list of Path
        The PNG files.

    """
    quality = run.quality(conditions)
    cost = run.read(COST).set_index(CELL)
    crops = choose_crops(run)

    def draw(row: Mapping[str, Any]) -> list[Path]:
        source = read_image(Path(row["path"]))
        has_reference = pd.notna(row["reference"])
        reference = read_image(Path(row["reference"])) if has_reference else None
        outputs = quality[quality["source"] == row["source"]].set_index("condition")
        names = [condition for condition in conditions if condition in outputs.index]
        files = []
        for first in range(0, max(1, len(names)), MAX_CONDITIONS):
            part = names[first : first + MAX_CONDITIONS]
            records = {name: outputs.loc[name].to_dict() for name in part}
            figure = side_by_side(
                source,
                {
                    name: _picture_or_reason(run, record)
                    for name, record in records.items()
                },
                crops[row["source"]],
                {
                    name: _caption(name, record, cost)
                    for name, record in records.items()
                },
                reference=reference,
            )
            number = f"-{first // MAX_CONDITIONS + 1}" if first else ""
            name = f"60_{file_name(row['source'])}{number}"
            files.append(save(figure, run.figures, name))
        return files

    tasks = {
        row["source"]: partial(draw, row)
        for row in run.usable.to_dict("records")
        if row["source"] in crops
    }
    figures = [file for files in of_each(tasks, "figure").values() for file in files]
    replace_figures(run, "side by side", figures)
    return figures


def _picture_or_reason(run: Run, record: Mapping[str, Any]) -> Path | str:
    if record["outcome"] == "ok":
        return run.path / str(record["output"])
    return f"{record['outcome']}: {record['error']}"


def _caption(condition: str, record: Mapping[str, Any], cost: pd.DataFrame) -> str:
    """The cost of one output: the median warm run where its machine timed it.

    Else that of this run.
    """
    cell = (condition, record["source"], record["machine"])
    timed = cost.loc[[cell]].iloc[0] if cell in cost.index else None
    if timed is not None and pd.notna(timed["wall_time_s"]):
        return f"{timed['wall_time_s']:.3g} s, {timed['peak_rss_mib']:.0f} MiB"
    if record["outcome"] != "ok" or pd.isna(record["wall_time_s"]):
        return ""
    seconds, memory = record["wall_time_s"], record["peak_rss_mib"]
    return f"{seconds:.3g} s (first run), {memory:.0f} MiB"
