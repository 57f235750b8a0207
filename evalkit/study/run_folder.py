"""One run folder: its study, its tables, its records, its outputs, its answers."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from evalkit.errors import INTERRUPTED
from evalkit.imagesets import imagesets, left_out, prepare
from evalkit.paths import atomic_path, file_name, runs_dir
from evalkit.rating.answers import Answers
from evalkit.records import RecordStore, at_hand
from evalkit.study.looks import look_at, with_kinds
from evalkit.study.pictures import as_written, link_pictures, with_places
from evalkit.study.yaml import read_yaml
from evalkit.tables import IMAGES, LOOKS, SOURCES, Table, as_markdown

if TYPE_CHECKING:
    from evalkit.rating import Store

CELL = ["condition", "source", "machine"]
"""What is measured together: one condition's runs on one picture."""

SQLITE = "ratings.sqlite"
"""The run's own store of ratings, where ``$EVALKIT_RATINGS`` names no other."""


@dataclass(frozen=True)
class Run:
    """A run folder: the one way in which study, report and judges read it.

    What it lacks is an empty table or mapping; a damaged part raises an error when it
    is read.

    Attributes
    ----------
    path
        The folder.
    allow_busy
        Whether to time on a GPU that other processes use, too. Records of such runs
        say so in their notes.

    """

    path: Path
    allow_busy: bool = False

    @property
    def name(self) -> str:
        """The study's name, which is the folder's."""
        return self.path.name

    @property
    def study(self) -> dict[str, Any]:
        """The keys of the resolved study; empty for a folder filled by hand.

        `Study` checked them when they were written; importing pydantic to do so again
        would cost each step a fifth of a second.
        """
        file = self.path / "study.yaml"
        return read_yaml(file) if file.is_file() else {}

    @property
    def environment(self) -> dict[str, Any]:
        """The content of ``environment.json``; see `evalkit.provenance.environment`."""
        return self.read_json("environment.json")

    def read_json(self, name: str) -> dict[str, Any]:
        """The content of a file of the folder; empty when it has not been written."""
        path = self.path / name
        text = path.read_text(encoding="utf-8") if path.is_file() else "{}"
        content: dict[str, Any] = json.loads(text)
        return content

    @cached_property
    def records(self) -> RecordStore:
        """The records of every experiment."""
        return RecordStore(self.path)

    @cached_property
    def interrupted(self) -> list[str]:
        """What interrupted the last cells of this step, one after the other."""
        return []

    @property
    def figures(self) -> Path:
        """Where figures go."""
        return self.path / "figures"

    def images(self, images: str) -> pd.DataFrame:
        """Prepare an image set or a folder; keep its table; return it (`IMAGES`).

        The router looks at a folder's pictures, and finds the kinds of those that have
        none.
        """
        frame = prepare(images, recursive=self.is_recursive)
        usable = frame[frame["error"].isna()]
        if len(usable) and images not in imagesets():
            looks = look_at(usable, self.read(LOOKS))
            self.write(LOOKS, looks)
            frame = with_kinds(frame, looks)
        self.write(IMAGES, link_pictures(frame, self.path))
        return self.read(IMAGES)

    def left_out(self, images: str) -> str:
        """The parts of a folder that are not read, in lines; empty for none."""
        return "\n".join(left_out(images, recursive=self.is_recursive))

    @property
    def is_recursive(self) -> bool:
        """Whether the study reads subfolders, too."""
        return bool(self.study.get("recursive"))

    @property
    def usable(self) -> pd.DataFrame:
        """The pictures without the files that cannot be used (`IMAGES`)."""
        images = self.read(IMAGES)
        return images[images["error"].isna()].reset_index(drop=True)

    def write(self, table: Table, frame: pd.DataFrame, part: str = "") -> None:
        """Write a table as CSV, to compute with, and as Markdown, to read."""
        if table is IMAGES:
            frame = as_written(frame, self.path)
        path = table.write(frame, self.path / "tables", part)
        path.with_suffix(".md").write_text(as_markdown(frame), encoding="utf-8")

    def keep(
        self, table: Table, rows: list[dict[str, Any]], part: str = ""
    ) -> pd.DataFrame:
        """Make a table of rows, write it, return it."""
        frame = table.frame(rows)
        self.write(table, frame, part)
        return frame

    def read(self, table: Table, part: str = "") -> pd.DataFrame:
        """Read a table; empty when it has not been written."""
        path = table.path(self.path / "tables", part)
        frame = table.read(path) if path.is_file() else table.frame([])
        return with_places(frame, self.path) if table is IMAGES else frame

    def output_path(self, condition: str, source: str) -> Path:
        """Where the output of a source under a condition lies."""
        return self.path / "outputs" / file_name(condition) / f"{file_name(source)}.png"

    def quality(self, conditions: Iterable[str] | None = None) -> pd.DataFrame:
        """The records that say how outputs were made, for the pictures at hand."""
        records = self.at_hand("quality")
        if conditions is not None:
            records = records[records["condition"].isin(list(conditions))]
        # a picture or a setting that changed has a newer record under the same name
        newest = records.drop_duplicates(["condition", "source"], keep="last")
        return newest[newest["outcome"] != INTERRUPTED]

    def cost(self) -> pd.DataFrame:
        """The records of what the pictures at hand cost in their newest settings.

        Cells of code, weights or pictures that have changed since stay in the
        records, and are left out here.
        """
        newest = with_newest_key(self.at_hand("cost"), CELL)
        return self.in_order(newest[newest["outcome"] != INTERRUPTED])

    def in_order(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows in the order of the study's conditions; others are last."""
        place = {name: n for n, name in enumerate(self.study.get("conditions") or [])}
        return frame.sort_values(
            "condition", key=lambda names: names.map(place), kind="stable"
        )

    def at_hand(self, *experiments: str) -> pd.DataFrame:
        """The records of the pictures at hand, in these experiments or else in all.

        See `evalkit.records.at_hand`; those that were made to be measured count, too.
        A folder that lists no pictures has all records at hand.
        """
        records, images = self.records.read(), self.read(IMAGES)
        if len(images):
            records = at_hand(records, images, self.read(SOURCES))
        if not experiments:
            return records
        return records[records["experiment"].isin(experiments)]

    def answers(self) -> Answers:
        """What the panel answered; empty, and nothing is written, where nobody has."""
        return ratings_store(self).answers() if self.has_ratings else Answers()

    @property
    def has_ratings(self) -> bool:
        """Whether there is a store of ratings, with answers in it or without."""
        return bool(os.environ.get("EVALKIT_RATINGS")) or (self.path / SQLITE).is_file()


def ratings_store(run: Run) -> "Store":
    """The run's store: ``$EVALKIT_RATINGS``, an SQLAlchemy URL, or `SQLITE`.

    In a PostgreSQL database every study has a schema of its own.
    """
    from evalkit.rating import Store  # late: it takes SQLAlchemy

    url = os.environ.get("EVALKIT_RATINGS")
    return Store(url or run.path / SQLITE, schema=f"evalkit-{run.name}")


def with_newest_key(records: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """The records of each group with the newest code, weights and setting."""
    newest = records.groupby(by, dropna=False)["key"].transform("last")
    return records[records["key"] == newest]


def write_text(path: Path, text: str) -> None:
    """Write a file atomically; see `evalkit.paths.atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def open_run(run_dir: str = "") -> Run:
    """Open a run folder, making it when it is new.

    Parameters
    ----------
    run_dir
        The folder; empty for ``adhoc`` in `evalkit.paths.runs_dir`.

    """
    path = Path(run_dir).expanduser().resolve() if run_dir else runs_dir() / "adhoc"
    path.mkdir(parents=True, exist_ok=True)
    return Run(path)
