"""Networks converted for another engine: compared with PyTorch's, then kept."""

from __future__ import annotations

import hashlib
import inspect
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from evalkit.errors import EvalkitError
from evalkit.paths import cache_dir

if TYPE_CHECKING:
    import torch

    from evalkit.restorers.engines.torch import Batch

T = TypeVar("T")


class ConversionError(EvalkitError):
    """A network cannot be converted, or what was converted computes another one."""


def converted(
    engine: str,
    module: torch.nn.Module,
    settings: tuple[str, ...],
    convert: Callable[[Path], object],
    load: Callable[[Path], T],
) -> T:
    """Load a network from the cache; convert it before where it is not there.

    It lies in ``<cache>/<engine>/<digest>``, the digest being that of the module (see
    `network_digest`) and of `settings`. A folder from which it cannot be loaded is
    damaged, and made anew.

    Parameters
    ----------
    engine
        Names the folder.
    module
        The network in PyTorch.
    settings
        Of the conversion, as far as they change what is kept.
    convert
        ``convert(folder)`` writes the network into an empty folder, and compares it
        (see `compare`). What it raises leaves nothing in the cache.
    load
        ``load(folder)`` gives the engine; raises `RuntimeError` for a damaged file.

    """
    folder = cache_dir() / engine / network_digest(module, *settings)
    if folder.is_dir():
        try:
            return load(folder)
        except RuntimeError:
            shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        fresh = Path(temporary) / "network"
        fresh.mkdir()
        convert(fresh)
        try:
            fresh.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was not quicker
                raise
    return load(folder)


def compare(engine: str, output: Batch, expected: Batch, most: float) -> float:
    """The largest difference of a converted network's output from PyTorch's, in fp32.

    Raises
    ------
    ConversionError
        It is more than the share `most` of the output's largest value.

    """
    difference = float(np.abs(output - expected).max())
    if not difference <= most * np.abs(expected).max():
        raise ConversionError(
            f"{engine}: what was converted is not PyTorch's network: it differs from "
            f"PyTorch's fp32 by {difference:g}"
        )
    return difference


def network_digest(module: torch.nn.Module, *settings: str) -> str:
    """What changes with all that a network computes: 32 hexadecimal digits.

    Made of its values, the code of its classes, PyTorch's version, and `settings`.
    """
    import torch

    digest = hashlib.sha256()
    homes = {type(part).__module__ for part in module.modules()}
    sources = [
        inspect.getsource(sys.modules[home])
        for home in sorted(homes)
        if not home.startswith("torch.")
    ]
    for text in (torch.__version__, repr(module), *settings, *sources):
        digest.update(f"{text}\0".encode())
    for path, part in module.named_modules():
        for name, value in _values(part):
            if isinstance(value, torch.Tensor):
                plain = value.detach().cpu().contiguous()
                digest.update(f"{path} {name} {plain.dtype} {plain.shape}\0".encode())
                digest.update(plain.reshape(-1).view(torch.uint8).numpy().data)
            else:
                digest.update(f"{path} {name} {value!r}\0".encode())
    return digest.hexdigest()[:32]


def _values(part: torch.nn.Module) -> Iterator[tuple[str, Any]]:
    """The tensors and plain attributes of one module, without its submodules."""
    yield from part.named_parameters(recurse=False)
    yield from part.named_buffers(recurse=False)
    for name, value in sorted(vars(part).items()):
        items = value if isinstance(value, tuple) else (value,)
        is_plain = all(isinstance(item, int | float | str) for item in items)
        # whether it is in training is set when it is converted
        if (is_plain or hasattr(value, "detach")) and name != "training":
            yield name, value
