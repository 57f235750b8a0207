"""A run folder as the report reads it: of the study's conditions alone."""

from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd

from evalkit.article import Evidence
from evalkit.records import at_hand
from evalkit.report._text import plain_rows
from evalkit.study.run_folder import with_newest_key
from evalkit.tables import COST, IMAGES, INTERRUPTED, METRICS, SOURCES

Pair: TypeAlias = tuple[str, str]
"""A condition and a source."""

ATTEMPT = ["condition", "source", "experiment", "value", "machine"]
"""The columns that all records of one attempt share, repeated or not."""


class RunFolder(Evidence):
    """The folder as judges read it, without the conditions that left the study."""

    @property
    def title(self) -> str:
        """The study's name, else the folder's."""
        return str(self.study.get("name", self.name))

    @property
    def images_name(self) -> str:
        """The image set, or the name of the folder without its path."""
        return Path(str(self.study.get("images", ""))).name

    @property
    def study_text(self) -> str:
        """``study.yaml`` as it is written, but for the path of a reader's folder."""
        file = self.path / "study.yaml"
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        images = str(self.study.get("images", ""))
        is_path = Path(images).is_absolute()
        return text.replace(images, self.images_name) if is_path else text

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Table `evalkit.tables.COST` of the study's conditions."""
        return self._of_here(self.read(COST))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Table `evalkit.tables.METRICS`, without rows that have no value."""
        return self._of_here(self.read(METRICS).dropna(subset=["value"]))

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """Table `evalkit.tables.RECORDS` of the study's pictures and conditions."""
        records = at_hand(self.at_hand(), self.read(IMAGES), SOURCES.frame([]))
        return self._of_here(records).reset_index(drop=True)

    @cached_property
    def lost(self) -> pd.DataFrame:
        """The attempts that the machine ended; the next study tries them again.

        Where code, weights or setting have changed since, they do not count.
        """
        newest = with_newest_key(self.attempts, ATTEMPT)
        return newest[newest["outcome"] == INTERRUPTED].drop_duplicates(ATTEMPT)

    @cached_property
    def outputs(self) -> dict[Pair, dict[str, Any]]:
        """The newest record of each output."""
        return by_pair(self.attempts[self.attempts["experiment"] == "quality"])

    @cached_property
    def conditions(self) -> list[str]:
        """The conditions in the order of the study, else of the records."""
        chosen = self.study.get("conditions")
        return list(chosen or self.results["condition"].dropna().unique())

    @cached_property
    def random_conditions(self) -> list[str]:
        """The conditions whose newest record is of random weights."""
        newest = self.results.drop_duplicates("condition", keep="last")
        random = set(newest.loc[newest["weights_kind"] == "random", "condition"])
        return [condition for condition in self.conditions if condition in random]

    def _of_here(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of the study's conditions."""
        chosen = self.study.get("conditions")
        return frame[frame["condition"].isin(chosen)] if chosen else frame


def by_pair(frame: pd.DataFrame) -> dict[Pair, dict[str, Any]]:
    """The last row of each condition and source, null as None."""
    return {(row["condition"], row["source"]): row for row in plain_rows(frame)}
