"""How fast a device multiplies and copies, measured: what no restorer can beat."""

import time
from collections.abc import Callable
from typing import Any

DTYPES = {
    "fp32": "float32",
    "tf32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
}
SIDES = {"cpu": (512, 1024), "cuda": (4096, 8192, 16384)}
"""Sides of the square matrices, by kind of device; the best rate of all counts."""

CONVOLUTION = (256, 128)
"""Channels and side of the maps of a 3x3 convolution: on a CPU it is other code than
products, on an AMD EPYC in fp32 2.4 times as fast. CUDA's may be Winograd's."""

COPIED_BYTES = {"cpu": 2**28, "cuda": 2**31}
"""More than caches hold."""

LEAST_S, LEAST_CALLS = {"cpu": 0.15, "cuda": 2.0}, 3
"""The least time and number of calls of one size; a GPU must raise its clocks."""


def measure_rates(
    emit: Callable[[dict[str, Any]], None], *, device: str, precision: str
) -> None:
    """Measure a device, in a process of its own: a global flag of torch is set.

    Parameters
    ----------
    emit
        Takes ``matrix_tflop_s`` (of a matrix product, on a CPU also of a convolution; a
        multiplication and an addition are two operations) and ``copy_gib_s`` (bytes
        read and bytes written), each the best of several tries.
    device
        ``cpu`` or ``cuda:N``.
    precision
        ``fp32``, ``tf32``, ``fp16``, ``bf16``, or ``none`` for the copy alone.

    """
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.set_device(device)
        kinds = {"tf32": "high"}  # PyTorch's word for TF32, and for exact
        torch.set_float32_matmul_precision(kinds.get(precision, "highest"))

    def copy_s() -> float:
        source = torch.ones(COPIED_BYTES[kind], dtype=torch.uint8, device=device)
        target = torch.zeros_like(source)
        return shortest_s(lambda: target.copy_(source), kind)

    is_copy = precision == "none"
    rate = None if is_copy else operations_per_s(device, precision) / 1e12
    copy_gib_s = 2 * COPIED_BYTES[kind] / copy_s() / 2**30
    emit({"matrix_tflop_s": rate, "copy_gib_s": copy_gib_s})


def operations_per_s(device: str, precision: str) -> float:
    """The better rate of a matrix product and, on a CPU, of a convolution.

    Of random values: a GPU multiplies ones and zeros faster, since few bits change. A
    multiplication and an addition are two operations. See `measure_rates`.
    """
    import torch

    kind = torch.device(device).type
    dtype = getattr(torch, DTYPES[precision])

    def of_product(n: int) -> float:
        left = torch.rand(n, n, device=device).to(dtype)
        return 2 * n**3 / shortest_s(lambda: left @ left, kind)

    def of_convolution(n: int, side: int) -> float:
        maps, weight = (
            torch.rand(*shape).to(dtype, memory_format=torch.channels_last)
            for shape in ((1, n, side, side), (n, n, 3, 3))
        )
        passed_s = shortest_s(lambda: torch.conv2d(maps, weight), kind)
        return 2 * 9 * n**2 * (side - 2) ** 2 / passed_s

    rates = [of_product(n) for n in SIDES[kind]]
    if kind == "cpu":
        rates.append(of_convolution(*CONVOLUTION))
    return max(rates)


def shortest_s(work: Callable[[], Any], kind: str) -> float:
    """The shortest time of a call: whatever slowed the others is not the device's.

    Parameters
    ----------
    work
        Called once to warm up, then at least `LEAST_CALLS` times and `LEAST_S` long.
    kind
        ``cuda`` to wait for the device around each call, ``cpu`` otherwise.

    """
    import torch

    times_s: list[float] = []
    work()
    while len(times_s) < LEAST_CALLS or sum(times_s) < LEAST_S[kind]:
        if kind == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        if kind == "cuda":
            torch.cuda.synchronize()
        times_s.append(time.perf_counter() - start)
    return min(times_s)
