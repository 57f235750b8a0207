"""What a process and its GPU do meanwhile, sampled by a process beside it."""

import os
import subprocess
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from tempfile import TemporaryFile
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from evalkit.profiling import _server
from evalkit.profiling._client import tail
from evalkit.profiling._sampler import COLUMNS, EVERY, MEMORY_MS
from evalkit.profiling.memory import cuda_reserved_mib
from evalkit.profiling.nvml import throttle_reasons

START_S = 20.0
LATE_S = 2.0
"""After so long without an awaited sample its monitor counts as dead."""

LONGEST_GAP_S = 10 * MEMORY_MS / 1000
"""A longer gap between samples is noted."""

HIDDEN_PROCESSES = (
    "NVML's processes cannot be told from ours (a container hides them): others may "
    "have been on the GPU"
)

UNKNOWN: dict[str, Any] = dict.fromkeys(
    (
        *("peak_rss_mib", "nvml_process_peak_mib", "nvml_device_delta_mib"),
        *("gpu_busy_percent", "gpu_memory_busy_percent", "mean_power_w", "energy_j"),
        *("temperature_c", "throttle_reasons", "sm_clock_mhz"),
    )
)
"""The columns of `Monitor.summary`."""

RECORD = np.dtype([(name, "f8") for name in COLUMNS])
Samples = NDArray[np.void]
"""Records of `RECORD`, as `_sampler.RECORD` packs them."""

Values = NDArray[np.float64]


