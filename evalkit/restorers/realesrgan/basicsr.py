"""Upstream's packages: seconds to import, once for all forked workers of ``upstream``.

Imported nowhere else: the networks of the tuned runner are `_realesrgan_modules`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.imports.basicsr import import_basicsr

import_basicsr()

from basicsr.archs.rrdbnet_arch import RRDBNet  # noqa: E402
from realesrgan import utils  # noqa: E402
from realesrgan.archs.srvgg_arch import SRVGGNetCompact  # noqa: E402

if TYPE_CHECKING:
    import torch

    from evalkit.restorers.realesrgan.network import Network

__all__ = ["upstream_module", "utils"]


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
