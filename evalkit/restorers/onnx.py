"""Real-ESRGAN and GPEN on ONNX Runtime: their tuned runners with another engine.

Plans, tiles and GPEN's pipeline are those of the families' own modules; the network is
exported from PyTorch, and compared with it, when it is first loaded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.errors import SettingError
from evalkit.restorers import gpen, realesrgan
from evalkit.restorers._options import Option
from evalkit.restorers._protocol import Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers.engines.onnx import (
    OnnxMissingError,
    Session,
    import_onnxruntime,
)
from evalkit.restorers.engines.onnx_export import load_engine
from evalkit.restorers.engines.torch import Engine, pick_device

if TYPE_CHECKING:
    import torch

OPTIONS = {
    "precision": Option(
        default="auto",
        choices=("auto", "fp32", "fp16"),
        description="of the network; auto is fp16 on CUDA and fp32 on a CPU, which has "
        "no other",
    ),
    "cudnn_conv_algo_search": Option(
        default="exhaustive",
        choices=("exhaustive", "heuristic", "default"),
        description="how the CUDA provider chooses its convolutions; exhaustive, its "
        "own default, is the fastest and takes the most memory",
    ),
}

BASES = {f"onnx-{base.name}": base for base in (*realesrgan.ENTRIES, *gpen.ENTRIES)}
"""The restorer whose network each of ours runs."""


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Settle every ``auto``, and find the weights or download them.

    Raises
    ------
    SettingError
        A device, or a precision, that ONNX Runtime does not have here.
    WeightsError
        Weights that cannot be had.

    """
    base = BASES[spec.name]
    device, notes = _pick_device(settings["device"])
    precision = settings["precision"]
    if precision == "auto":
        precision = "fp32" if device == "cpu" else "fp16"
    if precision == "fp16" and device == "cpu":
        raise SettingError(
            f"{spec.name}: ONNX Runtime calculates in fp32 on a CPU; got 'fp16'"
        )
    settled = {"runner": "tuned", "device": device, "precision": precision}
    base_settings = {
        key: value for key, value in settings.items() if key in base.all_options
    }
    base_plan = base.plan(base, {**base_settings, **settled})
    session = Session(device=device, precision=precision)
    search = settings["cudnn_conv_algo_search"]
    options = {} if device == "cpu" else {"cudnn_conv_algo_search": search.upper()}
    if options and precision == "fp32":  # which would be TF32, by ORT's default
        options["use_tf32"] = "0"
    resolved = {
        **base_plan.resolved,
        "cudnn_conv_algo_search": search,
        "provider": session.provider,
        "provider_options": options,
    }
    all_notes = (*base_plan.notes, *notes)
    return replace(
        base_plan, spec=spec, requested=settings, resolved=resolved, notes=all_notes
    )


def build(plan: Plan) -> Restorer:
    """Load the family's own restorer, with the network in ONNX Runtime.

    Raises
    ------
    OnnxMissingError
        ONNX Runtime is not installed: ``pip install 'evalkit[onnx]'``.
    ConversionError
        The export computes something else than the network.
    WeightsError
        The file is not one for this network.

    """
    base, settings = BASES[plan.spec.name], plan.resolved
    is_gpen = base in gpen.ENTRIES

    def make_engine(
        module: torch.nn.Module, example: torch.Tensor, precision: str
    ) -> tuple[Engine, list[str]]:
        session = Session(
            device=settings["device"],
            precision=precision,
            provider_options=settings["provider_options"],
        )
        return load_engine(
            module, example, session, free_axes=() if is_gpen else (2, 3)
        )

    build_base = gpen.build if is_gpen else realesrgan.build
    restorer = build_base(replace(plan, spec=base), make_engine)
    restorer.plan = plan
    return restorer


def _pick_device(device: str) -> tuple[str, list[str]]:
    """The device that `device` means for ONNX Runtime, and notes."""
    picked = pick_device(device)
    if picked == "cpu":
        return picked, []
    try:
        providers = import_onnxruntime().get_available_providers()
    except OnnxMissingError:
        return picked, []  # `build` says so
    if "CUDAExecutionProvider" in providers:
        return picked, []
    reason = (
        "this ONNX Runtime has no CUDAExecutionProvider: `pip install onnxruntime-gpu` "
        "in place of onnxruntime"
    )
    if device != "auto":
        raise SettingError(f"device {device!r}: {reason}")
    return "cpu", [f"on the CPU: {reason}"]


def _entry(base: RestorerSpec) -> RestorerSpec:
    return replace(
        base,
        name=f"onnx-{base.name}",
        task=f"{base.task}; on ONNX Runtime",
        plan=plan,
        build=build,
        honours=base.honours - {"runner"},
        options={**base.options, **OPTIONS},
    )


ENTRIES = tuple(_entry(base) for base in BASES.values())
