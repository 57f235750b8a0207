"""ONNX Runtime: a network in a file, on a CPU or on CUDA, as an engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evalkit.errors import EvalkitError
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.torch import Batch, Engine

DIFFERENCE = "evalkit.max_difference"
"""Key of the file's metadata under which the difference found at export stands."""

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

DTYPES: Mapping[str, Any] = {"fp32": np.float32, "fp16": np.float16}


class OnnxMissingError(EvalkitError):
    """ONNX Runtime, or a part of it, is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How ONNX Runtime runs a network.

    Attributes
    ----------
    device
        ``cpu`` or ``cuda:N``.
    precision
        ``fp32`` or ``fp16``.
    provider_options
        Of the execution provider, in ONNX Runtime's words.

    """

    device: str
    precision: str
    provider_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        """Of ONNX Runtime."""
        return PROVIDERS[self.device.partition(":")[0]]


def import_onnxruntime() -> Any:
    """Import ONNX Runtime with its telemetry off.

    Raises
    ------
    OnnxMissingError
        It is not installed.

    """
    try:
        import onnxruntime
    except ImportError as error:
        raise OnnxMissingError(
            f"ONNX Runtime cannot be imported ({error}): `pip install 'evalkit[onnx]'`"
        ) from error
    onnxruntime.disable_telemetry_events()
    return onnxruntime


class OnnxEngine(Engine):
    """An ONNX file in ONNX Runtime; its sessions may be shared by threads.

    The network has one input and one output, ``(N, C, H, W)``.

    Raises
    ------
    OnnxMissingError
        ONNX Runtime is not there, or has no provider for the device.

    """

    def __init__(self, path: Path, session: Session) -> None:
        onnxruntime = import_onnxruntime()
        version = onnxruntime.__version__
        name = f"ONNX Runtime {version}, {session.precision}, {session.device}"
        super().__init__(name, session.precision)
        kind, _, index = session.device.partition(":")
        if kind == "cuda":
            import torch  # noqa: F401 - brings the CUDA libraries

            onnxruntime.preload_dlls()
        self._onnxruntime = onnxruntime
        self._place = (kind, int(index or 0))
        self._dtype = DTYPES[session.precision]
        self._session = _open(onnxruntime, path, session)
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name
        self.notes = self._describe(session)

    def _describe(self, session: Session) -> list[str]:
        options = self._session.get_provider_options()[session.provider]
        settings = [f"{key}={value}" for key, value in sorted(options.items())]
        notes = [" ".join([session.provider, *settings])]
        properties = self._session.get_modelmeta().custom_metadata_map
        if difference := properties.get(DIFFERENCE):
            notes.append(
                f"exported; differed then from PyTorch by {difference} at most"
            )
        return notes

    def start(self, batch: Batch, watch: Stopwatch) -> Callable[[], Batch]:
        """See `Engine.start`; the work is done at once."""
        kind, index = self._place
        doing = f"a batch of shape {batch.shape}"
        try:
            with oom_as_ours(doing):
                binding = self._session.io_binding()
                with watch("upload"):
                    source = self._onnxruntime.OrtValue.ortvalue_from_numpy(
                        np.ascontiguousarray(batch, self._dtype), kind, index
                    )
                    binding.bind_ortvalue_input(self._input, source)
                    binding.bind_output(self._output, kind, index)
                with watch("network"):
                    self._session.run_with_iobinding(binding)
                    binding.synchronize_outputs()
                with watch("download"):
                    output: Batch = binding.copy_outputs_to_cpu()[0].astype(np.float32)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise EvalkitError(f"{self.name} failed at {doing}: {reason}") from error
        return lambda: output


def _open(onnxruntime: Any, path: Path, session: Session) -> Any:
    """A session on the device asked for: ONNX Runtime itself falls back to the CPU."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is an error is raised as well
    # an arena keeps what a tile took that was too large; it was not faster without
    options.enable_cpu_mem_arena = False
    index = session.device.partition(":")[2]
    provider_options = {
        **({"device_id": index} if index else {}),
        **session.provider_options,
    }
    providers = onnxruntime.get_available_providers()
    if session.provider not in providers:
        raise OnnxMissingError(
            f"ONNX Runtime has no {session.provider} here; known: "
            f"{', '.join(providers)}; for CUDA `pip install onnxruntime-gpu` in place "
            "of onnxruntime"
        )
    opened = onnxruntime.InferenceSession(
        str(path), options, providers=[(session.provider, provider_options)]
    )
    if opened.get_providers()[0] != session.provider:
        raise OnnxMissingError(
            f"ONNX Runtime could not load its {session.provider}; do the CUDA and "
            "cuDNN libraries that it was built with lie in this environment?"
        )
    opened.disable_fallback()
    return opened
