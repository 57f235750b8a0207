"""Other back ends than PyTorch: what they save, against what the article says.

Both claims are ratios and judged as such on any GPU: *reproduced* within the factor
`evalkit.article._figures.SAME`, *contradicted* without any gain, else *inconclusive*,
as where precisions or networks do not agree.
"""

import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    decide,
    not_tested,
    without_gpu,
)
from evalkit.article._figures import CLAIMED, SAME, X4PLUS
from evalkit.article._tables import COMMANDS
from evalkit.experiments.backends import NCNN, ONNX, PYTORCH
from evalkit.tables import BACKENDS


def _memory_on_onnx_runtime(evidence: Evidence) -> Judgement:
    """Memory saved at equal precision, in fp32 and in fp16, on each network."""
    rows = _timed(evidence, ONNX).dropna(subset="memory_saved_percent")
    percents = rows["memory_saved_percent"].tolist()
    named = rows["network"] + " " + rows["precision"] + ", " + rows["memory_meter"]
    texts = [f"{p:.0f} % ({name})" for p, name in zip(percents, named, strict=True)]
    return _judged(
        evidence,
        rows,
        "; ".join(texts),
        _verdict(percents, "D1", nothing=0),
        "tables/backends.csv, memory_saved_percent: against PyTorch, upstream, "
        "precision and tile alike, which the article does not tell; outputs agree.",
    )


def _speed_on_ncnn(evidence: Evidence) -> Judgement:
    """The same network on both; the command as printed runs another one."""
    rows = _timed(evidence, NCNN)
    rows = rows[rows["network"] == X4PLUS]
    ratios = rows["speed_up"].tolist()
    texts = [f"{r:.2g}x ({d})" for r, d in zip(ratios, rows["device"], strict=True)]
    return _judged(
        evidence,
        rows,
        f"{X4PLUS} on both: {'; '.join(texts)}; as printed: {_as_printed(evidence)}",
        _verdict(ratios, "D2", nothing=1),
        "tables/backends.csv, speed_up: warm medians against PyTorch, upstream; "
        "outputs agree, column differs says what else does not. The verdict is not on "
        "the printed command of tables/commands.csv, which runs another network.",
    )


def _judged(
    evidence: Evidence, rows: pd.DataFrame, answer: str, verdict: Verdict, reason: str
) -> Judgement:
    if rows.empty:
        return not_tested("tables/backends.csv has no timed run; 50_backends makes it.")
    if no_gpu := without_gpu(evidence, f"On the CPU: {answer}."):
        return no_gpu
    if (rows["device"] == "cpu").any():
        return Judgement(Verdict.NOT_TESTABLE, answer, "Timed on the CPU, not a GPU.")
    return Judgement(verdict, answer, reason)


def _timed(evidence: Evidence, backend: str) -> pd.DataFrame:
    """Rows of a back end that have something to be compared with."""
    table = evidence.read(BACKENDS)
    return table[(table["backend"] == backend) & table["speed_up"].notna()]


def _verdict(values: Iterable[Any], claim: str, *, nothing: float) -> Verdict:
    """One verdict where all values have it; `nothing` is the value without a gain."""
    (number,) = re.findall(r"[\d.]+", str(CLAIMED[claim]))
    claimed = float(number)
    low, high = claimed / SAME, claimed * SAME
    verdicts = {
        decide(holds=low <= value <= high, fails=value <= nothing) for value in values
    }
    return verdicts.pop() if len(verdicts) == 1 else Verdict.INCONCLUSIVE


def _as_printed(evidence: Evidence) -> str:
    """A picture by the printed command over one by PyTorch, loading included."""
    scripts = evidence.read(BACKENDS).merge(evidence.read(COMMANDS), on="source")
    is_one = (scripts["network_x"] == X4PLUS) & scripts["network_y"].notna()
    is_one &= scripts["backend"] == PYTORCH
    is_one &= scripts["wall_time_s"].notna() & ~scripts["command"].str.contains(" -n ")
    rows = scripts[is_one]
    ratios = (rows["load_time_s"] + rows["cold_wall_time_s"]) / rows["command_time_s"]
    named = rows["precision"] + ", by " + rows["network_y"]
    texts = [f"{r:.2g}x over {name}" for r, name in zip(ratios, named, strict=True)]
    return "; ".join(texts) or "not tried"


ENTRIES = (
    Evaluator("D1", _memory_on_onnx_runtime),
    Evaluator("D2", _speed_on_ncnn),
)
