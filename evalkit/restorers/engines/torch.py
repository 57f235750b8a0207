"""The one bridge to PyTorch: devices, precisions, a network's call, its failures."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import SettingError
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.provenance import processor
from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.cuda_queue import queue
from evalkit.restorers.engines.levels import Finish, Then
from evalkit.restorers.engines.tf32 import SINGLE, calculating_in

if TYPE_CHECKING:
    import torch

Batch: TypeAlias = NDArray[np.float32]
"""Shape ``(number, channels, height, width)``, in the range that the network takes."""

CPU_UNITS = {
    "bf16": ("avx512_bf16", "amx_bf16"),
    "fp16": ("avx512_fp16", "amx_fp16"),
}
"""What a CPU must have to calculate in a short precision, by PyTorch's names."""

ASSUMED_BYTES = 3 * 2**30
"""What a network may take of a device that cannot be asked what is free."""

GPU_FILES = ("nvidia*", "nvhost*", "nvmap", "dxg", "kfd")
"""Below /dev: of NVIDIA, its Jetson, Windows' Linux, and AMD."""


def pick_device(device: str) -> str:
    """The device that `device` means on this machine: ``cpu`` or ``cuda:N``.

    The devices are counted by NVML, so that asking makes no CUDA context and the
    process may still fork.

    Raises
    ------
    SettingError
        Not a device, or not one of this machine.

    """
    count = n_devices()
    if device == "auto":
        return "cuda:0" if count else "cpu"
    if device == "cpu":
        return device
    kind, colon, index = device.partition(":")
    if kind != "cuda" or bool(colon) != index.isdecimal():
        raise SettingError(f"device expected auto, cpu, cuda or cuda:N, got {device!r}")
    if int(index or 0) >= count:
        names = [f"cuda:{number}" for number in range(count)]
        raise SettingError(
            f"device {device!r} is not one that PyTorch finds on this machine; "
            f"known: {', '.join(['auto', 'cpu', *names])}"
        )
    return f"cuda:{int(index or 0)}"


def n_devices() -> int:
    """How many CUDA devices there are.

    PyTorch takes seconds to import, and so is not asked where Linux has none of the
    device files that a driver makes.
    """
    if sys.platform == "linux" and "torch" not in sys.modules:
        if not any(path for name in GPU_FILES for path in Path("/dev").glob(name)):
            return 0
    import torch

    return torch.cuda.device_count()


def cpu_has(precision: str) -> bool:
    """Whether the CPU has arithmetic units for ``fp32``, ``bf16`` or ``fp16``."""
    if precision == "fp32":
        return True
    features = None if "torch" in sys.modules else processor()[1]
    if features is not None:
        return any(unit in features for unit in CPU_UNITS[precision])
    import torch

    units = torch.cpu.get_capabilities()
    return any(bool(units.get(unit)) for unit in CPU_UNITS[precision])


def pick_precision(precision: str, device: str, runner: str) -> str:
    """The precision that `precision` means: ``fp32``, ``tf32``, ``fp16`` or ``bf16``.

    ``auto`` is fp16 on a GPU; on a CPU fp32 for the runner ``upstream``, and for
    ``tuned`` bf16 where the CPU has units for it, else fp32. On the registered
    pictures Real-ESRGAN x4plus in bf16 is 41.9 to 101 dB from fp32, 52.5 in the
    median, and single values are off by up to 21 of 255 (``benchmarks/pictures.py``):
    ask for fp32 where that counts.

    Raises
    ------
    SettingError
        A precision that would be emulated: a CPU without units for it, tuned. The
        original has none that is called TF32.

    """
    on_cpu = device == "cpu"
    if precision == "tf32" and (on_cpu or runner == "upstream"):
        raise SettingError(
            "precision 'tf32' is of the tuned runner on CUDA; got runner "
            f"{runner!r} on {device}, whose fp32 is "
            f"{'exact' if on_cpu else 'as PyTorch has it by default, mostly TF32'}"
        )
    if precision == "auto":
        if not on_cpu:
            return "fp16"
        return "bf16" if runner == "tuned" and cpu_has("bf16") else "fp32"
    if on_cpu and runner == "tuned" and not cpu_has(precision):
        raise SettingError(
            f"precision {precision!r}: this CPU has no units for it; known: "
            f"{', '.join(['auto', *(p for p in ('fp32', *CPU_UNITS) if cpu_has(p))])}"
        )
    return precision


def torch_dtype(precision: str) -> torch.dtype:
    """PyTorch's name of ``fp32`` or ``tf32``, ``fp16``, ``bf16``."""
    import torch

    short = {"fp16": torch.float16, "bf16": torch.bfloat16}
    return torch.float32 if precision in SINGLE else short[precision]


class Engine(ABC):
    """A network on a device, called with NumPy arrays; may be shared by threads.

    Its name says what runs it, for the notes: ``PyTorch 2.15.0, fp16, cuda:0``; its
    precision is that of its feature maps.
    """

    n_ahead = 0
    """How many batches to start before the first one's output is asked for."""

    def __init__(self, name: str, precision: str = "fp32") -> None:
        self.name, self.precision = name, precision

    @abstractmethod
    def start(self, batch: Batch, watch: Stopwatch) -> Callable[[], Batch]:
        """Begin to work on `batch`; the returned function waits and gives the output.

        Raises
        ------
        OutOfMemoryError
            Here, or where the output is asked for.

        """

    def start_then(
        self, batch: Batch, watch: Stopwatch, then: Then, stage: str = "blend"
    ) -> Finish:
        """Begin to work on `batch` and to do `then` with the output, float32.

        `then` runs where the output lies, in the order of the starts or of the
        finishes, and is timed as `stage`.
        """
        finish = self.start(batch, watch)

        def finish_then() -> list[NDArray[Any]]:
            output = finish()
            with watch(stage):
                return then(output)

        return finish_then

    @property
    def free_bytes(self) -> int:
        """What it may take on its device now; `ASSUMED_BYTES` where it cannot ask."""
        return ASSUMED_BYTES

    def make_room(self) -> None:  # noqa: B027 - most engines keep nothing
        """Give back what is kept for later calls, since memory has run out."""

    def __call__(self, batch: Batch, watch: Stopwatch | None = None) -> Batch:
        """The network's output, float32, not clipped."""
        return self.start(batch, watch or Stopwatch())()


