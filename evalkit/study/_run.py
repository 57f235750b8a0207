"""One run folder: its study, its tables, its records, its outputs."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from evalkit.imagesets import prepare
from evalkit.paths import atomic_path, runs_dir, slug
from evalkit.records import RecordStore
from evalkit.tables import IMAGES, Table

if TYPE_CHECKING:
    from evalkit.study._config import Study

CELL = ["condition", "source", "machine"]
"""What is measured together: one condition's runs on one picture."""


@dataclass(frozen=True)
class Run:
    """A run folder.

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
    def study(self) -> "Study | None":
        """The resolved study, or None for a folder that notebooks filled by hand."""
        from evalkit.study._config import Study  # late: it takes pydantic

        file = self.path / "study.yaml"
        return (
            Study(**yaml.safe_load(file.read_text(encoding="utf-8")))
            if file.is_file()
            else None
        )

    @cached_property
    def records(self) -> RecordStore:
        """The records of every experiment."""
        return RecordStore(self.path)

    @property
    def figures(self) -> Path:
        """Where figures go."""
        return self.path / "figures"

    def images(self, images: str) -> pd.DataFrame:
        """Prepare an image set or a folder; keep its table; return it (`IMAGES`)."""
        frame = prepare(images)
        self.write(IMAGES, frame)
        return frame

    def write(self, table: Table, frame: pd.DataFrame, part: str = "") -> None:
        """Write a table as CSV, to compute with, and as Markdown, to read."""
        path = table.write(frame, self.path / "tables", slug(part))
        path.with_suffix(".md").write_text(
            frame.to_markdown(index=False, floatfmt=".4g", missingval="") + "\n",
            encoding="utf-8",
        )

    def keep(
        self, table: Table, rows: list[dict[str, Any]], part: str = ""
    ) -> pd.DataFrame:
        """Make a table of rows, write it, return it."""
        frame = table.frame(rows)
        self.write(table, frame, part)
        return frame

    def read(self, table: Table, part: str = "") -> pd.DataFrame:
        """Read a table; empty when it has not been written."""
        name = f"{table.name}-{slug(part)}" if part else table.name
        path = self.path / "tables" / f"{name}.csv"
        return table.read(path) if path.is_file() else table.frame([])

    def output_path(self, condition: str, source: str) -> Path:
        """Where the output of a source under a condition lies."""
        return self.path / "outputs" / slug(condition) / f"{slug(source)}.png"

    def quality(self, conditions: Iterable[str] | None = None) -> pd.DataFrame:
        """The records that say how outputs were made, for the pictures at hand."""
        records = self._at_hand("quality")
        if conditions is not None:
            records = records[records["condition"].isin(list(conditions))]
        # a picture or a setting that changed has a newer record under the same name
        return records.drop_duplicates(["condition", "source"], keep="last")

    def cost(self) -> pd.DataFrame:
        """The records that say what the pictures at hand cost, of the newest settings.

        Cells of code, weights or pictures that have changed since stay in the
        records, and are left out here.
        """
        return with_newest_key(self._at_hand("cost"), CELL)

    def _at_hand(self, experiment: str) -> pd.DataFrame:
        """The records of an experiment, of the pictures at hand."""
        records = self.records.read()
        is_here = records["source_sha256"].isin(self.read(IMAGES)["sha256"])
        return records[is_here & (records["experiment"] == experiment)]


def with_newest_key(records: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Of each group of records those with the newest code, weights and setting."""
    return records[records["key"] == records.groupby(by)["key"].transform("last")]


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
