"""What a worker does in a process of its own: load, then restore and measure."""

import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from evalkit.errors import OutputRejectedError
from evalkit.images import pixel_sha256, read_image, write_image
from evalkit.profiling.clock import torch_flags
from evalkit.profiling.memory import MemoryPeaks
from evalkit.profiling.nvml import memory_of, open_device, own_processes
from evalkit.restorers import Restorer, load_restorer, parse_condition

ALIGNED = "aligned-face"
"""The kind of a source that is one aligned face and nothing else."""


def restore_cell(
    emit: Callable[[dict[str, Any]], None],
    *,
    condition: str,
    source: str,
    path: str,
    kind: str,
    target: str | None,
    n_warm: int,
) -> None:
    """Load a restorer once, restore one source 1 + `n_warm` times, emit each run.

    Parameters
    ----------
    emit
        Takes a record's measured columns as soon as a run has ended.
    condition
        A condition's name.
    source, path, kind
        From the table `evalkit.tables.IMAGES`.
    target
        Where the output goes; None to write it to a temporary file, so that a
        timed run does all that a user's run does.
    n_warm
        Runs after the first.

    """
    # the parent has fetched what can be had: no download belongs in a timed cell
    os.environ["EVALKIT_OFFLINE"] = "1"
    gpu = Gpu()
    start = time.perf_counter()
    restorer = load_restorer(**parse_condition(condition))
    load_time_s = time.perf_counter() - start
    with TemporaryDirectory() as folder:
        output = Path(target) if target else Path(folder) / "output.png"
        for run in range(1 + n_warm):
            found = _measure(restorer, source, Path(path), kind, output)
            found |= {"run": run or 1, "phase": "warm" if run else "cold"}
            found["load_time_s"] = None if run else load_time_s
            emit(found | gpu.memory())


class Gpu:
    """Memory by NVML since this object was made, before anything used the device.

    It is read after a run, not during it: torch's allocator keeps what it took, so
    this is the peak of what torch took, and of contexts and libraries as they are.
    """

    def __init__(self) -> None:
        with open_device() as device:
            self._before = device.read() if device else None

    def memory(self) -> dict[str, float | None]:
        """``nvml_process_peak_mib`` and ``nvml_device_delta_mib``; null if unknown."""
        torch = sys.modules.get("torch")
        process = delta = None
        with open_device() as device:
            if device and self._before and torch and torch.cuda.is_initialized():
                now, before = device.read(), self._before
                own = own_processes(before.processes, now.processes, [os.getpid()])
                process = memory_of(now.processes, own)
                if now.device_used_mib and before.device_used_mib is not None:
                    delta = now.device_used_mib - before.device_used_mib
        return {"nvml_process_peak_mib": process, "nvml_device_delta_mib": delta}


def _measure(
    restorer: Restorer, source: str, path: Path, kind: str, output: Path
) -> dict[str, Any]:
    # a restorer without torch is not made to import it
    flags = torch_flags() if "torch" in sys.modules else None
    memory = MemoryPeaks()
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    begin = time.perf_counter()
    picture = read_image(path)
    decoded = time.perf_counter()
    restored = restorer.restore(picture, aligned=kind == ALIGNED, source=source)
    done = time.perf_counter()
    write_image(output, restored.image)
    end = time.perf_counter()
    peaks = memory.read()
    if flags is not None and torch_flags() != flags:
        raise OutputRejectedError(
            f"torch's global flags were {flags} and the restorer left {torch_flags()}: "
            "what runs after it in this process is not comparable"
        )
    height, width = restored.image.shape[:2]
    return {
        "started_at": started_at,
        "outcome": "ok",
        "wall_time_s": end - begin,
        "stages_s": {
            "decode": decoded - begin,
            **restored.stages_s,
            "encode": end - done,
        },
        "output_sha256": pixel_sha256(restored.image),
        "output_width_px": width,
        "output_height_px": height,
        "notes": restored.notes,
        **peaks,
    }
