"""A network of any channels, as one from R, G, B to R, G, B."""

from importlib.metadata import version
from typing import Any

import torch
from torch import nn


class InRgb(nn.Module):
    """A network: of one channel it gets each colour by itself, of four no glass.

    Parameters
    ----------
    descriptor
        An ``ImageModelDescriptor`` of spandrel's.
    is_plain
        Whether spandrel's own call is used, which pads and clips.

    """

    def __init__(self, descriptor: Any, *, is_plain: bool) -> None:
        super().__init__()
        self.network = descriptor.model
        self._call: Any = descriptor if is_plain else self._unclipped
        self._call_network = descriptor._call_fn
        self._n_inputs = descriptor.input_channels
        self._reader = f"spandrel {version('spandrel')}"  # see `network_digest`

    def _unclipped(self, batch: torch.Tensor) -> Any:
        return self._call_network(self.network, batch)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """``(N, 3, H, W)``, in [0, 1], to ``(N, 3, H * scale, W * scale)``."""
        if self._n_inputs == 1:
            output: torch.Tensor = self._call(batch.reshape(-1, 1, *batch.shape[2:]))
            output = output[:, :1]
            return output.reshape(-1, 3, *output.shape[2:])
        if self._n_inputs == 4:
            batch = torch.cat([batch, torch.ones_like(batch[:, :1])], 1)
        colours: torch.Tensor = self._call(batch)[:, :3]
        return colours.expand(-1, 3, -1, -1)
