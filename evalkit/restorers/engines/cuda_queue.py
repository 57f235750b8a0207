"""A batch's way through a CUDA device, on three streams that overlap with others'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.levels import Finish, Then

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray


def queue(
    streams: Sequence[Any],
    device: torch.device,
    batch: torch.Tensor,
    network: Callable[[torch.Tensor], torch.Tensor],
    then: Then,
    stage: str,
    watch: Stopwatch,
) -> Finish:
    """Queue a batch's upload, its network with what is done then, and the download.

    Parameters
    ----------
    streams
        Of `device`, which is the current one: for upload, network and download.
    batch
        On the CPU.
    network
        Takes the batch on the device.
    then
        Takes the network's output; what it gives is all that is downloaded.
    stage
        The name under which `then` is timed.
    watch
        Gets the time between events, once the work is done.

    """
    import torch

    upload, work, download = streams
    new_event: Any = torch.cuda.Event  # PyTorch leaves it untyped
    marks = [new_event(enable_timing=True) for _ in range(7)]
    pinned = batch.pin_memory()
    with torch.cuda.stream(upload):
        marks[0].record()
        source = pinned.to(device, non_blocking=True)
        marks[1].record()
    work.wait_event(marks[1])
    with torch.cuda.stream(work):
        marks[2].record()
        source.record_stream(work)
        output = network(source)
        marks[3].record()
        parts = [part.contiguous() for part in then(output)]
        marks[4].record()
    download.wait_event(marks[4])
    hosts = []
    with torch.cuda.stream(download):
        marks[5].record()
        for part in parts:
            part.record_stream(download)
            host = torch.empty(part.shape, dtype=part.dtype, pin_memory=True)
            hosts.append(host.copy_(part, non_blocking=True))
        marks[6].record()

    stages = (("upload", 0), ("network", 2), (stage, 3), ("download", 5))

    def finish() -> list[NDArray[Any]]:
        marks[6].synchronize()
        for name, first in stages:
            watch.add(name, marks[first].elapsed_time(marks[first + 1]) / 1000)
        return [host.numpy() for host in hosts]

    return finish