class Monitor:
    """Samples this process, its descendants and a GPU while the block runs.

    The samples are taken and kept outside the process that is measured, whose memory
    they do not change. If the monitor dies, the block goes on.

    Parameters
    ----------
    device_index
        The GPU, see `evalkit.profiling.nvml.open_device`; None for none.

    Notes
    -----
    Enter it before the process uses the GPU, whose memory at that time is subtracted
    later, and from a thread that lasts (see
    `evalkit.profiling.parents.die_with_parent`).

    """

    def __init__(self, device_index: int | None = None) -> None:
        self._device_index = device_index

    def __enter__(self) -> Self:
        self._file, self._errors = TemporaryFile(), TemporaryFile()
        arguments = {"pid": os.getpid(), "device_index": self._device_index}
        self._process = subprocess.Popen(
            _server.program("_sampler", "sample", **arguments),
            stdin=subprocess.DEVNULL,
            stdout=self._file,
            stderr=self._errors,
        )
        self._wait_for(time.perf_counter(), timeout_s=START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._wait_for(time.perf_counter())
        self._process.kill()
        self._process.wait()

    def samples(self) -> Any:
        """All samples so far, as a DataFrame.

        Returns
        -------
        DataFrame
            ``time_s`` (of this process's `time.perf_counter`), ``rss_mib`` (with
            descendants; pages that they share count once for each),
            ``device_used_mib``, ``process_mib`` (GPU memory of the process and its
            descendants), ``n_processes`` (on the GPU, that NVML lists), ``n_foreign``
            (those that are not ours), and what
            `evalkit.profiling.nvml.Device.meters` says. Null is unknown, or not read
            for that sample.

        """
        import pandas as pd  # late: timed processes do without it

        samples = self._read(0, self._n_samples())
        return pd.DataFrame(samples).astype("Float64")

    def timeline(
        self, stages: Sequence[tuple[float, float, str]]
    ) -> list[dict[str, Any]]:
        """The samples from the begin of the first stage on, each with its stage.

        Rows of `evalkit.tables.TIMELINE`; `stages` as `stage_spans` gives them.
        """
        columns = ["time_s", "rss_mib", "process_mib", "device_used_mib"]
        start_s, end_s = stages[0][0], stages[-1][1]
        rows = []
        for sample in self.samples()[columns].to_dict("records"):
            time_s = sample["time_s"]
            inside = [name for begin, end, name in stages if begin <= time_s < end]
            if start_s <= time_s <= end_s:
                stage = inside[0] if inside else None
                rows.append({**sample, "time_s": time_s - start_s, "stage": stage})
        return rows

    def summary(
        self,
        begin_s: float,
        end_s: float,
        before: Sequence[tuple[float, float]] = (),
    ) -> dict[str, Any]:
        """Columns of the table ``records`` for a part of the block.

        Parameters
        ----------
        begin_s, end_s
            By `time.perf_counter`. The same twice for the state at one moment.
        before
            Begin and end of the runs before this one in its series, for what NVML
            measures too coarsely for one run: utilisation and power.

        Returns
        -------
        dict
            ``peak_rss_mib`` (sampled, with descendants), ``nvml_process_peak_mib``,
            ``nvml_device_delta_mib`` (above the first sample), ``gpu_busy_percent``
            and ``gpu_memory_busy_percent`` (of the time of all these runs: the GPU
            rests between them), ``mean_power_w`` (in all these runs, by the energy
            counter, else by the sensor since the first began), ``energy_j`` (of this
            run at that power; null without a counter), ``temperature_c`` (highest),
            ``sm_clock_mhz`` (mean), ``throttle_reasons`` (text, ``none`` if none), and
            ``notes``: gaps, other processes on the GPU. If the monitor did not live to
            the end, all are null and a note says so.

        Notes
        -----
        NVML's utilisation of a moment covers the 1/6 s to 1 s before it, and the power
        sensors of A100 and H100 see a quarter of the time (arXiv 2312.02741): a series
        of a few seconds is measured roughly, one of 10 s well.

        """
        # one of so many has the meters
        n_behind = 1 if self._device_index is None else EVERY
        self._wait_for(end_s, n_behind)
        first, last = self._find(begin_s), self._find(end_s)
        at_start, samples = self._read(0, 1), self._read(first, last + 1)
        if not (samples["time_s"] >= end_s).any():
            return {**UNKNOWN, "notes": [self._why_not()]}
        metered = self._read(first, last + n_behind)
        runs = np.array([*before, (begin_s, end_s)])
        since_s = runs[0, 0]
        series = self._read(max(0, self._find(since_s) - EVERY), last + n_behind)
        power_w, energy_j = _power(series, runs)
        series = series[series["time_s"] >= since_s]
        bits = _without_nan(metered["throttle_bits"]).astype(int)
        reasons = throttle_reasons(np.bitwise_or.reduce(bits)) or ("none",)
        return {
            "peak_rss_mib": _reduce(np.max, samples["rss_mib"]),
            "nvml_process_peak_mib": None
            if _is_unknown(samples)  # the peak may be where it was
            else _reduce(np.max, samples["process_mib"]),
            "nvml_device_delta_mib": _reduce(
                np.max, samples["device_used_mib"] - at_start["device_used_mib"]
            ),
            "gpu_busy_percent": _busy(series["gpu_busy_percent"], runs),
            "gpu_memory_busy_percent": _busy(series["gpu_memory_busy_percent"], runs),
            "mean_power_w": power_w,
            "energy_j": energy_j,
            "temperature_c": _reduce(np.max, metered["temperature_c"]),
            "throttle_reasons": "; ".join(reasons) if len(bits) else None,
            "sm_clock_mhz": _reduce(np.mean, metered["sm_clock_mhz"]),
            "notes": self._notes(samples, begin_s),
        }

    def _notes(self, samples: Samples, begin_s: float) -> list[str]:
        notes = []
        gap_s = np.diff(samples["time_s"], prepend=begin_s).max()
        if gap_s > LONGEST_GAP_S:
            notes.append(f"monitor: {gap_s:.2f} s without a sample")
        n_foreign = _reduce(np.max, samples["n_foreign"])
        if n_foreign:
            notes.append(f"other processes were on the GPU: {n_foreign:.0f}")
        n_listed = _reduce(np.max, samples["n_processes"])
        # torch has a context, so NVML would list this process if it saw it
        is_hidden = n_listed == n_foreign and cuda_reserved_mib() is not None
        if n_listed is not None and (is_hidden or _is_unknown(samples)):
            notes.append(HIDDEN_PROCESSES)
        return notes

    def _why_not(self) -> str:
        code = self._process.poll()
        last_line = tail(self._errors).rpartition("\n")[2]
        how = "did not answer" if code is None else f"ended (exit code {code})"
        return f"monitor: {how}, what it measures is unknown {last_line}".strip()

    def _wait_for(self, time_s: float, n: int = 1, timeout_s: float = LATE_S) -> None:
        """Wait for `n` samples of that time or later, as long as they may come."""
        end = time.perf_counter() + timeout_s
        while self._find(time_s) + n > self._n_samples():
            if self._process.poll() is not None or time.perf_counter() > end:
                return
            time.sleep(0.002)

    def _find(self, time_s: float) -> int:
        """The number of the first sample of that time or later."""
        numbers = range(self._n_samples())
        return bisect_left(
            numbers, time_s, key=lambda n: self._read(n, n + 1)["time_s"][0]
        )

    def _n_samples(self) -> int:
        return os.fstat(self._file.fileno()).st_size // RECORD.itemsize

    def _read(self, first: int, stop: int) -> Samples:
        size = RECORD.itemsize
        data = os.pread(self._file.fileno(), (stop - first) * size, first * size)
        return np.frombuffer(data, RECORD)


def _is_unknown(samples: Samples) -> bool:
    """Whether in any of them NVML's processes could not be told from ours."""
    is_unknown = np.isnan(samples["n_foreign"]) & (samples["n_processes"] > 0)
    return bool(is_unknown.any())


def _without_nan(values: Values) -> Values:
    return values[~np.isnan(values)]


def _reduce(function: Callable[[Values], Any], values: Values) -> float | None:
    numbers = _without_nan(values)
    return float(function(numbers)) if len(numbers) else None


def _busy(percent: Values, runs: Values) -> float | None:
    """The busy share of runs, from samples taken in them and between them."""
    mean = _reduce(np.mean, percent)
    worked_s = np.diff(runs).sum()
    if mean is None or not worked_s:
        return mean
    return float(min(100.0, mean * (runs[-1, 1] - runs[0, 0]) / worked_s))


def _power(series: Samples, runs: Values) -> tuple[float | None, float | None]:
    """Mean power in W of runs, and the energy in J of the last one at it.

    None where unknown; `series` reaches from before the first to behind the last.
    """
    readings = series[~np.isnan(series["energy_j"])]
    durations_s = np.diff(runs)
    if len(readings) < 2 or not durations_s.sum():
        after = series[series["time_s"] >= runs[0, 0]]
        return _reduce(np.mean, after["power_w"]), None
    used_j = np.diff(np.interp(runs, readings["time_s"], readings["energy_j"]))
    power_w = float(used_j.sum() / durations_s.sum())
    return power_w, power_w * float(durations_s[-1, 0])


def stage_spans(
    begin_s: float, record: Mapping[str, Any]
) -> list[tuple[float, float, str]]:
    """Begin, end and name of each stage of a run, from its ``records`` columns.

    Those that alternate from tile to tile are put together, in the order in which they
    began; the time of no stage stands before the last one, the encoding.
    """
    stages_s = dict(record["stages_s"])
    end_s = begin_s + record["wall_time_s"]
    last_s = end_s - stages_s.pop("encode")
    edges = begin_s + np.cumsum([0.0, *stages_s.values()])
    spans = list(zip(edges[:-1], edges[1:], stages_s, strict=True))
    return [*spans, (edges[-1], last_s, "other"), (last_s, end_s, "encode")]
