"""The flaws that people complain of, measured on each output, and maps of them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from evalkit.comparisons.regions import Region, face_regions
from evalkit.comparisons.side_by_side import value_of
from evalkit.errors import attempt, of_each
from evalkit.faces import detect
from evalkit.figures import pathology_maps, save
from evalkit.images import Picture, read_image
from evalkit.images.scaling import as_resampled, at_size_of
from evalkit.metrics import metrics
from evalkit.paths import file_name
from evalkit.study.kept import replace_figures
from evalkit.study.run_folder import Run
from evalkit.tables import PATHOLOGIES

BASE = "source"
"""Stands for a condition in rows of the source itself."""

MAPPED_KINDS = ("mixed", "group")


def compare_pathologies(run: Run) -> pd.DataFrame:
    """Compute every metric that needs the source, or nothing, on every output.

    An output is first brought to its source's size, as in `compare_metrics`, and is
    measured as it looks there, against the source that went through the same sizes: a
    clean enlargement (Lanczos) has changed nothing. Where a picture shows faces, the
    metrics that take a mask are also computed on the regions of `face_regions`.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.PATHOLOGIES`, also written to the run's tables.

    """
    quality = run.quality()
    quality = quality[quality["outcome"] == "ok"]
    rows: list[dict[str, Any]] = []
    images = run.usable
    for picture in images[images["source"].isin(quality["source"])].to_dict("records"):
        name = picture["source"]
        scene, why = attempt(partial(_scene_of, picture), name)
        scene = scene or _Scene(None, {""}, {}, {})
        columns = {"source": name, "condition": BASE, "resampling": "none"}
        source = scene.picture
        alone = [source] if source is not None else []
        rows += [columns | row for row in _measured(alone, scene, name, why)]
        records = quality[quality["source"] == name]
        for record in records.to_dict("records"):
            what = f"{record['condition']} of {name}"
            pair, why_not = None, why
            if source is not None:
                path = run.path / record["output"]
                pair, why_not = attempt(partial(_at_size, path, source), what)
            columns["condition"] = record["condition"]
            columns["resampling"] = pair and pair[2]
            pictures = pair[:2] if pair else []
            measured = _measured(pictures, scene, what, why_not, is_base=False)
            rows += [columns | row for row in measured]
    return run.keep(PATHOLOGIES, rows)


class _Scene(NamedTuple):
    """A source, what it shows, its regions and notes on how these were found."""

    picture: Picture | None
    shows: set[str]
    regions: Mapping[str, Region]
    notes: Mapping[str, str]


def _scene_of(row: Mapping[str, Any]) -> _Scene:
    picture = read_image(Path(row["path"]))
    faces = detect(picture)
    regions, notes = face_regions(picture, faces)
    shows = {"", *(["text"] if row["kind"] == "text" else [])}
    return _Scene(picture, shows | ({"faces"} if faces else set()), regions, notes)


def _at_size(path: Path, source: Picture) -> tuple[Picture, Picture, str]:
    """An output, and its source, as both look at the source's size; how it came."""
    output = read_image(path)
    resampled, how = at_size_of(output, source)
    return resampled, as_resampled(source, output), how


def _measured(
    pictures: Sequence[Picture],
    scene: _Scene,
    what: str,
    why: str | None,
    *,
    is_base: bool = True,
) -> Iterator[dict[str, Any]]:
    """Rows of an output and its source; of the source alone where `is_base` is true.

    There are no pictures where a file could not be read; `why` says so.
    """
    for metric in metrics().values():
        if metric.needs not in ("nothing", "source") or (
            is_base and metric.needs == "source"
        ):
            continue
        inputs = pictures[: 2 if metric.needs == "source" else 1] or None
        whole = value_of(metric, inputs, scene.shows, what, why)
        yield {"region": "whole", **whole}
        if is_base or not metric.takes_mask:
            continue
        for name, mask in scene.regions.items():
            row = value_of(metric, inputs, scene.shows, what, why, mask=mask)
            note = row["note"] or scene.notes.get(name)
            yield {"region": name, **row, "note": note}


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
        Names of sources; empty for mixed scenes and groups, else the first.

    Returns
    -------
    list of Path
        The PNG files.

    """
    images = run.usable.set_index("source")
    if not sources:
        mapped = images.index[images["kind"].isin(MAPPED_KINDS)]
        sources = (mapped if len(mapped) else images.index[:1]).tolist()
    quality = run.quality(conditions)
    quality = quality[quality["outcome"] == "ok"]

    def draw(name: str) -> list[Path]:
        paths = quality[quality["source"] == name].set_index("condition")["output"]
        source = read_image(Path(images.loc[name, "path"]))
        pairs = {
            condition: _at_size(run.path / paths[condition], source)[:2]
            for condition in conditions
            if condition in paths
        }
        if not pairs:
            return []
        figure = _drawn(source, pairs, _whole(run, name))
        return [save(figure, run.figures, f"60_maps_{file_name(name)}")]

    drawn = of_each({name: partial(draw, name) for name in sources}, "map of defects")
    files = [file for paths in drawn.values() for file in paths]
    replace_figures(run, "maps", files)
    return files


def _whole(run: Run, source: str) -> pd.Series:
    """The values over the whole picture, by condition and metric."""
    rows = run.read(PATHOLOGIES)
    rows = rows[(rows["source"] == source) & (rows["region"] == "whole")]
    return rows.set_index(["condition", "metric"])["value"]


def _drawn(
    source: Picture, pairs: Mapping[str, tuple[Picture, Picture]], values: pd.Series
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
                metric.where(output, base),
                _in_words(values.get((condition, name)), metric.unit),
            )
            for name, metric in located.items()
            if metric.where
        }
        for condition, (output, base) in pairs.items()
    }
    outputs = {condition: output for condition, (output, _) in pairs.items()}
    figure: Figure = pathology_maps(source, outputs, panels, legends)
    return figure


def _in_words(value: float | None, unit: str) -> str:
    return "not measured" if pd.isna(value) else f"{value:.3f} {unit}"
