"""torchvision, made lighter."""

import importlib
import sys
import types
from typing import Any

from evalkit.imports import without_collector


def import_torchvision() -> None:
    """Import torchvision without ``torch._dynamo``, torch's compiler.

    ``torchvision.ops.roi_align`` imports it for the answer to one question, of CUDA
    under deterministic algorithms, which costs 1.2 s of CPU time and 75 MiB. The
    compiler still answers that question itself, imported when it comes up.

    Our own code calls this before what imports torchvision: faces and metrics. The
    runner ``upstream`` does not: what its user pays in time and memory is measured.
    """
    if "torchvision" in sys.modules or "torch._dynamo" in sys.modules:
        return
    compiler = types.ModuleType("torch._dynamo")
    compiler.__path__ = []
    utils = types.ModuleType("torch._dynamo.utils")
    vars(utils)["is_compile_supported"] = _is_compile_supported
    stand_ins = {module.__name__: module for module in (compiler, utils)}
    sys.modules.update(stand_ins)
    try:
        with without_collector():
            importlib.import_module("torchvision")
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _is_compile_supported(device: str) -> Any:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device)
