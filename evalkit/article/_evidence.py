"""What a claim is judged on, a run folder, and what a judge returns."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import pandas as pd

from evalkit.article._register import Claim
from evalkit.errors import INTERRUPTED
from evalkit.rating.answers import Answers
from evalkit.study.run_folder import SQLITE, Run
from evalkit.tables import Table


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
    FOLLOWED = "followed"
    """Of a claim about method: this run worked in the same way."""
    NOT_FOLLOWED = "not followed"
    """Of a claim about method: this run worked in another way, or in a part of it."""
    SHOWN = "shown"
    """Of an offer: another program's cannot be tested, and evalkit's own is there."""


OPEN = (Verdict.INCONCLUSIVE, Verdict.NOT_TESTABLE, Verdict.NOT_TESTED)
"""Verdicts of which a report says what would settle the claim."""


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
    n_intervals
        How many 95 % intervals the verdict rests on; `evalkit.article.chance` says how
        many are wrong by chance at most.

    """

    verdict: Verdict
    found: str | None
    evidence: str
    n_intervals: int = 0


def not_tested(missing: str) -> Judgement:
    """Judge that nothing has been measured; `missing` says what is lacking."""
    return Judgement(Verdict.NOT_TESTED, None, missing)


def decide(*, holds: bool, fails: bool) -> Verdict:
    """Contradicted if the claim fails, else reproduced if it holds, else open."""
    if fails:
        return Verdict.CONTRADICTED
    return Verdict.REPRODUCED if holds else Verdict.INCONCLUSIVE


def within(
    low: float,
    high: float,
    least: float = -inf,
    most: float = inf,
    *,
    is_effect: bool = False,
    denied: tuple[float, float] | None = None,
) -> Verdict:
    """The one rule for a measured interval and the range that a claim puts it in.

    Reproduced only if the whole interval lies inside the range, contradicted only if
    wholly outside, else open. An interval that is not known is open.

    Parameters
    ----------
    low, high
        The interval.
    least, most
        The claim's range.
    is_effect
        The bounds of the range are no effect and do not belong to it.
    denied
        A wider range, for what is measured on another machine than the claim's: there
        only an interval wholly outside of this one contradicts.

    """
    holds = least < low and high < most if is_effect else least <= low and high <= most
    lowest, highest = denied or (least, most)
    fails = high < lowest or low > highest
    return decide(holds=holds, fails=fails)


