"""Other back ends than PyTorch: what they save, against what the article says.

Both claims are ratios and judged as such on any GPU: *reproduced* within the range of
``data/claims.yaml``, *contradicted* only without any gain, else *inconclusive*, as
where precisions or networks do not agree.
"""

from collections.abc import Iterable
from math import inf, nan

import pandas as pd

from evalkit.article._evidence import (
    Evaluator,
    Evidence,
    Judgement,
    Verdict,
    not_tested,
    within,
    without_gpu,
)
from evalkit.article._figures import CLAIMS, X4PLUS
from evalkit.article._tables import COMMANDS
from evalkit.article._values import BLOCK_MIB
from evalkit.experiments.backends import NCNN, ONNX, PYTORCH
from evalkit.tables import BACKENDS


def _memory_on_onnx_runtime(evidence: Evidence) -> Judgement:
    """Memory saved at equal precision, in fp32 and in fp16, on each network."""
    rows = _timed(evidence, ONNX).dropna(subset="memory_saved_percent")
    percents = rows["memory_saved_percent"].tolist()
    named = rows["network"] + " in " + rows["precision"] + ", " + rows["memory_meter"]
    texts = [
        f"{abs(p):.3g} % {'less' if p >= 0 else 'more'} memory ({name})"
        for p, name in zip(percents, named, strict=True)
    ]
    bounds = CLAIMS["D1"].bounds
    # a block of the allocator, in per cent of the reference's memory
    blocks = 100 * BLOCK_MIB * (1 - rows["memory_saved_percent"] / 100)
    blocks = (blocks / rows["memory_mib"]).fillna(0)
    verdicts = [
        within(p - block, p + block, *bounds, denied=(0, inf))
        for p, block in zip(percents, blocks, strict=True)
    ]
    return _judged(
        evidence,
        rows,
        f"ONNX Runtime, with PyTorch loaded beside it, took {'; '.join(texts)}",
        verdicts,
        "Each against PyTorch upstream at the same precision and tile, since the "
        "article does not say against which (tables/backends.csv); outputs agree.",
    )


def _speed_on_ncnn(evidence: Evidence) -> Judgement:
    """The same network on both; the command as printed runs another one."""
    rows = _timed(evidence, NCNN)
    rows = rows[rows["network"] == X4PLUS]
    bounds, texts, verdicts = CLAIMS["D2"].bounds, [], []
    for row in rows.to_dict("records"):
        low, high = (float(row[f"speed_up_{end}"] or nan) for end in ("low", "high"))
        verdicts.append(within(low, high, *bounds, denied=(1, inf)))
        spread = "" if pd.isna(low) else f" [{low:.2g}, {high:.2g}]"
        texts.append(
            f"{X4PLUS} by ncnn was {row['speed_up']:.2g} times{spread} as fast as by "
            f"PyTorch upstream, warm ({row['device']}, {row['precision']})"
        )
    return _judged(
        evidence,
        rows,
        "; ".join([*texts, _as_printed(evidence)]),
        verdicts,
        f"{X4PLUS} on both, against PyTorch upstream (tables/backends.csv); outputs "
        "agree, and the column differs says what else does not. The command as the "
        "article prints it runs a smaller network, so the verdict is not on that.",
    )


def _judged(
    evidence: Evidence,
    rows: pd.DataFrame,
    answer: str,
    verdicts: Iterable[Verdict],
    reason: str,
) -> Judgement:
    """One verdict where all rows have it; not testable where none is of a GPU."""
    here = f"On the CPU: {answer}." if len(rows) else ""
    if no_gpu := without_gpu(evidence, here):
        return no_gpu
    if rows.empty:
        return not_tested(
            "No back end was timed here: the study leaves out the experiment backends."
        )
    if (rows["device"] == "cpu").any():
        why = f"Timed on the CPU, and the claim is about a GPU. {answer}."
        return Judgement(Verdict.NOT_TESTABLE, answer, why)
    agreed = {*verdicts}
    verdict = agreed.pop() if len(agreed) == 1 else Verdict.INCONCLUSIVE
    return Judgement(verdict, answer, f"{answer}. {reason}", len(rows))


def _timed(evidence: Evidence, backend: str) -> pd.DataFrame:
    """Rows of a back end that have something to be compared with."""
    table = evidence.read(BACKENDS)
    rows = table[(table["backend"] == backend) & table["speed_up"].notna()]
    on_gpu = rows[rows["device"] != "cpu"]
    return rows if on_gpu.empty else on_gpu  # what a CPU took decides nothing


def _as_printed(evidence: Evidence) -> str:
    """A cold picture by the printed command over one by PyTorch, loading included."""
    scripts = evidence.read(BACKENDS).merge(evidence.read(COMMANDS), on="source")
    is_one = (scripts["network_x"] == X4PLUS) & scripts["network_y"].notna()
    is_one &= scripts["backend"] == PYTORCH
    is_one &= scripts["wall_time_s"].notna() & ~scripts["command"].str.contains(" -n ")
    rows = scripts[is_one]
    ratios = (rows["load_time_s"] + rows["cold_wall_time_s"]) / rows["command_time_s"]
    if rows.empty:
        return "the command as printed was not tried"
    texts = [
        f"{ratio:.2g} times ({precision})"
        for ratio, precision in zip(ratios, rows["precision"], strict=True)
    ]
    command = rows.iloc[0]
    return (
        f"the command as printed takes another network, {command['network_y']}: one "
        f"cold run with loading was {' and '.join(texts)} as fast as PyTorch upstream "
        f"with {X4PLUS} (tables/commands.csv; tried by {command['tried']})"
    )


ENTRIES = (
    Evaluator("D1", _memory_on_onnx_runtime),
    Evaluator("D2", _speed_on_ncnn),
)
