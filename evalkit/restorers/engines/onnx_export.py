"""Networks of PyTorch as ONNX files: exported, compared, kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.restorers.engines.converted import compare, converted
from evalkit.restorers.engines.onnx import (
    DIFFERENCE,
    OnnxEngine,
    OnnxMissingError,
    Session,
    import_onnxruntime,
)
from evalkit.restorers.engines.torch import torch_dtype

if TYPE_CHECKING:
    import torch

FILE = "network.onnx"

AGREEMENT = {"fp32": 1e-4, "fp16": 2e-2}
"""Largest difference from PyTorch in fp32, relative to the output's largest value."""


def load_engine(
    module: torch.nn.Module,
    example: torch.Tensor,
    session: Session,
    *,
    free_axes: Sequence[int],
) -> tuple[OnnxEngine, list[str]]:
    """Run a network of PyTorch by ONNX Runtime, exported before or now; and notes.

    Parameters
    ----------
    module
        In fp32 on the CPU; is converted to the session's precision.
    example
        One picture, ``(1, C, H, W)``, fp32, in the network's range.
    session
        Where and how it runs.
    free_axes
        Which sides of the example, 2 for the height and 3 for the width, may differ
        from picture to picture; the number of pictures may anyway.

    Raises
    ------
    OnnxMissingError
        ONNX Runtime, the exporter, or the provider for the device is not there.
    ConversionError
        What was exported is not the network.

    """
    import_onnxruntime()
    axes = (0, *free_axes)
    precision = session.precision
    engine = converted(
        "onnx",
        module,
        (precision, str(axes), str(tuple(example.shape))),
        lambda folder: _export(module, example, axes, precision, folder / FILE),
        lambda folder: OnnxEngine(folder / FILE, session),
    )
    return engine, engine.notes


def _export(
    module: torch.nn.Module,
    example: torch.Tensor,
    axes: Sequence[int],
    precision: str,
    path: Path,
) -> None:
    """Export to `path`, and compare with PyTorch in fp32."""
    import torch

    module = module.eval().requires_grad_(False)
    with torch.inference_mode():
        expected = module(example).numpy()
    program = _program(module, example, axes, torch_dtype(precision))
    program.save(path)
    engine = OnnxEngine(path, Session(device="cpu", precision=precision))
    output = engine(example.numpy())
    difference = compare(f"ONNX, {precision}", output, expected, AGREEMENT[precision])
    program.model.metadata_props[DIFFERENCE] = f"{difference:.2g}"
    program.save(path)


def _program(
    module: torch.nn.Module,
    example: torch.Tensor,
    axes: Sequence[int],
    dtype: torch.dtype,
) -> Any:
    """Export; the exporter that needs no onnxscript is deprecated and fails on GPEN."""
    import torch

    pair = example.repeat(2, 1, 1, 1).to(dtype)  # of one, the number would be fixed
    try:
        return torch.onnx.export(
            module.to(dtype),
            (pair,),
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=(dict.fromkeys(axes, torch.export.Dim.DYNAMIC),),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except ModuleNotFoundError as error:
        raise OnnxMissingError(
            f"PyTorch cannot export to ONNX ({error}): `pip install 'evalkit[onnx]'`"
        ) from error
