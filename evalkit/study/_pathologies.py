"""What people complain of, measured on each output, and the maps that show where."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from evalkit.faces import detect
from evalkit.figures import pathology_maps, save
from evalkit.images import Picture, read_image
from evalkit.metrics import metrics
from evalkit.paths import slug
from evalkit.study._compare import at_size_of, usable
from evalkit.study._regions import Region, face_regions
from evalkit.study._run import Run
from evalkit.tables import PATHOLOGIES

BASE = "source"
"""Stands for a condition: what the metrics of one picture say of the source."""

MAPPED_KINDS = ("mixed", "group")


def compare_pathologies(run: Run) -> pd.DataFrame:
    """Every metric that needs the source, or nothing, on every output.

    An output is first brought to its source's size, as in `compare_metrics`; what is
    measured on it is what is left to see there. Where a picture shows faces, those
    that take a mask are also told of the regions of `face_regions`.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.PATHOLOGIES`, also written to the run's tables.

    """
    quality = run.quality()
    quality = quality[quality["outcome"] == "ok"]
    rows: list[dict[str, Any]] = []
    images = usable(run)
    for picture in images[images["source"].isin(quality["source"])].to_dict("records"):
        source = read_image(Path(picture["path"]))
        faces = detect(source)
        regions, notes = face_regions(source, faces)
        shows = {"", *(["text"] if picture["kind"] == "text" else [])}
        shows |= {"faces"} if faces else set()
        told = {"source": picture["source"], "condition": BASE, "resampling": "none"}
        rows += [told | row for row in _measured(source, None, shows, {})]
        mine = quality[quality["source"] == picture["source"]]
        for record in mine.to_dict("records"):
            output = read_image(run.path / record["output"])
            output, resampling = at_size_of(output, source)
            told |= {"condition": record["condition"], "resampling": resampling}
            for row in _measured(output, source, shows, regions):
                rows.append(told | row | {"note": notes.get(row["region"])})
    return run.keep(PATHOLOGIES, rows)


def _measured(
    output: Picture,
    source: Picture | None,
    shows: set[str],
    regions: dict[str, Region],
) -> Iterator[dict[str, Any]]:
    for metric in metrics().values():
        others = {"nothing": [], "source": [source]}.get(metric.needs)
        if others is None or (metric.needs == "source" and source is None):
            continue
        told = {
            "metric": metric.name,
            "unit": metric.unit,
            "higher_is_better": metric.higher_is_better,
        }
        is_shown = metric.shows in shows
        value = metric.compute(output, *others) if is_shown else None
        yield told | {"region": "whole", "value": value}
        for name, mask in regions.items() if metric.takes_mask else ():
            value = metric.compute(output, *others, mask=mask)
            yield told | {"region": name, "value": value}


def draw_pathologies(
    run: Run, conditions: Sequence[str], sources: Sequence[str] = ()
) -> list[Path]:
    """Source and outputs with a map of each defect that has a place.

    Parameters
    ----------
    run
        Gets ``figures/60_maps_<source>.png`` and ``.pdf``.
    conditions
        In the order shown; those without an output are left out.
    sources
        Their names; empty for mixed scenes and groups, else the first.

    Returns
    -------
    list of Path
        The PNG files.

    """
    images = usable(run).set_index("source")
    if not sources:
        mapped = images.index[images["kind"].isin(MAPPED_KINDS)]
        sources = (mapped if len(mapped) else images.index[:1]).tolist()
    quality = run.quality(conditions)
    quality = quality[quality["outcome"] == "ok"]
    files = []
    for name in sources:
        made = quality[quality["source"] == name].set_index("condition")["output"]
        source = read_image(Path(images.loc[name, "path"]))
        outputs = {
            condition: at_size_of(read_image(run.path / made[condition]), source)[0]
            for condition in conditions
            if condition in made
        }
        if outputs:
            figure = _drawn(source, outputs, _whole(run, name))
            files.append(save(figure, run.figures, f"60_maps_{slug(name)}"))
    return files


def _whole(run: Run, source: str) -> pd.Series:
    """The values over the whole picture, by condition and metric."""
    rows = run.read(PATHOLOGIES)
    rows = rows[(rows["source"] == source) & (rows["region"] == "whole")]
    return rows.set_index(["condition", "metric"])["value"]


def _drawn(
    source: Picture, outputs: Mapping[str, Picture], values: pd.Series
) -> Figure:
    located = {name: metric for name, metric in metrics().items() if metric.where}
    legends = {
        name: (
            str(metric.compute.__doc__).partition("\n")[0],
            metric.where_unit or metric.unit,
        )
        for name, metric in located.items()
    }
    panels = {
        condition: {
            name: (
                metric.where(output, source),
                f"{values[condition, name]:.3f} {metric.unit}",
            )
            for name, metric in located.items()
            if metric.where
        }
        for condition, output in outputs.items()
    }
    figure: Figure = pathology_maps(source, outputs, panels, legends)
    return figure
