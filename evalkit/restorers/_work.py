"""The least that a picture asks of a device: operations, and bytes at one moment."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Hashable, Iterable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from evalkit.paths import atomic_path, cache_dir
from evalkit.provenance import versions
from evalkit.restorers.engines.torch import torch_dtype

if TYPE_CHECKING:
    import torch


class Batches(NamedTuple):
    """Batches ``(number, channels, height, width)`` that go through one network.

    ``build(network)`` makes its module, on the meta device. A batch that is not full
    counts by its share.
    """

    build: Callable[[Any], torch.nn.Module]
    network: Hashable
    shape: tuple[int, int, int, int]
    n_batches: float = 1.0


class CostBound(NamedTuple):
    """A lower bound of what a restorer does for one picture.

    Attributes
    ----------
    precision
        ``fp32``, ``fp16``, ``bf16``, or ``none`` without a network.
    operations
        Multiplications and additions of convolutions and matrix products.
    coexisting_bytes
        All weights, and the inputs and outputs of the largest single operation.
    moved_bytes
        Weights, inputs and outputs of the networks, each read or written once.

    """

    precision: str
    operations: float
    coexisting_bytes: float
    moved_bytes: float


def count_work(
    batches: Iterable[Batches], precision: str, held_values: float = 0
) -> CostBound:
    """Count the work of networks run one after another, without running them.

    Parameters
    ----------
    batches
        With their true shapes: margins of tiles count.
    precision
        Of weights and feature maps.
    held_values
        Numbers on the device all the time, such as an output that tiles fill.

    Notes
    -----
    A convolution counts as its definition has it, as in torch's ``FlopCounterMode``.
    Winograd's algorithm needs up to 4 times fewer multiplications for a 3x3 one (Lavin
    & Gray, 2016, arXiv:1509.09308): a time a little below this bound is not impossible.
    Bytes are those of PyTorch's operations; an engine that joins some may hold less.

    """
    operations = moved_bytes = largest = 0.0
    weights: dict[Hashable, float] = {}
    for build, network, shape, n_batches in batches:
        counts = _cached_count(build, network, shape, precision)
        operations += counts[0] * n_batches
        moved_bytes += counts[1] * n_batches
        largest = max(largest, counts[2])
        weights[network] = counts[3]
    n_weights = sum(weights.values())
    held_bytes = held_values * torch_dtype(precision).itemsize
    return CostBound(
        precision, operations, n_weights + largest + held_bytes, n_weights + moved_bytes
    )


@cache
def _cached_count(
    build: Callable[[Any], torch.nn.Module],
    network: Hashable,
    shape: tuple[int, int, int, int],
    precision: str,
) -> tuple[int, int, int, int]:
    """As `_count`, which takes a second for a large network, once and for all.

    Kept in ``<cache>/work`` under a digest of all that decides it: the text of the
    code that builds and counts, the versions of what that imports, the arguments. A
    network whose code is not followed (see `code_digest`) is counted each time.
    """
    module = getattr(build, "__module__", "")
    if not module.startswith("evalkit.restorers.") or "<" in build.__qualname__:
        return _count(build, network, shape, precision)
    from evalkit.records import code_digest  # late: records take pandas

    facts = [build.__qualname__, repr(network), shape, precision]
    code = code_digest([module, __name__])
    imported = versions(["torch", "basicsr", "realesrgan"])
    digest = hashlib.sha256(json.dumps([*facts, code, imported]).encode())
    file = cache_dir() / "work" / f"{digest.hexdigest()}.json"
    with suppress(OSError, ValueError):  # not there, or damaged: counted anew
        operations, ends, largest, weights = json.loads(
            file.read_text(encoding="ascii")
        )
        return operations, ends, largest, weights
    counts = _count(build, network, shape, precision)
    with suppress(OSError), atomic_path(file) as temporary:  # no room: counted again
        temporary.write_text(json.dumps(counts), encoding="ascii")
    return counts


def _count(
    build: Callable[[Any], torch.nn.Module],
    network: Hashable,
    shape: tuple[int, int, int, int],
    precision: str,
) -> tuple[int, int, int, int]:
    """Operations, then bytes: of input and output, largest operation, weights."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        module = build(network).eval().to(torch_dtype(precision))
        batch = torch.empty(shape, dtype=torch_dtype(precision))
    weights = _storages(itertools.chain(module.parameters(), module.buffers()))
    largest = 0

    class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            nonlocal largest
            output = func(*args, **(kwargs or {}))
            blocks = _storages(tree_leaves((args, kwargs, output)))
            largest = max(largest, sum(blocks[key] for key in blocks.keys() - weights))
            return output

    with torch.no_grad(), FlopCounterMode(display=False) as flops, Largest():  # type: ignore[no-untyped-call]
        output = module(batch)
    ends = batch.nbytes + output.nbytes
    return flops.get_total_flops(), ends, largest, sum(weights.values())


def _storages(values: Iterable[Any]) -> dict[int, int]:
    """The bytes of each block of memory that tensors share, counted once."""
    import torch

    blocks = [v.untyped_storage() for v in values if isinstance(v, torch.Tensor)]
    return {block._cdata: block.nbytes() for block in blocks}
