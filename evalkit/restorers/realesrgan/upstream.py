"""RealESRGANer as the package has it, its failures made errors from outside.

Its packages take seconds to import: this module brings them once for all forked workers
of ``upstream``, and is imported nowhere else. The networks of the tuned runner are in
`evalkit.restorers.realesrgan.modules`.
"""

from __future__ import annotations

import copy
import logging
import math
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from evalkit.errors import OutputRejectedError
from evalkit.images import Picture
from evalkit.images.channels import has_alpha
from evalkit.imports.basicsr import import_basicsr
from evalkit.machine.out_of_memory import oom_as_ours
from evalkit.restorers._protocol import Context, Plan, Restorer, stop_if
from evalkit.restorers._stopwatch import Stopwatch
from evalkit.restorers.engines.tf32 import calculating_in, single_precision
from evalkit.restorers.realesrgan.batches import TILE_PAD

import_basicsr()

from basicsr.archs.rrdbnet_arch import RRDBNet  # noqa: E402
from realesrgan import utils  # noqa: E402
from realesrgan.archs.srvgg_arch import SRVGGNetCompact  # noqa: E402

if TYPE_CHECKING:
    import torch

    from evalkit.restorers.realesrgan.network import Network

PRE_PAD = 0
"""Default of upstream's script ``inference_realesrgan.py``, as is tile 0."""

LOG = logging.getLogger(__name__)


class UpstreamRealESRGAN(Restorer):
    """What a user of Real-ESRGAN's script gets, except that a failure is an error.

    `RealESRGANer` keeps the picture it works on in itself, and when a tile raises a
    `RuntimeError` it prints that and pastes the tile before it again. Here each call
    works on a shallow copy of the object, and its network raises errors that it does
    not catch.
    """

    def __init__(self, plan: Plan, module: torch.nn.Module, network_scale: int) -> None:
        import torch

        settings = plan.resolved
        self._single = single_precision(settings)
        precision = settings["precision"]
        if precision == "fp32" and self._single == "tf32":
            precision = "fp32 with TF32 in convolutions"
        runs = (
            f"RealESRGANer {version('realesrgan')} on PyTorch {torch.__version__}, "
            f"{precision}, {settings['device']}"
        )
        super().__init__(plan, (runs, *plan.notes))
        self._upsampler = _upsampler(settings, module, network_scale)

    def _restore(self, image: Picture, context: Context) -> Picture:
        settings = self.plan.resolved
        by_network = has_alpha(image) and settings["alpha"] == "network"
        n_tiles = _n_tiles(image, settings["tile"]) * (2 if by_network else 1)
        context.watch = Stopwatch(_synchronize(settings["device"]))
        upsampler = copy.copy(self._upsampler)
        # what another restorer sets meanwhile, in another thread, is not for this one
        network = calculating_in(self._single)(upsampler.model)
        upsampler.model = _guarded(network, context, n_tiles)
        # what the watch gives for `with` decorates a function as well
        upsampler.pre_process = context.watch("upload")(upsampler.pre_process)
        upsampler.post_process = context.watch("download")(
            lambda post_process=upsampler.post_process: _on_the_host(post_process())
        )
        try:
            with oom_as_ours(f"a picture of {image.shape[1]}x{image.shape[0]} px"):
                output, _ = upsampler.enhance(
                    _with_red_and_blue_swapped(image),
                    outscale=settings["scale"],
                    alpha_upsampler="realesrgan" if by_network else "bilinear",
                )
        except RuntimeError as error:
            raise OutputRejectedError(f"RealESRGANer failed: {error}") from error
        if output.dtype != image.dtype:
            output = output.astype(np.uint16) * np.uint16(257)
            context.notes.append(
                "upstream takes 16 bits without a value over 256 for 8 bits"
            )
        restored = _with_red_and_blue_swapped(output)
        context.watch.add_rest("blend")
        return restored


def upstream_module(network: Network) -> torch.nn.Module:
    """The network as Real-ESRGAN's packages define it, not yet trained."""
    features = network.n_features
    if network.n_blocks:
        module: torch.nn.Module = RRDBNet(
            num_in_ch=3,
            num_out_ch=3,
            scale=network.scale,
            num_feat=features,
            num_block=network.n_blocks,
        )
        return module.eval()
    module = SRVGGNetCompact(
        num_feat=features, num_conv=network.n_convolutions, upscale=network.scale
    )
    return module.eval()


def _on_the_host(output: torch.Tensor) -> torch.Tensor:
    """What `RealESRGANer.enhance` does next, and finds done."""
    return output.float().cpu()


def _upsampler(settings: Any, module: torch.nn.Module, network_scale: int) -> Any:
    """A `RealESRGANer`; it takes weights only from a file with the key ``params``."""
    import torch

    vars(utils)["print"] = _log  # each tile, and 16 bits, are printed
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save({"params": module.state_dict()}, path)
        return utils.RealESRGANer(
            scale=network_scale,
            model_path=str(path),
            model=module,
            tile=settings["tile"],
            tile_pad=TILE_PAD,
            pre_pad=PRE_PAD,
            half=settings["precision"] == "fp16",
            device=torch.device(settings["device"]),
        )


def _guarded(
    model: Callable[[torch.Tensor], torch.Tensor], context: Context, n_tiles: int
) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network, raising what `RealESRGANer` does not catch, counting its tiles."""
    import torch

    n_done = 0

    def run(tile: torch.Tensor) -> torch.Tensor:
        nonlocal n_done
        stop_if(context.cancel)
        try:
            with oom_as_ours(f"a tile of shape {tuple(tile.shape)}"):
                with context.watch("network"):
                    output = model(tile)
                is_finite = torch.isfinite(output).all()
        except RuntimeError as error:
            raise OutputRejectedError(f"the network failed: {error}") from error
        if not is_finite:
            raise OutputRejectedError("the network's output holds NaN or infinity")
        n_done += 1
        context.progress(n_done, n_tiles)
        return output

    return run


def _with_red_and_blue_swapped(image: Picture) -> Picture:
    if image.ndim == 2:
        return image
    order = [2, 1, 0, 3][: image.shape[2]]
    return cast("Picture", np.ascontiguousarray(image[..., order]))


def _n_tiles(image: Picture, tile: int) -> int:
    return math.prod(math.ceil(side / (tile or side)) for side in image.shape[:2])


def _synchronize(device: str) -> Callable[[], None]:
    import torch

    return (lambda: None) if device == "cpu" else lambda: torch.cuda.synchronize(device)


def _log(*words: object) -> None:
    LOG.info(" ".join(map(str, words)).strip())
