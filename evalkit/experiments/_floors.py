"""Can this number be true? Every figure of cost stands beside its lower bound."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import pandas as pd

from evalkit.errors import EvalkitError
from evalkit.experiments._stages import median_stages, restore_time_s
from evalkit.paths import package_dir
from evalkit.profiling.isolation import run_cell
from evalkit.provenance import environment
from evalkit.restorers import restorers
from evalkit.restorers.engines.torch import pick_device
from evalkit.stats.bootstrap import median_interval
from evalkit.study.experiment import of_records
from evalkit.study.groups import GROUP, arithmetic, newest, source_size
from evalkit.study.published import published
from evalkit.study.run_folder import Run
from evalkit.tables import FLOORS, RATES

GPU_MEMORY = (
    "cuda_reserved_peak_mib",
    "nvml_process_peak_mib",
    "nvml_device_delta_mib",
)
"""Columns of records; the first that is known counts."""

TIME, MEMORY, BUSY = "wall time", "peak memory", "GPU busy"
UNITS = {TIME: "s", MEMORY: "MiB", BUSY: "%"}
"""Quantities, and the units in which the table ``floors`` has them."""

LEAST_SPREAD = 0.5
"""NVML tells how busy a GPU is in whole percents."""

OF_SETTING = ("runner", "device", "precision", "tile")
OF_FIGURE = ("restorer", "quantity", "value", "width_px", "height_px", "n_pictures")


def summarise_floors(run: Run) -> pd.DataFrame:
    """Put every measured and every published figure of cost beside its floor.

    The floor of a time is that of the networks' operations at the device's rate (see
    `evalkit.profiling.floors`), or of moving their weights, inputs and outputs once,
    whichever is more; that of a memory is the weights with the inputs and outputs of
    the largest operation (see `evalkit.restorers._work.count_work`). Rates are measured
    after the runs that they are compared with (see `evalkit.experiments.measure_cost`),
    else here, and kept in the table ``rates``; a published figure names its device's.
    A measured time under its floor means that the rate was measured on a busy machine,
    or that a library is faster than PyTorch.

    Returns
    -------
    DataFrame
        Table `evalkit.tables.FLOORS`, also written to the run's tables.

    """
    rates, rows = Rates(run), list(_published())
    timed = [name for name, entry in of_records().items() if entry.has_floor]
    for names, cell in newest(run, *timed).groupby(GROUP, dropna=False):
        rows += _measured(dict(zip(GROUP, names, strict=True)), cell, rates)
    return run.keep(FLOORS, rows)


class Rates:
    """Rates by machine, device and precision; measures and keeps this machine's."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._here = str(environment()["machine"]["machine"])
        frame = run.read(RATES).set_index(list(RATES.key))
        self._rates: dict[Any, Any] = frame.to_dict("index")

    def __call__(
        self,
        machine: str,
        device: str,
        precision: str,
        preload: Sequence[str] = ("torch",),
    ) -> Mapping[str, Any]:
        """The columns of a row of ``rates``; nothing for one that is unknown.

        A rate of this machine is measured, where there is PyTorch.

        `preload` is what a server of workers that runs already has imported.
        """
        if device.startswith("vulkan"):  # PyTorch has another name for it
            device = pick_device("auto")
        if precision == "none":  # a copy has none: any of the device's will do
            names = [name for name in self._rates if name[:2] == (machine, device)]
            precision = names[0][2] if names else precision
        key = (machine, device, precision)
        can_be_measured = machine == self._here and package_dir("torch")
        if key not in self._rates and can_be_measured:
            self._rates[key] = _measure(device, precision, preload)
            rows = [
                dict(zip(RATES.key, names, strict=True)) | columns
                for names, columns in self._rates.items()
            ]
            self._run.keep(RATES, rows)
        rate: Mapping[str, Any] = self._rates.get(key, {})
        return rate


