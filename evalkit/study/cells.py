"""What a worker does in a process of its own: load, then restore and measure."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalkit.downloads.files import digest
from evalkit.errors import OutputRejectedError, SourceChangedError
from evalkit.images import pixel_sha256, read_image, write_image
from evalkit.profiling.clock import torch_flags
from evalkit.profiling.memory import MemoryPeaks, cuda_reserved_mib
from evalkit.profiling.monitor import Monitor
from evalkit.profiling.nvml import device_index
from evalkit.restorers import (
    Restored,
    Restorer,
    load_restorer,
    parse_condition,
    plan_restorer,
)

ALIGNED = "aligned-face"
"""The kind of a source that is one aligned face and nothing else."""


@contextmanager
def loaded(
    condition: str, *, is_watched: bool = True
) -> Iterator[tuple[Restorer, Monitor | None, dict[str, Any]]]:
    """Load a restorer under a monitor, in a process that has used no GPU yet.

    With `is_watched` false there is no monitor: it would take its share of a memory
    limit.

    Yields
    ------
    tuple
        The restorer; the monitor, if any; the columns of ``records`` that belong to
        the first run: ``load_time_s``, and with a monitor the resident set
        before and after the load.

    """
    # the parent has fetched what can be had: no download belongs in a timed cell
    os.environ["EVALKIT_OFFLINE"] = "1"
    # NVML's order of GPUs; CUDA's own is by speed
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    parameters = parse_condition(condition)
    device = plan_restorer(**parameters).resolved.get("device", "cpu")
    watch = Monitor(device_index=device_index(device)) if is_watched else nullcontext()
    with watch as monitor:
        start = time.perf_counter()
        restorer = load_restorer(**parameters)
        end = time.perf_counter()
        once = {"load_time_s": end - start}
        if monitor:
            for name, at in (("start_rss_mib", start), ("loaded_rss_mib", end)):
                once[name] = monitor.summary(at, at)["peak_rss_mib"]
        yield restorer, monitor, once


def context_mib(monitor: Monitor | None) -> float | None:
    """What the device has lost and torch does not hold: the context, libraries' own.

    To be asked after a run: CUDA loads a kernel, and cuDNN its libraries, when they
    are first used.
    """
    now, held = time.perf_counter(), cuda_reserved_mib()
    if monitor is None or held is None:
        return None
    lost: float | None = monitor.summary(now, now)["nvml_device_delta_mib"]
    return None if lost is None else lost - held


def check_unchanged(path: Path, sha256: str | None) -> None:
    """Refuse a picture that is not the one that the study looked at.

    Raises
    ------
    SourceChangedError
        Its file has another digest than `sha256`; null is not compared.

    """
    found = digest(path) if sha256 else sha256
    if found != sha256:
        raise SourceChangedError(
            f"{path} changed while the study ran: expected sha256 {sha256}, found "
            f"{found}; run the study again"
        )


def measure(
    restore: Callable[..., Restored],
    source: str,
    path: Path,
    kind: str,
    output: Path,
    monitor: Monitor | None = None,
    before: Sequence[tuple[float, float]] = (),
) -> dict[str, Any]:
    """Restore one picture as a user's run does, from its file to a file, and time it.

    `restore` is a restorer's; `source`, `path` and `kind` are from the table
    `evalkit.tables.IMAGES`. What a monitor measures is left out where there is none;
    `before` as in its `summary`.

    Returns
    -------
    dict
        The measured columns of ``records``.

    Raises
    ------
    OutputRejectedError
        The restorer left torch's global flags changed.

    """
    # a restorer without torch is not made to import it
    flags = torch_flags() if "torch" in sys.modules else None
    memory = MemoryPeaks()
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    begin = time.perf_counter()
    picture = read_image(path)
    decoded = time.perf_counter()
    restored = restore(picture, aligned=kind == ALIGNED, source=source)
    done = time.perf_counter()
    write_image(output, restored.image)
    end = time.perf_counter()
    peaks = memory.read()
    if flags is not None and torch_flags() != flags:
        raise OutputRejectedError(
            f"torch's global flags were {flags} and the restorer left {torch_flags()}: "
            "what runs after it in this process is not comparable"
        )
    meters = monitor.summary(begin, end, before) if monitor else {"notes": []}
    sizes = (found.get("peak_rss_mib") for found in (peaks, meters))
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
        **peaks,
        **meters,
        # the kernel misses no peak of this process, the monitor sees its children
        "peak_rss_mib": max(size for size in sizes if size is not None),
        "notes": restored.notes + meters["notes"],
    }
