"""What the report shows of each picture: its files, a crop, its lines of text."""

import json
import math
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from evalkit.comparisons.reasons import in_language
from evalkit.figures import Crop
from evalkit.paths import file_name
from evalkit.report._run_folder import Pair, RunFolder, by_pair
from evalkit.report._text import number, plain_rows
from evalkit.texts import Language, text

MEMORY = {"peak_rss_mib": "ram", "cuda_reserved_peak_mib": "gpu"}

MOST_COLUMNS = 6


class Step(NamedTuple):
    """How far views are reduced; sides in px, qualities of WebP in percent."""

    level: int
    side: int
    quality: int
    crop_side: int
    crop_quality: int

    def said(self, language: Language) -> str:
        """It in words."""
        return text("report.pictures.step", language, **self._asdict())


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
    is_unmade, is_thick
        Whether there is none to show, for random weights or a failure; whether a thin
        strip is drawn thicker.

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
    is_unmade: bool = False
    is_thick: bool = False


@dataclass(slots=True, kw_only=True)
class Section:
    """All that is shown of one picture.

    Attributes
    ----------
    facts
        Its row of the table ``images``, null as None.
    views
        Source, reference if there is one, then every condition that made a picture.
    without_pictures
        The conditions that made none, and those that made a picture that is shown under
        another condition.
    crop
        The part that is shown enlarged; None before it is known.
    map_file, maps
        The figure of maps, where there is one; its data URI, filled with the views.
    step
        How far its views were reduced; None without views.

    """

    facts: dict[str, Any]
    views: list[View]
    without_pictures: list[View]
    crop: Crop | None
    map_file: Path | None = None
    maps: str = ""
    step: Step | None = None

    @property
    def n_columns(self) -> int:
        """So many that up to `MOST_COLUMNS` views stand in one row."""
        n_rows = math.ceil(len(self.views) / MOST_COLUMNS)
        return max(2, math.ceil(len(self.views) / n_rows))


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
            view.lines = _cost_lines(folder, cell, cost.get(cell))
            view.values = values.get(cell, {})
            if cell in folder.same_as and not view.reason:
                view.reason = _same(folder.language, *folder.same_as[cell])
                hidden.append(view)
            else:
                (hidden if view.is_unmade else views).append(view)
        crop = crops.get(name)
        maps = folder.figures / f"60_maps_{file_name(name)}.png"
        built.append(
            Section(
                facts=facts,
                views=views,
                without_pictures=hidden,
                crop=Crop(*crop) if crop else None,
                map_file=maps if maps.is_file() else None,
            )
        )
    return built


def _same(language: Language, other: str, decibels: float | None) -> str:
    is_equal = decibels is None
    near = text("report.reason.equal", language) if is_equal else number(decibels, "dB")
    return text("report.reason.same", language, other=other, near=near)


def _input(folder: RunFolder, name: str, path: str) -> View:
    file = Path(path)
    if not file.is_file():
        reason = folder.published or text("report.reason.gone", folder.language)
        return View(name=name, file=None, reason=reason)
    return View(name=name, file=file)


def _output(folder: RunFolder, cell: Pair) -> View:
    condition, record = cell[0], folder.outputs.get(cell)
    said = partial(text, language=folder.language)
    kind = record["weights_kind"] if record else None
    unmade = partial(View, name=condition, file=None, is_unmade=True)
    if kind == "random" or (not record and condition in folder.random_conditions):
        return unmade(reason=said("report.reason.random"))
    if record is None:
        return unmade(reason=said("report.reason.not-restored"))
    notes = [
        in_language(note, folder.language)
        for note in json.loads(record["notes"] or "[]")
    ]
    if record["outcome"] != "ok":
        reason = said(f"report.outcome.{record['outcome']}")
        if folder.language == "en":
            # what is known and what to do stand among the failures
            error = (record["error"] or "").partition(";")[0]
            reason = ": ".join(filter(None, (record["outcome"], error)))
        return unmade(reason=reason, notes=notes)
    file = folder.path / record["output"]
    if not file.is_file():
        reason = folder.published or said("report.reason.output-gone")
        return View(name=condition, file=None, reason=reason, notes=notes)
    return View(name=condition, file=file, notes=notes, link=quote(record["output"]))


def _cost_lines(
    folder: RunFolder, cell: Pair, timed: dict[str, Any] | None
) -> list[str]:
    """The median of the timed runs, else the one run that made the picture."""
    said = partial(text, language=folder.language)
    record = folder.outputs.get(cell)
    for row, runs in ((timed, "median"), (record, "one")):
        if row and row["wall_time_s"] is not None:
            how = said(f"report.runs.{runs}", n=row.get("n_runs"))
            seconds = number(row["wall_time_s"], "s")
            time = said("report.line.time", time=seconds, runs=how)
            if row.get("restore_time_s") is not None:
                alone = number(row["restore_time_s"], "s")
                time += f", {said('report.line.restore', time=alone)}"
            memory = [
                said(f"report.line.{label}", size=number(row[column], "MiB"))
                for column, label in MEMORY.items()
                if row[column] is not None
            ]
            return [time, *memory]
    return []
