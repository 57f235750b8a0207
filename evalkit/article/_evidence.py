"""What a claim is judged on, a run folder, and what a judge returns."""

import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from evalkit.records import RecordStore, at_hand
from evalkit.tables import IMAGES, INTERRUPTED, METRICS, SOURCES, Table

SQLITE = "ratings.sqlite"
"""The run's own store of ratings, where EVALKIT_RATINGS names no other."""


class Verdict(StrEnum):
    """What a run says to a claim."""

    REPRODUCED = "reproduced"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    """Something was measured or inspected, and it does not decide the claim."""
    NOT_TESTABLE = "not testable here"
    """This machine, or this project, lacks what the test needs."""
    NOT_TESTED = "not yet tested"
    """Nothing that bears on the claim has been measured in this run."""


class Judgement(NamedTuple):
    """One verdict.

    Attributes
    ----------
    verdict
        See `Verdict`.
    found
        What this run has where the article has its value; None for nothing.
    evidence
        A sentence with the numbers, and the table, record or file they stand in.

    """

    verdict: Verdict
    found: str | None
    evidence: str


def not_tested(missing: str) -> Judgement:
    """Judge that nothing has been measured; `missing` says what is lacking."""
    return Judgement(Verdict.NOT_TESTED, None, missing)


def decide(*, holds: bool, fails: bool) -> Verdict:
    """Contradicted if the claim fails, else reproduced if it holds, else open."""
    if fails:
        return Verdict.CONTRADICTED
    return Verdict.REPRODUCED if holds else Verdict.INCONCLUSIVE


class Evidence:
    """A run folder, each part read when it is first asked for.

    What the folder lacks is an empty table or mapping; a part that is there and is
    not as it should be is an error of whoever reads it.

    Parameters
    ----------
    run
        The folder.

    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self._tables: dict[str, pd.DataFrame] = {}

    @cached_property
    def images(self) -> pd.DataFrame:
        """Table `evalkit.tables.IMAGES`, without the files that cannot be used."""
        images = self.table(IMAGES)
        return images[images["error"].isna()].reset_index(drop=True)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Table `evalkit.tables.METRICS`."""
        return self.table(METRICS)

    @cached_property
    def records(self) -> pd.DataFrame:
        """Table `evalkit.tables.RECORDS`; of the pictures that it lists, if any."""
        records = self.attempts
        return records[records["outcome"] != INTERRUPTED].reset_index(drop=True)

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """The same, with what the machine interrupted."""
        records, images = RecordStore(self.run).read(), self.table(IMAGES)
        if images.empty:
            return records
        return at_hand(records, images, self.table(SOURCES))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The content of ``environment.json``; see `evalkit.provenance.environment`."""
        found: dict[str, Any] = json.loads(self.text("environment.json"))
        return found

    @property
    def gpus(self) -> list[dict[str, Any]] | None:
        """The GPUs of this run's machine; None when no environment was written."""
        machine = self.environment.get("machine")
        return machine["gpus"] if machine else None

    def has_articles(self, device: str) -> bool:
        """Whether the GPU (``cuda``), or the ``cpu``, is the article's."""
        if device == "cpu":
            cpu = self.environment.get("machine", {}).get("cpu", "")
            return re.search(r"13900K\b", cpu) is not None
        return any(gpu["name"].endswith("RTX 4090") for gpu in self.gpus or ())

    @cached_property
    def study(self) -> dict[str, Any]:
        """The content of ``study.yaml``, resolved."""
        found: dict[str, Any] = yaml.safe_load(self.text("study.yaml"))
        return found

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The ``subject`` and ``score`` of every rating."""
        columns = ["subject", "score"]
        return self.rated(*columns)[columns].dropna().reset_index(drop=True)

    def rated(self, *columns: str) -> pd.DataFrame:
        """Answers that count, of the first table or view with these columns.

        Of the store of ratings; without training and checks (gold, trap).
        """
        for ratings in self._answers:
            if not set(columns) <= set(ratings):
                continue
            if "role" in ratings:
                is_check = ratings["role"].isin(["gold", "trap"])
                is_check |= ratings["is_training"].astype(bool)
                ratings = ratings[~is_check]
            return ratings
        return pd.DataFrame(columns=list(columns))

    @property
    def store(self) -> str:
        """Where the ratings lie, for a reader."""
        return "the database that EVALKIT_RATINGS names" if self._url else SQLITE

    @property
    def _url(self) -> str:
        return os.environ.get("EVALKIT_RATINGS", "")

    @cached_property
    def _answers(self) -> list[pd.DataFrame]:
        """Read once, since most claims ask for them."""
        return list(self._read_answers())

    def _read_answers(self) -> Iterator[pd.DataFrame]:
        path = self.run / SQLITE
        if self._url:
            from evalkit.rating import Store  # late: it takes SQLAlchemy

            store = Store(self._url, schema=f"evalkit-{self.run.name}")
            yield from (store.scores(), store.choices())
        elif path.is_file():
            address = f"{path.resolve().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True)) as database:
                names = database.execute(
                    "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
                ).fetchall()
                for (name,) in names:
                    yield pd.read_sql_query(f'SELECT * FROM "{name}"', database)

    def done(self, experiment: str) -> pd.DataFrame:
        """The records of `experiment` whose outcome is ``ok``."""
        records = self.records
        chosen = (records["experiment"] == experiment) & (records["outcome"] == "ok")
        return records[chosen].reset_index(drop=True)

    def text(self, name: str, missing: str = "{}") -> str:
        """The content of a file of the run; `missing` when it has not been written."""
        path = self.run / name
        return path.read_text(encoding="utf-8") if path.is_file() else missing

    def table(self, table: Table) -> pd.DataFrame:
        """A table of the run; empty when it has not been written."""
        if table.name not in self._tables:
            path = table.path(self.run / "tables")
            found = table.read(path) if path.is_file() else table.frame([])
            self._tables[table.name] = found
        return self._tables[table.name]


@dataclass(frozen=True, slots=True)
class Evaluator:
    """The judge of one claim.

    Attributes
    ----------
    name
        The claim's id.
    judge
        A pure function of the evidence.

    """

    name: str
    judge: Callable[[Evidence], Judgement]


def without_gpu(evidence: Evidence, more: str = "") -> Judgement | None:
    """The judgement where there is no GPU, or no word of the machine; else None."""
    if evidence.gpus is None:
        return not_tested("environment.json is not there")
    if evidence.gpus:
        return None
    told = f"environment.json lists no GPU, and the claim is about one. {more}"
    return Judgement(Verdict.NOT_TESTABLE, None, told.strip())


def on_gpu(judge: Callable[[Evidence], Judgement]) -> Callable[[Evidence], Judgement]:
    """Ask the decorated judge only where there is a GPU."""
    return lambda evidence: without_gpu(evidence) or judge(evidence)
