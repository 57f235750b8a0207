"""The step that takes the measured memory apart and shows what is left unexplained."""

from typing import Any

import pandas as pd

from evalkit.study.run_folder import CELL, Run
from evalkit.tables import MEMORY


def summarise_memory(run: Run) -> pd.DataFrame:
    """Reconcile the memory of the cost runs, by condition, picture and machine.

    On a GPU what NVML saw the device lose is torch's reserved memory, the CUDA
    context with the kernels and libraries that the first run loaded, and a rest,
    which is shown. Without one it is the resident set before loading, after, and at
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
    seen = cell["nvml_device_delta_mib"]
    highest = cell.loc[seen.idxmax()] if seen.notna().any() else cell.iloc[0]
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
