"""Our runner of Real-ESRGAN: the tiler, OpenVINO on a CPU, PyTorch on CUDA."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from evalkit.images import Picture, check_picture
from evalkit.restorers._openvino import engine_on_cpu
from evalkit.restorers._protocol import (
    Cancel,
    Plan,
    Progress,
    Restored,
    Restorer,
    Stopwatch,
)
from evalkit.restorers._realesrgan_network import Network, load_module
from evalkit.restorers._tiling import Pass, restore_tiled
from evalkit.restorers._torch import (
    Engine,
    MakeEngine,
    TorchEngine,
    oom_as_ours,
)
from evalkit.weights import WeightsInUse

if TYPE_CHECKING:
    import torch


def load_pass(
    network: Network,
    found: Sequence[WeightsInUse],
    *,
    device: str,
    precision: str,
    tile: int,
    denoise_strength: float = 1.0,
    make_engine: MakeEngine | None = None,
) -> tuple[Pass, list[str]]:
    """Load a network for `enlarge`.

    Parameters
    ----------
    network, found, denoise_strength
        As in `load_module`.
    device, precision
        As `pick_device` and `pick_precision` returned them.
    tile
        Source pixels; 0 to cut nothing.
    make_engine
        What runs the network; None for OpenVINO on a CPU and PyTorch on CUDA.

    Returns
    -------
    tuple
        The pass, and what the reader must know of it.

    Raises
    ------
    WeightsError
        The file is not one for this network.

    """

    def load(precision: str) -> tuple[Engine, list[str]]:
        module = load_module(network, found, denoise_strength)
        digests = [str(weights.sha256) for weights in found]
        key = " ".join([*digests, f"{denoise_strength:g}"])
        return (make_engine or _engine_maker(device))(
            module, _example(), precision, key
        )

    engine, notes = load(precision)
    tiling = network.tiling(device, tile)
    in_fp32 = None if precision == "fp32" else lambda: load("fp32")[0]
    return Pass(engine=engine, tiling=tiling, in_fp32=in_fp32), [engine.name, *notes]


def _engine_maker(device: str) -> MakeEngine:
    def make(
        module: torch.nn.Module, example: torch.Tensor, precision: str, key: str
    ) -> tuple[Engine, list[str]]:
        if device != "cpu":
            return TorchEngine(module, device, precision), []
        return engine_on_cpu(
            module, example, precision=precision, cache_key=key, takes_any_size=True
        )

    return make


def enlarge(
    images: Sequence[Picture],
    step: Pass,
    *,
    alpha: str,
    watch: Stopwatch,
    progress: Progress,
    cancel: Cancel,
) -> tuple[list[Picture], list[str]]:
    """Restore pictures of one shape and dtype once; see `restore_tiled`.

    Parameters
    ----------
    images, step, watch, progress, cancel
        As there; `images` may have an alpha channel.
    alpha
        ``network``: as a grey picture through the network, unless it has one value;
        ``interpolate``: bilinear.

    """
    has_alpha = images[0].shape[2:] == (4,)
    by_network = _takes_alpha(images, alpha)
    alphas: list[Any] = [image[..., 3] for image in images] if has_alpha else []
    sources: list[Any] = [image[..., :3] if has_alpha else image for image in images]
    outputs, notes = restore_tiled(
        sources + alphas if by_network else sources,
        step,
        watch=watch,
        progress=progress,
        cancel=cancel,
    )
    if not has_alpha:
        return outputs, notes
    with watch("blend"):
        if not by_network:
            outputs += [_interpolated(plane, step.tiling.scale) for plane in alphas]
        both = zip(outputs[: len(images)], outputs[len(images) :], strict=True)
        return [cast("Picture", np.dstack(planes)) for planes in both], notes


class TunedRealESRGAN(Restorer):
    """A network, run once, or for a scale of 8 again on its own output.

    Parameters
    ----------
    plan
        ``resolved``: scale and alpha, settled.
    passes
        In order.
    notes
        What the reader must know of them.

    """

    def __init__(self, plan: Plan, passes: Sequence[Pass], notes: list[str]) -> None:
        super().__init__(plan)
        self._passes = tuple(passes)
        self._notes = [*notes, *plan.notes]

    def _restore(
        self,
        image: Picture,
        *,
        aligned: bool,  # noqa: ARG002
        source: str | None,  # noqa: ARG002
        progress: Progress,
        cancel: Cancel,
    ) -> Restored:
        with oom_as_ours(f"a picture of {image.shape[1]}x{image.shape[0]} px"):
            return self._together([image], progress, cancel)[0]

    def restore_batch(
        self,
        images: Sequence[Picture],
        *,
        aligned: bool = False,
        sources: Sequence[str] | None = None,
        progress: Progress | None = None,
        cancel: Cancel | None = None,
    ) -> list[Restored]:
        """Restore several pictures; on a GPU those of one size together.

        The stage times of such a picture are its share of the batch's. The rest is as
        in `Restorer.restore_batch`.
        """
        if not self._passes[0].tiling.batch_px:
            return super().restore_batch(
                images,
                aligned=aligned,
                sources=sources,
                progress=progress,
                cancel=cancel,
            )
        groups: dict[object, list[int]] = {}
        for index, image in enumerate(images):
            check_picture(image)
            groups.setdefault((image.shape, image.dtype), []).append(index)
        results: dict[int, Restored] = {}
        for indices in groups.values():
            made = self._together(
                [images[index] for index in indices],
                lambda _done, _total: None,
                cancel or (lambda: False),
            )
            results |= zip(indices, made, strict=True)
            if progress:
                progress(len(results), len(images))
        return [results[index] for index in range(len(images))]

    def _together(
        self, images: Sequence[Picture], progress: Progress, cancel: Cancel
    ) -> list[Restored]:
        watch, notes = Stopwatch(), list(self._notes)
        pictures, planned = list(images), self._windows(images)
        for number, step in enumerate(self._passes):
            pictures, more = enlarge(
                pictures,
                step,
                alpha=self.plan.resolved["alpha"],
                watch=watch,
                progress=_within(
                    progress, sum(planned[:number]), sum(planned[number + 1 :])
                ),
                cancel=cancel,
            )
            notes += more
        height, width = (
            int(side * self.plan.resolved["scale"]) for side in images[0].shape[:2]
        )
        with watch("blend"):
            pictures = [_lanczos(picture, height, width) for picture in pictures]
        share_s = {stage: s / len(images) for stage, s in watch.stages_s.items()}
        return [
            Restored(image=picture, stages_s=dict(share_s), notes=list(notes))
            for picture in pictures
        ]

    def _windows(self, images: Sequence[Picture]) -> list[int]:
        """How many windows each pass has, if memory suffices."""
        height, width = images[0].shape[:2]
        n_planes = 2 if _takes_alpha(images, self.plan.resolved["alpha"]) else 1
        counts = []
        for step in self._passes:
            rows, columns = step.tiling.rows_and_columns(height, width)
            counts.append(len(rows) * len(columns) * n_planes * len(images))
            height, width = height * step.tiling.scale, width * step.tiling.scale
        return counts


def _takes_alpha(images: Sequence[Picture], alpha: str) -> bool:
    """Whether the network makes the alpha channel, too: one that is opaque stays so."""
    planes = [image[..., 3] for image in images if image.shape[2:] == (4,)]
    return alpha == "network" and any(np.ptp(plane) for plane in planes)


def _within(progress: Progress, before: int, after: int) -> Progress:
    """The progress of one pass as part of all."""
    return lambda done, total: progress(before + done, before + total + after)


def _lanczos(picture: Picture, height: int, width: int) -> Picture:
    """What RealESRGANer does for a scale that is not its network's."""
    import cv2

    if picture.shape[:2] == (height, width):
        return picture
    how = cv2.INTER_LANCZOS4
    return cast("Picture", cv2.resize(picture, (width, height), interpolation=how))


def _interpolated(plane: Picture, scale: int) -> Picture:
    import cv2

    enlarged: NDArray[np.float32] = cv2.resize(
        plane.astype(np.float32),
        None,
        fx=scale,
        fy=scale,
        interpolation=cv2.INTER_LINEAR,
    )
    return cast("Picture", np.rint(enlarged).astype(plane.dtype))


def _example() -> Any:
    """A small batch to trace and compare with."""
    import torch

    return torch.linspace(0, 1, 3 * 16 * 16).reshape(1, 3, 16, 16)
