"""TF32: what single precision is in convolutions on CUDA, unless it is switched off."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from evalkit.restorers._protocol import Plan, Settings

SINGLE = ("fp32", "tf32")
"""Precisions whose numbers have 32 bits."""

FIRST_WITH_TF32 = (8, 0)
"""Compute capability of Ampere: NVIDIA A100 whitepaper, 2020."""

_switching = threading.RLock()


def uses_tf32(plan: Plan) -> bool | None:
    """Whether single precision is TF32's in any part of a restorer; None without CUDA.

    Call it only in a process that may use the device.
    """
    precisions = [single_precision(part.resolved) for part in (plan, *plan.parts)]
    return "tf32" in precisions if any(precisions) else None


def single_precision(settings: Settings) -> str | None:
    """What convolutions calculate in, in single precision; None without CUDA.

    Call it only in a process that may use the device. The runner ``upstream`` has what
    PyTorch's switch says, which is on by default; ``tuned`` has it with the precision
    ``tf32`` alone. A GPU before Ampere has no TF32, and ``NVIDIA_TF32_OVERRIDE=0``
    forbids it.

    Parameters
    ----------
    settings
        Resolved.

    Returns
    -------
    str or None
        ``fp32``, which is exact, or ``tf32``.

    """
    device = str(settings.get("device", "cpu"))
    if not device.startswith("cuda"):
        return None
    import torch

    is_on = settings.get("precision") == "tf32"
    if settings.get("runner") == "upstream":
        is_on = torch.backends.cudnn.allow_tf32
    if not is_on or os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return "fp32"
    capability = torch.cuda.get_device_capability(device)
    return "tf32" if capability >= FIRST_WITH_TF32 else "fp32"


@contextmanager
def calculating_in(precision: str | None) -> Iterator[None]:
    """Let convolutions of single precision on CUDA be TF32's for ``tf32``, else exact.

    Matrix products are exact, as by PyTorch's default. The switches are the whole
    process's: one thread at a time is in such a block, and leaves them as they were.
    None changes nothing and waits for nobody: without CUDA.
    """
    if precision is None:
        yield
        return
    import torch

    cudnn = torch.backends.cudnn
    with _switching:
        before = cudnn.allow_tf32, torch.get_float32_matmul_precision()
        cudnn.allow_tf32 = precision == "tf32"
        torch.set_float32_matmul_precision("highest")
        try:
            yield
        finally:
            cudnn.allow_tf32 = before[0]
            torch.set_float32_matmul_precision(before[1])