MakeEngine: TypeAlias = Callable[
    ["torch.nn.Module", "torch.Tensor", str], tuple[Engine, list[str]]
]
"""``make(module, example, precision, key)``: an engine, and notes on it.

`example` is a small batch to trace with; `key` tells the weights from all others."""


class TorchEngine(Engine):
    """A module of PyTorch, on a CPU or a CUDA device.

    On CUDA a call is queued on three streams, so that the upload of the next batch
    and the download of the last one overlap with the network.

    Parameters
    ----------
    module
        Takes and gives one tensor ``(N, C, H, W)``; is moved and converted.
    device, precision
        As `pick_device` and `pick_precision` returned them; ``fp32`` on CUDA is exact.
    layout
        Of maps and weights in a GPU's memory: ``nhwc``, which matrix units read as it
        is, or ``nchw``, for networks that filter each channel by itself. On an H200
        the one takes 0.80 of the other's time for Real-ESRGAN's x4plus and 2.1 times
        it for eight faces of GPEN-512 (fp16; ``figures/nvidia-h200/layouts.txt``).
    prepare
        Is called with the module once it lies on the device in its precision.

    """

    def __init__(
        self,
        module: torch.nn.Module,
        device: str,
        precision: str,
        *,
        layout: Literal["nhwc", "nchw"] = "nhwc",
        prepare: Callable[[torch.nn.Module], object] | None = None,
    ) -> None:
        import torch

        name = f"PyTorch {torch.__version__}, {precision}, {device}"
        super().__init__(name, precision)
        self._device = torch.device(device)
        self._dtype = torch_dtype(precision)
        self._layout = torch.contiguous_format
        with oom_as_ours("loading the network"):
            module = module.eval().requires_grad_(False)
            # torch's annotations lack the call that converts device and layout at once
            to: Any = module.to
            if self._device.type == "cuda":
                if layout == "nhwc":
                    self._layout = torch.channels_last
                self.n_ahead = 1
                torch.cuda.empty_cache()  # what a restorer that was dropped left behind
                new_stream: Any = torch.cuda.Stream  # PyTorch leaves these two untyped
                self._streams = [new_stream(self._device) for _ in range(3)]
            self._module = to(self._device, self._dtype, memory_format=self._layout)
            if prepare:
                prepare(self._module)
            if self._device.type == "cuda":
                # the weights are laid out on this thread's stream
                laid_out = torch.cuda.current_stream(self._device)
                self._streams[1].wait_stream(laid_out)

    @property
    def free_bytes(self) -> int:
        """See `Engine.free_bytes`; what PyTorch holds without using it is free, too."""
        import torch

        if self._device.type != "cuda":
            return ASSUMED_BYTES
        free_bytes, _ = torch.cuda.mem_get_info(self._device)
        held_bytes = torch.cuda.memory_reserved(self._device)
        return free_bytes + held_bytes - torch.cuda.memory_allocated(self._device)

    def make_room(self) -> None:
        """See `Engine.make_room`; cuDNN and cuBLAS cannot use what PyTorch holds."""
        import torch

        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def start(self, batch: Batch, watch: Stopwatch) -> Callable[[], Batch]:
        """See `Engine.start`; on a CPU the work is done at once."""
        import torch

        doing = f"a batch of shape {batch.shape} on {self._device}"
        with oom_as_ours(doing), torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(batch))
            if self._device.type == "cuda":
                return self._start_on_cuda(tensor, watch, doing)
            with watch("network"):
                output = self._module(tensor.to(self._dtype)).float().numpy()
        return lambda: output

    def start_then(
        self, batch: Batch, watch: Stopwatch, then: Then, stage: str = "blend"
    ) -> Finish:
        """See `Engine.start_then`; on CUDA what `then` gives is all that is copied."""
        import torch

        if self._device.type != "cuda":
            return super().start_then(batch, watch, then, stage)
        doing = f"a batch of shape {batch.shape} on {self._device}"
        with oom_as_ours(doing), torch.inference_mode():
            tensor = torch.from_numpy(np.ascontiguousarray(batch))
            return self._queue(tensor, watch, doing, lambda x: then(x.float()), stage)

    def _start_on_cuda(
        self, tensor: torch.Tensor, watch: Stopwatch, doing: str
    ) -> Callable[[], Batch]:
        import torch

        is_bf16 = self._dtype is torch.bfloat16  # NumPy has none
        then: Then = lambda x: [x.float() if is_bf16 else x]  # noqa: E731
        finish = self._queue(tensor, watch, doing, then, "download")
        return lambda: finish()[0].astype(np.float32)

    def _queue(
        self, batch: Any, watch: Stopwatch, doing: str, then: Then, stage: str
    ) -> Finish:
        import torch

        def network(source: torch.Tensor) -> Any:
            with calculating_in(self.precision):
                return self._module(source.to(self._dtype, memory_format=self._layout))

        with torch.cuda.device(self._device):  # pinning makes a context on it
            place = self._streams, self._device
            finish = queue(*place, batch, network, then, stage, watch)

        def finish_guarded() -> list[NDArray[Any]]:
            with oom_as_ours(doing):
                return finish()

        return finish_guarded
