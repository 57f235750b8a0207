"""Real-ESRGAN's two networks, in our words; names and order of the values are theirs.

What basicsr 1.4.2 and realesrgan 0.3.0 define, both BSD-3-Clause, gives the same
pictures to the bit (a test compares); those packages are seconds to import, and do not
build on Python 3.13.
"""

import torch
from torch import nn
from torch.nn import functional

RESIDUAL = 0.2
"""The share of a block that is added to its input (Wang et al., ESRGAN, 2018)."""

GROWTH = 32
"""Channels that each convolution of a dense block adds."""


def _conv(n_inputs: int, n_outputs: int) -> nn.Conv2d:
    return nn.Conv2d(n_inputs, n_outputs, 3, padding=1)


class DenseBlock(nn.Module):
    """Five convolutions, each of everything before it."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        for n in range(4):
            self.add_module(f"conv{n + 1}", _conv(n_features + n * GROWTH, GROWTH))
        self.conv5 = _conv(n_features + 4 * GROWTH, n_features)
        self.lrelu = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape, ``(N, n_features, H, W)``."""
        parts = [x]
        for n in range(4):
            convolve = self.get_submodule(f"conv{n + 1}")
            parts.append(self.lrelu(convolve(torch.cat(parts, 1))))
        added: torch.Tensor = self.conv5(torch.cat(parts, 1))
        return added * RESIDUAL + x


class ResidualBlock(nn.Module):
    """Three dense blocks and the way around them."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.rdb1 = DenseBlock(n_features)
        self.rdb2 = DenseBlock(n_features)
        self.rdb3 = DenseBlock(n_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape, ``(N, n_features, H, W)``."""
        added: torch.Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return added * RESIDUAL + x


class RRDBNet(nn.Module):
    """Residual blocks at the source's resolution, or at half of it, then two doublings.

    Parameters
    ----------
    scale
        4, or 2: then 2x2 pixels become 4 channels first.
    n_features
        Channels of the feature maps.
    n_blocks
        Residual blocks.

    """

    def __init__(self, *, scale: int, n_features: int, n_blocks: int) -> None:
        super().__init__()
        self.shrunk = 4 // scale
        self.conv_first = _conv(3 * self.shrunk**2, n_features)
        self.body = nn.Sequential(*(ResidualBlock(n_features) for _ in range(n_blocks)))
        self.conv_body = _conv(n_features, n_features)
        self.conv_up1 = _conv(n_features, n_features)
        self.conv_up2 = _conv(n_features, n_features)
        self.conv_hr = _conv(n_features, n_features)
        self.conv_last = _conv(n_features, 3)
        self.lrelu = nn.LeakyReLU(0.2, inplace=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From ``(N, 3, H, W)`` to ``(N, 3, scale * H, scale * W)``."""
        if self.shrunk > 1:
            x = functional.pixel_unshuffle(x, self.shrunk)
        features = self.conv_first(x)
        features = features + self.conv_body(self.body(features))
        for convolve in (self.conv_up1, self.conv_up2):
            # without a name, which would hold a quarter of the peak until the end
            features = self.lrelu(convolve(_doubled(features)))
        output: torch.Tensor = self.conv_last(self.lrelu(self.conv_hr(features)))
        return output


class SRVGGNetCompact(nn.Module):
    """Convolutions at the source's resolution; they add to its nearest enlargement.

    Parameters
    ----------
    scale
        Output side divided by source side.
    n_features
        Channels of the feature maps.
    n_convolutions
        The first and the last one not counted.

    """

    def __init__(self, *, scale: int, n_features: int, n_convolutions: int) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = []
        for n in range(n_convolutions + 1):
            layers += [_conv(n_features if n else 3, n_features), nn.PReLU(n_features)]
        self.body = nn.ModuleList([*layers, _conv(n_features, 3 * scale**2)])
        self.upsampler = nn.PixelShuffle(scale)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From ``(N, 3, H, W)`` to ``(N, 3, scale * H, scale * W)``."""
        features = x
        for layer in self.body:
            features = layer(features)
        output: torch.Tensor = self.upsampler(features)
        output += functional.interpolate(x, scale_factor=self.scale, mode="nearest")
        return output


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="nearest")