def all_of(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of a claim of several parts: it falls with any of them."""
    parts = {*verdicts}
    if Verdict.CONTRADICTED in parts:
        return Verdict.CONTRADICTED
    return parts.pop() if len(parts) == 1 else Verdict.INCONCLUSIVE


LEAST_SUBJECTS, LEAST_SOURCES = 3, 3
"""The least panel whose scores decide a claim."""

LEAST_COVERAGE = 0.93
"""Of intervals that are said to hold the truth in 95 %: see `simulated_coverage`."""

LEAST_PANEL = (
    f"A verdict takes {LEAST_SUBJECTS} subjects and {LEAST_SOURCES} pictures at least."
)


def of_panel(
    verdict: Verdict, panel: Mapping[str, Any], statistic: str | None = "mos"
) -> tuple[Verdict, str]:
    """The verdict where the panel is good for one; else open, and a sentence why.

    `panel` has ``n_subjects`` and ``n_sources`` (pictures of one original or face count
    once). `statistic` is that of `simulated_coverage` whose interval was judged; None
    where its coverage was not simulated, and the size alone counts.
    """
    n_subjects, n_sources = int(panel["n_subjects"]), int(panel["n_sources"])
    if n_subjects < LEAST_SUBJECTS or n_sources < LEAST_SOURCES:
        return Verdict.INCONCLUSIVE, f" {LEAST_PANEL}"
    if statistic is None:
        return verdict, ""
    from evalkit.stats import simulated_coverage  # with scipy, for those who rated

    coverage = simulated_coverage(n_subjects, n_sources, statistic)
    if coverage >= LEAST_COVERAGE:
        return verdict, ""
    return Verdict.INCONCLUSIVE, (
        f" The intervals of {n_subjects} subjects and {n_sources} pictures hold the "
        f"truth in {coverage:.1%} only, and a verdict takes {LEAST_COVERAGE:.0%}."
    )


class Evidence(Run):
    """A finished run folder, whose tables are read once."""

    @cached_property
    def _tables(self) -> dict[tuple[str, str], pd.DataFrame]:
        return {}

    def read(self, table: Table, part: str = "") -> pd.DataFrame:
        """See `Run.read`; of what several machines measured, this run's machine's."""
        key = (table.name, part)
        if key not in self._tables:
            self._tables[key] = self._of_machine(super().read(table, part))
        return self._tables[key]

    def _of_machine(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Of several machines' rows those of the newest step's, else of the last row's.

        Unlike machines are never pooled; what is of no machine here, an article's
        figure say, stays.
        """
        if "machine" not in frame.columns or frame["machine"].nunique() < 2:
            return frame
        machines = frame["machine"]
        last = machines.dropna().iloc[-1]
        here = self.environment.get("machine", {}).get("machine", last)
        is_it = machines.isna() | (machines == here).fillna(value=False)
        return frame[is_it].reset_index(drop=True)

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """Table `evalkit.tables.RECORDS` of the pictures that the folder lists."""
        return self.at_hand()

    @cached_property
    def results(self) -> pd.DataFrame:
        """The attempts that the machine did not interrupt."""
        is_result = self.attempts["outcome"] != INTERRUPTED
        return self.attempts[is_result].reset_index(drop=True)

    def ok_records(self, experiment: str) -> pd.DataFrame:
        """The records of `experiment` whose outcome is ``ok``.

        What was timed is of one machine, as in `read`; pictures are of any.
        """
        results = self.results
        chosen = (results["experiment"] == experiment) & (results["outcome"] == "ok")
        ok = results[chosen].reset_index(drop=True)
        return ok if experiment == "quality" else self._of_machine(ok)

    @cached_property
    def _originals(self) -> dict[Any, Any]:
        columns = ["source", "original", "sha256"]
        rows = self.usable[columns].astype(object).itertuples(index=False)
        return {
            row[0]: next((name for name in row[1:] if pd.notna(name)), row[0])
            for row in rows
        }

    def originals_of(self, sources: pd.Series) -> pd.Series:
        """What each source was made of: pictures of one, or of one face, count once."""
        return sources.map(lambda source: self._originals.get(source, source))

    def pictures(self, claim: Claim) -> pd.DataFrame:
        """The pictures that count for a claim (`IMAGES`)."""
        images, wanted = self.usable, claim.pictures
        if wanted is None:
            return images
        notes = images["note"].fillna("").str.contains(wanted.note, case=False)
        return images[images["kind"].isin(wanted.kinds) & notes]

    @property
    def gpus(self) -> list[dict[str, Any]] | None:
        """The GPUs of this run's machine; None when no environment was written."""
        machine = self.environment.get("machine")
        return machine.get("gpus", []) if machine else None

    def has_articles(self, device: str) -> bool:
        """Whether the GPU (``cuda``), or the ``cpu``, is the article's."""
        if device == "cpu":
            cpu = self.environment.get("machine", {}).get("cpu", "")
            return re.search(r"13900K\b", cpu) is not None
        # whichever of several was used
        names = [gpu["name"] for gpu in self.gpus or ()]
        return bool(names) and all(name.endswith("RTX 4090") for name in names)

    @cached_property
    def panel(self) -> Answers:
        """What the panel answered."""
        return self.answers()

    @property
    def scores(self) -> pd.DataFrame:
        """The scores that are numbers, not "can't tell"."""
        return self.panel.scores.dropna(subset=["score"])

    @property
    def store(self) -> str:
        """Where the ratings lie, for a reader."""
        is_elsewhere = bool(os.environ.get("EVALKIT_RATINGS"))
        return "the database that EVALKIT_RATINGS names" if is_elsewhere else SQLITE


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


NO_GPU = "This machine has no GPU, and the claim is about one."
CARD_MIB = 24_000
"""Less than the memory of the article's GPU, 24,564 MiB by NVML, and of no smaller."""


def without_gpu(evidence: Evidence, more: str = "") -> Judgement | None:
    """The judgement where there is no GPU or no ``environment.json``; else None."""
    if evidence.gpus is None:
        return not_tested(
            "The run does not say what machine it ran on: environment.json is missing."
        )
    if evidence.gpus:
        return None
    return Judgement(Verdict.NOT_TESTABLE, None, f"{NO_GPU} {more}".strip())


def on_gpu(judge: Callable[[Evidence], Judgement]) -> Callable[[Evidence], Judgement]:
    """Ask the decorated judge only where there is a GPU."""
    return lambda evidence: without_gpu(evidence) or judge(evidence)


def on_card(judge: Callable[[Evidence], Judgement]) -> Callable[[Evidence], Judgement]:
    """Ask the decorated judge only where a GPU has as much memory as the article's."""

    @on_gpu
    def asked(evidence: Evidence) -> Judgement:
        # whichever of several was used
        least_mib = min(gpu.get("memory_mib") or 0 for gpu in evidence.gpus or ())
        if least_mib >= CARD_MIB:
            return judge(evidence)
        return Judgement(
            Verdict.NOT_TESTABLE,
            None,
            f"The GPU here has {least_mib / 1024:.0f} GiB of memory, and the claim "
            "is about one of 24 GB: that a smaller one runs out of it says nothing.",
        )

    return asked
