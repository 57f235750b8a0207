"""OpenVINO, the engine of the tuned runner on a CPU; PyTorch stands in for it."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.converted import ConversionError, compare, converted
from evalkit.restorers.engines.torch import Batch, Engine, TorchEngine

if TYPE_CHECKING:
    import torch

PRECISIONS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
"""OpenVINO's names of ours."""

AGREEMENT = 1e-3
"""Largest difference from PyTorch, relative to the output's largest value, in fp32."""


@cache
def import_openvino() -> Any:
    """Import OpenVINO with its telemetry off.

    ``import openvino`` alone already reports to Google Analytics and writes
    ``~/intel`` unless a file there forbids it. It does neither where its package
    ``openvino_telemetry`` cannot be imported: then a stub of its own takes the
    place. Where somebody else has imported OpenVINO before, that stub is put in.

    Raises
    ------
    ConversionError
        OpenVINO is not installed.

    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
        from openvino.tools.ovc import telemetry_stub
    except ImportError as error:
        raise ConversionError(f"OpenVINO cannot be imported: {error}") from error
    for name, module in list(sys.modules.items()):
        if name.startswith("openvino.tools.ovc.") and hasattr(module, "tm"):
            vars(module)["tm"] = telemetry_stub
    return openvino


def engine_on_cpu(
    module: torch.nn.Module,
    example: torch.Tensor,
    *,
    precision: str,
    takes_any_size: bool = False,
    probe: torch.Tensor | None = None,
) -> tuple[Engine, list[str]]:
    """What `compile_network` makes, else PyTorch's engine and a note that says why."""
    try:
        engine = compile_network(
            module,
            example,
            precision=precision,
            takes_any_size=takes_any_size,
            probe=probe,
        )
    except ConversionError as error:
        return TorchEngine(module, "cpu", precision), [f"PyTorch runs it: {error}"]
    return engine, []


def compile_network(
    module: torch.nn.Module,
    example: torch.Tensor,
    *,
    precision: str,
    takes_any_size: bool = False,
    probe: torch.Tensor | None = None,
) -> Engine:
    """Compile a module of PyTorch for the CPU, from the cache if it is there.

    See `evalkit.restorers.engines.converted`; the shape and the version of OpenVINO
    are in the digest, too.

    Parameters
    ----------
    module
        Takes and gives one tensor ``(N, C, H, W)``, float32, any N.
    example
        A batch of one, for tracing.
    precision
        ``fp32``, ``bf16`` or ``fp16``, one that the CPU has units for.
    takes_any_size
        Any N, and any even H and W. Else the example's shape is compiled, and the
        items of a batch go through it one by one: knowing N, OpenVINO keeps the
        channels last throughout, which took 0.38 s in place of 0.46 s for GPEN-512.
    probe
        Another batch, of another size if any is taken, on which the result is compared
        with the module: what tracing took for a constant, such as a size, shows there.
        None for one made of `example`.

    Raises
    ------
    ConversionError
        OpenVINO is not there, or its result is not the module's.

    """
    openvino = import_openvino()
    try:
        shape = tuple(example.shape)
        if takes_any_size:
            shape = (-1, shape[1], -1, -1)
        return converted(
            "openvino",
            module,
            (openvino.__version__, str(shape)),
            lambda folder: _convert(
                openvino, module.eval(), (example, probe), shape, folder
            ),
            lambda folder: _compiled(openvino, folder, precision),
        )
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().split("\n")[-1]
        raise ConversionError(f"OpenVINO failed: {reason}") from error


class OpenVinoEngine(Engine):
    """An ``openvino.CompiledModel`` with one input and one output.

    Each thread has an infer request of its own.
    """

    def __init__(self, name: str, precision: str, compiled: Any) -> None:
        super().__init__(name, precision)
        self._compiled = compiled
        self._takes_any_number = compiled.input(0).partial_shape.is_dynamic
        self._threads = threading.local()

    def start(self, batch: Batch, watch: Stopwatch) -> Callable[[], Batch]:
        """See `Engine.start`; the work is done at once."""
        with oom_as_ours(f"a batch of shape {batch.shape} on the CPU"):
            if not hasattr(self._threads, "request"):
                self._threads.request = self._compiled.create_infer_request()
            # of one pixel alone, 2026.4.1 makes something else in bf16; of two not
            is_one_pixel = batch.shape[0] == batch.shape[2] == batch.shape[3] == 1
            inputs = np.repeat(batch, 2, axis=0) if is_one_pixel else batch
            n_parts = 1 if self._takes_any_number else len(inputs)
            with watch("network"):
                try:
                    outputs = [
                        self._threads.request.infer([np.ascontiguousarray(part)])[0]
                        for part in np.split(inputs, n_parts)
                    ]
                except RuntimeError:
                    del self._threads.request  # both keep what was allocated
                    self._compiled.release_memory()
                    raise
        output: Batch = np.concatenate(outputs)[: len(batch)]
        return lambda: output


def _compiled(openvino: Any, folder: Path, precision: str) -> OpenVinoEngine:
    """Compile the converted network of `folder`; a second of work."""
    compiled = openvino.Core().compile_model(
        folder / "network.xml",
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            # pinned threads of two processes would share one core
            "ENABLE_CPU_PINNING": False,
        },
    )
    version = openvino.__version__.split("-")[0]
    name = f"OpenVINO {version}, {precision}, cpu"
    return OpenVinoEngine(name, precision, compiled)


def _convert(
    openvino: Any,
    module: torch.nn.Module,
    batches: tuple[torch.Tensor, torch.Tensor | None],
    shape: tuple[int, ...],
    folder: Path,
) -> None:
    """Convert into `folder`, and compare with the module."""
    import torch

    example, probe = batches
    if probe is None:
        probe = example.flip(3)
        if -1 in shape:
            probe = probe.repeat(2, 1, 1, 1)[..., : example.shape[3] // 2]
    with torch.inference_mode():
        expected = module(probe).numpy()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        trace: Any = torch.jit.trace  # PyTorch leaves it untyped
        # its own check takes longer than all the rest, and the result is checked below
        try:
            traced = trace(module, example, check_trace=False)
            model = openvino.convert_model(traced, example_input=example)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            # a network of others may do what cannot be traced
            raise ConversionError(
                f"OpenVINO: {type(error).__name__}: {error}"
            ) from error
    model.reshape(list(shape))
    openvino.save_model(model, folder / "network.xml", compress_to_fp16=False)
    output = _compiled(openvino, folder, "fp32")(probe.numpy())
    compare("OpenVINO", output, expected, AGREEMENT)
