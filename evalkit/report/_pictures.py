"""What the report shows of each picture: its files, a crop, its lines of text."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from evalkit.figures import Crop
from evalkit.report._run_folder import Pair, RunFolder, by_pair
from evalkit.report._text import number, plain_rows

RANDOM = "since its weights are random and its output is noise"
MEMORY = {"peak_rss_mib": "RAM", "cuda_reserved_peak_mib": "GPU memory"}


class Step(NamedTuple):
    """How far views are reduced; sides in px, qualities of WebP in percent."""

    level: int
    side: int
    quality: int
    crop_side: int
    crop_quality: int

    def __str__(self) -> str:
        return (
            f"views up to {self.side} px at WebP quality {self.quality}, crops up to "
            f"{self.crop_side} px at {self.crop_quality}"
        )


@dataclass(slots=True, kw_only=True)
class View:
    """One picture of a section.

    Attributes
    ----------
    name
        ``source``, ``reference`` or a condition.
    file
        The picture; None where there is none.
    reason
        Why there is none.
    lines
        What it cost.
    notes
        What the restorer said.
    link
        Relative address of the full picture, for those inside the run folder.
    values
        Metrics by name, as text.
    whole, detail
        Data URIs; empty until `evalkit.report._views.show` fills them.
    size
        Width and height of the full picture, px; filled there too.

    """

    name: str
    file: Path | None
    reason: str = ""
    lines: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    link: str = ""
    values: dict[str, str] = field(default_factory=dict)
    whole: str = ""
    detail: str = ""
    size: tuple[int, int] | None = None


@dataclass(slots=True, kw_only=True)
class Section:
    """All that is shown of one picture.

    Attributes
    ----------
    facts
        Its row of the table ``images``, null as None.
    views
        Source, reference if there is one, then every condition that makes pictures.
    without_pictures
        The conditions with random weights, and those that made a picture that is shown
        under another condition.
    crop
        The part that is shown enlarged; None before it is known.
    step
        How far its views were reduced; None without views.

    """

    facts: dict[str, Any]
    views: list[View]
    without_pictures: list[View]
    crop: Crop | None
    step: Step | None = None

    @property
    def n_columns(self) -> int:
        """2 to 4, so that the rows of views are equally long."""
        return max(2, math.ceil(len(self.views) / math.ceil(len(self.views) / 4)))


def sections(folder: RunFolder) -> list[Section]:
    """One section for each picture that can be used, without views."""
    cost = by_pair(folder.costs)
    crops: dict[str, list[int]] = folder.read_json("crops.json")
    values: dict[Pair, dict[str, str]] = {}
    for row in plain_rows(folder.metrics):
        cell_values = values.setdefault((row["condition"], row["source"]), {})
        cell_values[row["metric"]] = number(row["value"], row["unit"])
    built = []
    for facts in plain_rows(folder.usable):
        name = facts["source"]
        views = [_input(folder, "source", facts["path"])]
        hidden: list[View] = []
        if facts["reference"]:
            views.append(_input(folder, "reference", facts["reference"]))
        for condition in folder.conditions:
            cell = (condition, name)
            view = _output(folder, cell)
            view.lines = _cost_lines(cost.get(cell), folder.outputs.get(cell))
            view.values = values.get(cell, {})
            if cell in folder.same_as and not view.reason:
                view.reason = _same(*folder.same_as[cell])
                hidden.append(view)
            else:
                (hidden if view.reason == RANDOM else views).append(view)
        crop = crops.get(name)
        built.append(
            Section(
                facts=facts,
                views=views,
                without_pictures=hidden,
                crop=Crop(*crop) if crop else None,
            )
        )
    return built


def _same(other: str, decibels: float | None) -> str:
    how_near = "equal pixels" if decibels is None else number(decibels, "dB")
    return f"the same picture as that of {other} ({how_near})"


def _input(folder: RunFolder, name: str, path: str) -> View:
    file = Path(path)
    if not file.is_file():
        reason = folder.published or "the file is no longer there"
        return View(name=name, file=None, reason=reason)
    return View(name=name, file=file)


def _output(folder: RunFolder, cell: Pair) -> View:
    condition, record = cell[0], folder.outputs.get(cell)
    kind = record["weights_kind"] if record else None
    if kind == "random" or (not record and condition in folder.random_conditions):
        return View(name=condition, file=None, reason=RANDOM)
    if record is None:
        return View(name=condition, file=None, reason="not restored in this run")
    notes = json.loads(record["notes"]) if record["notes"] else []
    if record["outcome"] != "ok":
        reason = ": ".join(filter(None, (record["outcome"], record["error"])))
        return View(name=condition, file=None, reason=reason, notes=notes)
    file = folder.path / record["output"]
    if not file.is_file():
        reason = folder.published or "its output is no longer in the run folder"
        return View(name=condition, file=None, reason=reason, notes=notes)
    return View(name=condition, file=file, notes=notes, link=quote(record["output"]))


def _cost_lines(
    timed: dict[str, Any] | None, record: dict[str, Any] | None
) -> list[str]:
    """The median of the timed runs, else the one run that made the picture."""
    for row, runs in ((timed, "median of {n_runs} runs"), (record, "one run")):
        if row and row["wall_time_s"] is not None:
            time = f"{number(row['wall_time_s'], 's')} ({runs.format(**row)})"
            if row.get("restore_time_s") is not None:
                time += f", restore() alone {number(row['restore_time_s'], 's')}"
            memory = [
                f"{number(row[column], 'MiB')} {label}"
                for column, label in MEMORY.items()
                if row[column] is not None
            ]
            return [time, *memory]
    return []
