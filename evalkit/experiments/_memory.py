"""The memory of a condition: what it is made of, and how it grows."""

from typing import Any

import pandas as pd

from evalkit.study.attempt import start
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import CELL, Run
from evalkit.tables import MEMORY, TIMELINE


def summarise_memory(run: Run) -> pd.DataFrame:
    """Reconcile the memory of the cost runs, by condition, picture and machine.

    On a GPU the memory that NVML saw the device lose is torch's reserved memory, the
    CUDA context with the kernels and libraries that the first run loaded, and a rest,
    which is shown. Elsewhere the resident set is shown before loading, after, and at
    its peak.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.MEMORY`, also written to the run's tables.

    """
    cost = run.cost()
    cells = cost[cost["outcome"] == "ok"].groupby(CELL, sort=False)
    rows = [dict(zip(CELL, key, strict=True)) | _parts(cell) for key, cell in cells]
    return run.keep(MEMORY, rows)


def _parts(cell: pd.DataFrame) -> dict[str, Any]:
    most = cell.max(numeric_only=True)
    deltas = cell["nvml_device_delta_mib"]
    highest = cell.loc[deltas.idxmax()] if deltas.notna().any() else cell.iloc[0]
    reserved, context = highest["cuda_reserved_peak_mib"], most["cuda_context_mib"]
    delta = highest["nvml_device_delta_mib"]
    columns = ("start_rss_mib", "loaded_rss_mib", "peak_rss_mib")
    return {
        **{name: most[name] for name in (*columns, "nvml_process_peak_mib")},
        "nvml_device_delta_mib": delta,
        "cuda_reserved_peak_mib": reserved,
        "cuda_context_mib": context,
        "rest_mib": delta - reserved - context,
    }


def trace_memory(run: Run, condition: str, images: pd.DataFrame) -> pd.DataFrame:
    """Sample memory while a condition is loaded and restores the first source twice.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.TIMELINE`, also written to the run's tables; empty if the
        process failed.

    """
    what = Measurement(run, condition, "trace", n_warm=1, arguments={"traced": True})
    row = images.to_dict("records")[0]
    facts = {"condition": condition, "source": row["source"], "machine": what.machine}
    messages: list[dict[str, Any]] = []
    start(what, row, messages.append)
    samples = [facts | sample for m in messages for sample in m.get("samples", ())]
    return run.keep(TIMELINE, samples, condition)
