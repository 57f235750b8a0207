"""Memory budgets: how a process is held to one, and the smallest that is enough."""

import os
import resource
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil, floor, log, log1p

from evalkit.errors import SettingError
from evalkit.machine.out_of_memory import sign_in
from evalkit.profiling import _server
from evalkit.profiling.memory import MIB
from evalkit.profiling.nvml import device_index
from evalkit.provenance import machine

LEAST_MIB = 32
SLACK_MIB = 4
"""CUDA hands out 2 MiB at a time, to the balloon and to what is limited."""


def total_mib(device: str) -> float:
    """The memory of a GPU (``cuda:N``), or what this machine may use (``cpu``)."""
    here, index = machine(), device_index(device)
    if index is None:
        return float(here["memory_gib"]) * 1024
    return float(here["gpus"][index]["memory_mib"])


def budgets(highest_mib: float, anchor_mib: int, resolution: float) -> list[int]:
    """Budgets in MiB, each larger by the share `resolution`; `anchor_mib` is one.

    They do not depend on `highest_mib`, so that later searches find earlier trials.
    """
    step = log1p(resolution)
    first = ceil(log(LEAST_MIB / anchor_mib) / step)
    last = floor(log(max(LEAST_MIB, highest_mib) / anchor_mib) / step)
    return [round(anchor_mib * (1 + resolution) ** k) for k in range(first, last + 1)]


def smallest_budget(works: Callable[[int], bool], tried: Sequence[int]) -> int | None:
    """The smallest budget that works, by bisection; None if the largest does not.

    Parameters
    ----------
    works
        Called for the largest, then for about log2(n) others.
    tried
        Rising budgets.

    """
    if not works(tried[-1]):
        return None
    return tried[bisect_left(tried, True, hi=len(tried) - 1, key=works)]


@contextmanager
def balloon(budget_mib: int, device: str) -> Iterator[None]:
    """Leave a GPU with so much free memory while the block runs; nothing on a CPU.

    The balloon is a child of this process, not of the limited one, whose children's
    memory counts as its own.

    Raises
    ------
    SettingError
        The GPU has less free.

    """
    index = device_index(device)
    if index is None:
        yield
        return
    command = _server.program("budget", "inflate", device=index, budget_mib=budget_mib)
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, encoding="utf-8", stdin=pipe, stdout=pipe
    ) as process:
        free = process.stdout.readline() if process.stdout else ""
        if not free or int(free) < budget_mib - SLACK_MIB:
            reason = f"only {free.strip()} MiB are free" if free else "see its error"
            raise SettingError(
                f"{device} cannot be left with {budget_mib} MiB: {reason}"
            )
        yield


def inflate(device: int, budget_mib: int) -> None:
    """Be the `balloon` until stdin closes; write what is left, in MiB, to stdout."""
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # NVML's
    import torch

    size = torch.cuda.mem_get_info(device)[0] - budget_mib * MIB
    ballast = torch.empty(max(0, size), dtype=torch.uint8, device=f"cuda:{device}")
    print(torch.cuda.mem_get_info(device)[0] // MIB, flush=True)
    sys.stdin.read()
    del ballast


def limit_memory(budget_mib: int, device: str) -> None:
    """Hold this process to a budget for the rest of its life.

    On a CPU RLIMIT_DATA does it: all that the process may write counts, used or not,
    and a request beyond it fails. On a GPU the `balloon` leaves no more than the budget
    to everything, the CUDA context included; here torch's share is cut to it as well.
    """
    index = device_index(device)
    if index is None:
        resource.setrlimit(resource.RLIMIT_DATA, (budget_mib * MIB,) * 2)
        return
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    import torch

    share = budget_mib * MIB / torch.cuda.mem_get_info(index)[1]
    torch.cuda.set_per_process_memory_fraction(min(1.0, share), index)


def is_starved(error: str | None) -> bool:
    """Whether an error or a crash of a limited process names memory as its reason."""
    return sign_in(error or "") is not None
