"""A run folder as the report reads it: of the study's conditions alone."""

import re
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
import yaml

from evalkit.article import Evidence
from evalkit.errors import INTERRUPTED
from evalkit.records import at_hand
from evalkit.report._text import plain_rows
from evalkit.study.config import as_letters
from evalkit.study.run_folder import Run, with_newest_key
from evalkit.tables import (
    AGREEMENT,
    COST,
    IMAGES,
    METRICS,
    PATHOLOGIES,
    SOURCES,
)
from evalkit.texts import Language, text

Pair: TypeAlias = tuple[str, str]
"""A condition and a source."""

ATTEMPT = ["condition", "source", "experiment", "value", "machine"]
"""The columns that all records of one attempt share, repeated or not."""


class RunFolder(Evidence):
    """The folder as judges read it, without the conditions that left the study."""

    def __init__(self, path: Path, language: Language = "en") -> None:
        super().__init__(path)
        self.language: Language = language

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
        """``study.yaml`` as it is written; of a reader's folder what runs anywhere.

        The folder's path is the reader's own, and its name is added to the study's once
        more when the folder is given with the command.
        """
        file = self.path / "study.yaml"
        if not self.is_album:
            return file.read_text(encoding="utf-8") if file.is_file() else ""
        letters = re.escape(as_letters(self.images_name))
        name = re.sub(f"-({letters})?-?([0-9a-f]{{8}})?$", "", self.title)
        study = dict(self.study) | {"name": name or self.title, "images": "auto"}
        return yaml.safe_dump(study, allow_unicode=True, sort_keys=False)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """Table `evalkit.tables.COST` of the study's conditions, in their order."""
        costs = self.of_here(self.read(COST))
        return self.in_order(costs).reset_index(drop=True)

    @property
    def costs_of_machines(self) -> pd.DataFrame:
        """As `costs`, but of every machine that the table holds, not of one."""
        return self.in_order(self.of_here(Run.read(self, COST)))

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Table `evalkit.tables.METRICS`, without rows that have no value."""
        return self.of_here(self.read(METRICS).dropna(subset=["value"]))

    @cached_property
    def pathologies(self) -> pd.DataFrame:
        """Table `evalkit.tables.PATHOLOGIES` of whole pictures, its values alone."""
        rows = self.read(PATHOLOGIES).dropna(subset=["value"])
        return self.of_here(rows[rows["region"] == "whole"])

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """Table `evalkit.tables.RECORDS` of the study's pictures and conditions."""
        records = at_hand(self.at_hand(), self.read(IMAGES), SOURCES.frame([]))
        return self.of_here(records).reset_index(drop=True)

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

    @property
    def published(self) -> str:
        """Why a picture is not in the copy of a run that is for others; else empty."""
        is_copy = (self.path / "tables" / "left_out.csv").is_file()
        return "left out of this copy; tables/left_out.md says why" if is_copy else ""

    @property
    def is_album(self) -> bool:
        """Whether the pictures are a folder of the reader's own."""
        return Path(str(self.study.get("images", ""))).is_absolute()

    @property
    def shows_claims(self) -> bool:
        """Whether report and answer speak of a published comparison's claims."""
        asked = self.study.get("claims")
        return asked if isinstance(asked, bool) else not self.is_album

    @cached_property
    def has_answers(self) -> bool:
        """Whether anybody has rated."""
        return len(self.scores) + len(self.panel.choices) > 0

    @cached_property
    def album_routes(self) -> pd.DataFrame:
        """See `evalkit.comparisons.route_album`."""
        from evalkit.comparisons import route_album  # late: it brings detectors

        return route_album(self)

    def pixels(self, sources: pd.Series) -> int:
        """How many the pictures of these names have together."""
        images = self.read(IMAGES)
        images = images[images["source"].isin(sources)]
        return int((images["width_px"] * images["height_px"]).sum())

    @cached_property
    def restorer_of(self) -> dict[str, str]:
        """The restorer of each condition that has a record, in the study's order."""
        newest = self.results.drop_duplicates("condition", keep="last")
        known = newest.set_index("condition")["restorer"].dropna()
        return {name: known[name] for name in self.conditions if name in known.index}

    @cached_property
    def learned_conditions(self) -> list[str]:
        """The conditions that made pictures by learned weights, no picture twice."""
        made = self.results[self.results["output"].notna()]
        learned = made.loc[made["weights_kind"] != "none", "condition"].unique()
        return [c for c in self.conditions if c in learned and c not in self.doubles]

    @cached_property
    def same_as(self) -> dict[Pair, tuple[str, float | None]]:
        """Where a condition made the picture of an earlier one: that one, and the dB.

        By condition and source; None for equal outputs.
        """
        place = {condition: n for n, condition in enumerate(self.conditions)}
        doubles: dict[Pair, tuple[str, float | None]] = {}
        for row in plain_rows(self.agreement):
            pair = sorted((row["condition"], row["other"]), key=place.__getitem__)
            if row["is_same"]:
                doubles.setdefault((pair[1], row["source"]), (pair[0], row["psnr_db"]))
        return doubles

    @cached_property
    def agreement(self) -> pd.DataFrame:
        """Table `evalkit.tables.AGREEMENT` of outputs that are there."""
        frame = self.of_here(self.read(AGREEMENT))
        made = {cell for cell, record in self.outputs.items() if record["output"]}
        is_there = [
            {(row.condition, row.source), (row.other, row.source)} <= made
            and row.other in self.conditions
            for row in frame.itertuples()
        ]
        return frame[pd.Series(is_there, frame.index, dtype=bool)]

    @cached_property
    def doubles(self) -> dict[str, str]:
        """The conditions that made no picture of their own: the earlier one of each."""
        made = self.results[self.results["output"].notna()]
        sources = made.groupby("condition")["source"].agg(set).to_dict()
        return {
            condition: other
            for (condition, _), (other, _) in self.same_as.items()
            if all(
                (condition, source) in self.same_as
                for source in sources.get(condition, ())
            )
        }

    @cached_property
    def timed(self) -> pd.DataFrame:
        """The costs that were measured on the machine of the newest step."""
        machine = self.environment.get("machine", {}).get("machine")
        sizes = ["source", "source_width_px", "source_height_px", "wall_time_s"]
        timed = self.costs.dropna(subset=sizes)
        timed = timed[timed["wall_time_s"] > 0]
        return timed[timed["machine"] == machine] if machine else timed.head(0)

    @property
    def device_name(self) -> str:
        """The processor and its cores, and the GPU where one worked."""
        machine = self.environment.get("machine", {})
        values = {"cpu": machine.get("cpu"), "n": machine.get("cores")}
        name = text("report.device", self.language, **values)
        is_used = self.timed["cuda_reserved_peak_mib"].notna().any()
        gpus = (gpu["name"] for gpu in self.gpus or () if is_used)
        return (", and " if self.language == "en" else "、").join([name, *gpus])

    def of_here(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The rows of the study's conditions."""
        chosen = self.study.get("conditions")
        return frame[frame["condition"].isin(chosen)] if chosen else frame


def by_pair(frame: pd.DataFrame) -> dict[Pair, dict[str, Any]]:
    """The last row of each condition and source, null as None."""
    return {(row["condition"], row["source"]): row for row in plain_rows(frame)}