def _measure(device: str, precision: str, preload: Sequence[str]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    ending = run_cell(
        "evalkit.profiling.floors:measure_rates",
        {"device": device, "precision": precision},
        on_message=messages.append,
        start_method="forkserver" if device == "cpu" else "spawn",
        preload=preload,
    )
    if ending.outcome != "ok":
        raise EvalkitError(f"no rate of {device}, {precision}: {ending.error}")
    return messages[0]


def _measured(
    row: dict[str, Any], cell: pd.DataFrame, rates: Rates
) -> Iterable[dict[str, Any]]:
    """The figures of one condition and source, under the setting of its records."""
    ok = cell[cell["outcome"] == "ok"]
    warm = ok[ok["phase"] == "warm"]
    if warm.empty:
        return
    last = warm.iloc[-1]
    setting, spec = json.loads(last["setting"]), restorers()[last["restorer"]]
    device = str(setting.get("device", "cpu"))
    row |= {"figure": "measured", "restorer": spec.name, "n_runs": len(warm)}
    row |= {name: setting.get(name) for name in ("runner", "precision", "tile")}
    if row["tile"] == "auto":  # on CUDA: notes say of each picture what was chosen
        row["tile"] = None
    row |= {"device": device.partition(":")[0], "weights_kind": last["weights_kind"]}
    value = row.pop("value")
    row["n_pictures"] = of_records()[row["experiment"]].n_pictures(value)
    work = None
    rate: Mapping[str, Any] = {}
    if spec.work:
        row["width_px"], row["height_px"] = source_size(last)
        work = spec.work(setting, row["height_px"], row["width_px"])
        rate = rates(row["machine"], device, arithmetic(work.precision, warm))
    columns = ("peak_rss_mib",) if device == "cpu" else GPU_MEMORY
    low, high = median_interval(warm["wall_time_s"].to_numpy(float))
    parts = {"restore_time_s": restore_time_s(warm), "stages_s": median_stages(warm)}
    values: dict[str, dict[str, Any]] = {
        TIME: {
            "value": warm["wall_time_s"].median(),
            "low": low,
            "high": high,
            **parts,
        },
        BUSY: _busy(cell),
    }
    for column in reversed(columns):
        if ok[column].notna().any():
            values[MEMORY] = {"value": ok[column].max(), "note": column}
    for quantity, figure in values.items():
        if pd.notna(figure["value"]):
            yield _beside_floor({**row, "quantity": quantity, **figure}, work, rate)


def _busy(cell: pd.DataFrame) -> dict[str, Any]:
    """What the processes read of their whole series; see `evalkit.tables.FLOORS`."""
    process = (cell["phase"] == "cold").astype("int64").cumsum()
    is_warm = (cell["phase"] == "warm") & (cell["outcome"] == "ok")
    read = cell["gpu_busy_percent"].where(is_warm).groupby(process).last().dropna()
    if len(read) < 2:  # no spread
        return {"value": read.mean()}
    from scipy.special import stdtrit  # late, as in `evalkit.stats.bootstrap`

    half = stdtrit(len(read) - 1, 0.975) * max(read.std(), LEAST_SPREAD)
    half /= len(read) ** 0.5
    low, high = max(0.0, read.mean() - half), min(100.0, read.mean() + half)
    return {"value": read.mean(), "low": low, "high": high}


def _published() -> Iterable[dict[str, Any]]:
    """The figures of published comparisons."""
    figures = [entry.figures for entry in published().values()]
    for figure in chain.from_iterable(figures):
        spec = restorers()[figure.restorer]
        assert spec.work, f"{spec.name} has a network"
        row = {
            **{name: figure.setting[name] for name in OF_SETTING},
            **{name: getattr(figure, name) for name in OF_FIGURE},
            "figure": figure.name,
            "note": figure.note,
        }
        size = figure.height_px, figure.width_px
        # PyTorch counts operations; a host for interpolation alone may lack it
        work = spec.work(figure.setting, *size) if package_dir("torch") else None
        yield _beside_floor(row, work, figure.rate)


def _beside_floor(
    row: dict[str, Any], work: Any, rate: Mapping[str, Any]
) -> dict[str, Any]:
    """The row with its floor; null where the work or the rate is unknown."""
    row["unit"] = UNITS[row["quantity"]]
    if work:
        row["operations_tflop"] = work.operations / 1e12
        if row["quantity"] == MEMORY:
            row["floor"] = work.coexisting_bytes / 2**20
        elif row["quantity"] == TIME and rate:
            seconds = [work.moved_bytes / 2**30 / rate["copy_gib_s"]]
            if work.operations:
                row["matrix_tflop_s"] = rate["matrix_tflop_s"]
                seconds.append(row["operations_tflop"] / rate["matrix_tflop_s"])
            row["floor"] = row["n_pictures"] * max(seconds)
    if "floor" in row:
        row["is_below"] = bool(row["value"] < row["floor"])
    return row
