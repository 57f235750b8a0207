"""Our runner of Real-ESRGAN: the tiler, OpenVINO on a CPU, PyTorch on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np

from evalkit.errors import OutputRejectedError
from evalkit.images import Picture
from evalkit.images.channels import has_alpha
from evalkit.images.scaling import scaled
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._protocol import (
    Cancel,
    Context,
    Plan,
    Progress,
    Restored,
    Restorer,
)
from evalkit.restorers.engines.openvino import engine_on_cpu
from evalkit.restorers.engines.tf32 import SINGLE
from evalkit.restorers.engines.tiling import LoadedNetwork, restore_tiled
from evalkit.restorers.engines.torch import Engine, MakeEngine, TorchEngine
from evalkit.restorers.realesrgan.network import Network, load_module
from evalkit.weights import WeightsInUse


def load_network(
    network: Network,
    weights: Sequence[WeightsInUse],
    *,
    device: str,
    precision: str,
    tile: int | str,
    denoise_strength: float = 1.0,
    make_engine: MakeEngine | None = None,
) -> tuple[LoadedNetwork, list[str]]:
    """Load a network for `enlarge`, and say what the reader must know of it.

    Parameters
    ----------
    network, weights, denoise_strength
        As in `load_module`.
    device, precision
        As `pick_device` and `pick_precision` returned them.
    tile
        Source pixels; 0 to cut nothing; ``auto`` for what `Network.fit` says of each
        picture.
    make_engine
        What runs the network; None for OpenVINO on a CPU and PyTorch on CUDA.

    Raises
    ------
    WeightsError
        The file is not one for this network.

    """

    def load(precision: str) -> tuple[Engine, list[str]]:
        module, example = load_module(network, weights, denoise_strength), _example()
        if make_engine:
            return make_engine(module, example, precision)
        if device != "cpu":
            return TorchEngine(module, device, precision), []
        return engine_on_cpu(module, example, precision=precision, takes_any_size=True)

    engine, notes = load(precision)
    tiling = network.tiling(device, tile)
    in_fp32 = None if precision in SINGLE else lambda: load("fp32")[0]
    fit = network.fit if tile == "auto" else None
    step = LoadedNetwork(engine=engine, tiling=tiling, in_fp32=in_fp32, fit=fit)
    return step, [engine.name, *notes]


def enlarge(
    images: Sequence[Picture], step: LoadedNetwork, context: Context, *, alpha: str
) -> tuple[list[Picture], list[str]]:
    """Restore pictures of one shape and dtype once; see `restore_tiled`.

    Parameters
    ----------
    images, step, context
        As there; `images` may have an alpha channel.
    alpha
        ``network``: as a grey picture through the network, unless it has one value;
        ``interpolate``: bilinear.

    """
    by_network = _takes_alpha(images, alpha)
    alphas: list[Any] = [image[..., 3] for image in images if has_alpha(image)]
    sources: list[Any] = [image[..., :3] for image in images] if alphas else [*images]
    inputs = sources + alphas if by_network else sources
    outputs, notes = restore_tiled(inputs, step, context)
    if not alphas:
        return outputs, notes
    with context.watch("blend"):
        if not by_network:
            height, width = (n * step.tiling.scale for n in images[0].shape[:2])
            for plane in alphas:
                values = scaled(plane.astype(np.float32), width, height, "linear")
                outputs.append(np.rint(values).astype(plane.dtype))
        pairs = zip(outputs[: len(images)], outputs[len(images) :], strict=True)
        return [cast("Picture", np.dstack(planes)) for planes in pairs], notes


class TunedRealESRGAN(Restorer):
    """A network, run once, or for a scale of 8 again on its own output."""

    def __init__(
        self, plan: Plan, passes: Sequence[LoadedNetwork], notes: list[str]
    ) -> None:
        super().__init__(plan, [*notes, *plan.notes])
        self._passes = tuple(passes)

    def _restore(self, image: Picture, context: Context) -> Picture:
        return self._together([image], context, self._passes)[0]

    def _kind(self, image: Picture) -> object:
        """On a GPU pictures of one size go together."""
        is_on_gpu = self._passes[0].tiling.batch_px
        return (image.shape, image.dtype) if is_on_gpu else None

    def _restore_group(
        self,
        images: Sequence[Picture],
        cancel: Cancel | None,
        *,
        aligned: bool,  # noqa: ARG002 - a face is a picture like any other
    ) -> list[Restored]:
        """Uncut pictures at once, half as many each time that memory runs out.

        The stage times of a picture are its share of the group's. Each goes alone if
        one needs fp32.
        """
        context = self._context(None, cancel)
        passes = [replace(step, in_fp32=None) for step in self._passes]
        height, width = images[0].shape[:2]
        outputs: list[Picture] = []
        try:
            with oom_as_ours(f"{len(images)} pictures of {width}x{height} px"):
                outputs = self._together(images, context, passes)
        except OutputRejectedError:
            pass  # while the error lives, what the failed attempt held does
        if not outputs:
            return [self.restore(image, cancel=cancel) for image in images]
        share_s = {n: s / len(outputs) for n, s in context.watch.settled().items()}
        return [
            Restored(image=output, stages_s=dict(share_s), notes=list(context.notes))
            for output in outputs
        ]

    def _together(
        self,
        images: Sequence[Picture],
        context: Context,
        passes: Sequence[LoadedNetwork],
    ) -> list[Picture]:
        settings, n_windows = self.plan.resolved, self._windows(images)
        pictures = list(images)
        for number, step in enumerate(passes):
            before, after = sum(n_windows[:number]), sum(n_windows[number + 1 :])
            part = replace(context, progress=_within(context.progress, before, after))
            pictures, notes = enlarge(pictures, step, part, alpha=settings["alpha"])
            context.notes += notes
        height, width = (int(side * settings["scale"]) for side in images[0].shape[:2])
        with context.watch("blend"):
            return [scaled(picture, width, height, "lanczos") for picture in pictures]

    def _windows(self, images: Sequence[Picture]) -> list[int]:
        """How many windows each pass has, if memory suffices."""
        height, width = images[0].shape[:2]
        n_planes = 2 if _takes_alpha(images, self.plan.resolved["alpha"]) else 1
        counts = []
        for step in self._passes:
            rows, columns = step.cuts(height, width)[0].rows_and_columns(height, width)
            counts.append(len(rows) * len(columns) * n_planes * len(images))
            height, width = height * step.tiling.scale, width * step.tiling.scale
        return counts


def _takes_alpha(images: Sequence[Picture], alpha: str) -> bool:
    """Whether the network makes the alpha channel, too: one that is opaque stays so."""
    planes = [image[..., 3] for image in images if has_alpha(image)]
    return alpha == "network" and any(np.ptp(plane) for plane in planes)


def _within(progress: Progress, before: int, after: int) -> Progress:
    """The progress of one pass as part of all."""
    return lambda n_done, total: progress(before + n_done, before + total + after)


def _example() -> Any:
    """A small batch to trace and compare with."""
    import torch

    return torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
