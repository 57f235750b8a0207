"""A run folder as the report reads it."""

import json
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from evalkit.article import Evidence
from evalkit.records import at_hand
from evalkit.report._text import plain_rows
from evalkit.tables import COST, IMAGES, INTERRUPTED, SOURCES, VERDICTS

Cell: TypeAlias = tuple[str, str]
"""A condition and a source."""


class RunFolder:
    """The parts of a run folder, each read when it is first asked for.

    What is not there is empty; `evidence` is the folder as the claims read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.evidence = Evidence(path)

    @property
    def name(self) -> str:
        """The study's name, else the folder's."""
        return str(self.study.get("name", self.path.name))

    @property
    def study(self) -> dict[str, Any]:
        """``study.yaml``."""
        return self.evidence.study

    @property
    def images_name(self) -> str:
        """The image set, or the name of the folder without its path."""
        return Path(str(self.study.get("images", ""))).name

    @property
    def study_text(self) -> str:
        """``study.yaml`` as it is written, but for the path of a reader's folder."""
        text = self.evidence.text("study.yaml", missing="")
        images = str(self.study.get("images", ""))
        is_path = Path(images).is_absolute()
        return text.replace(images, self.images_name) if is_path else text

    @cached_property
    def timing(self) -> dict[str, Any]:
        """``timing.json``."""
        return self._json("timing.json")

    @cached_property
    def crops(self) -> dict[str, list[int]]:
        """``crops.json``: by source, x, y, width and height of its crop in px."""
        return self._json("crops.json")

    @property
    def images(self) -> pd.DataFrame:
        """Table `evalkit.tables.IMAGES`."""
        return self.evidence.table(IMAGES)

    @property
    def usable(self) -> pd.DataFrame:
        """Its pictures without the files that cannot be used."""
        return self.evidence.images

    @cached_property
    def cost(self) -> pd.DataFrame:
        """Table `evalkit.tables.COST`, of the conditions here."""
        return self._of_here(self.evidence.table(COST))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Table `evalkit.tables.METRICS`, without what had nothing to measure."""
        return self._of_here(self.evidence.metrics.dropna(subset=["value"]))

    @property
    def verdicts(self) -> pd.DataFrame:
        """Table `evalkit.tables.VERDICTS`."""
        return self.evidence.table(VERDICTS)

    @cached_property
    def records(self) -> pd.DataFrame:
        """Those of `attempts` that are results: the machine did not interrupt them."""
        return self.attempts[self.attempts["outcome"] != INTERRUPTED]

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """Table `evalkit.tables.RECORDS`: those of the pictures and conditions here."""
        records = at_hand(self.evidence.attempts, self.images, SOURCES.frame([]))
        return self._of_here(records).reset_index(drop=True)

    @cached_property
    def interrupted(self) -> pd.DataFrame:
        """Those of `attempts` that the machine ended; the next study tries them again.

        Where code, weights or setting have changed since, they do not count.
        """
        cell = ["condition", "source", "experiment", "value", "machine"]
        newest = self.attempts.groupby(cell, dropna=False)["key"].transform("last")
        is_lost = self.attempts["outcome"] == INTERRUPTED
        lost = self.attempts[is_lost & (self.attempts["key"] == newest)]
        return lost.drop_duplicates(cell)

    @cached_property
    def quality(self) -> dict[Cell, dict[str, Any]]:
        """The newest record of each output."""
        return by_cell(self.attempts[self.attempts["experiment"] == "quality"])

    @cached_property
    def conditions(self) -> list[str]:
        """In the order of the study, else of the records."""
        chosen = self.study.get("conditions")
        return list(chosen or self.records["condition"].dropna().unique())

    @cached_property
    def random_conditions(self) -> list[str]:
        """The conditions whose newest record is of random weights."""
        newest = self.records.drop_duplicates("condition", keep="last")
        found = set(newest.loc[newest["weights_kind"] == "random", "condition"])
        return [condition for condition in self.conditions if condition in found]

    def _of_here(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of the study's conditions."""
        chosen = self.study.get("conditions")
        return frame[frame["condition"].isin(chosen)] if chosen else frame

    def _json(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.evidence.text(name))
        return found


def by_cell(frame: pd.DataFrame) -> dict[Cell, dict[str, Any]]:
    """The last row of each condition and source, null as None."""
    return {(row["condition"], row["source"]): row for row in plain_rows(frame)}
