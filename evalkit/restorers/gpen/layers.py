"""The layers of GPEN's generator, which are StyleGAN2's, arranged for speed.

A modulated convolution scales its input and its output and shares its weights among
the faces of a batch; FIR resampling is a depthwise (transposed) convolution; bias,
demodulation and gain are one multiplication and addition. Nothing in a `forward`
depends on values or on the batch size, so the network can be traced, exported and
converted. What depends on parameters alone can be made once, see `fold`.

References
----------
Karras et al., Analyzing and Improving the Image Quality of StyleGAN, CVPR 2020,
arXiv:1912.04958.

"""

import math
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STYLE_CHANNELS = 512

GAIN = math.sqrt(2)
SLOPE = 0.2
EPSILON = 1e-8


def binomial_kernel(gain: float) -> Tensor:
    """[1 3 3 1] times its transpose, ``(4, 4)``, float32, with that sum."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return taps[:, None] * taps * (gain / 64)


class Folding(nn.Module):
    """A layer that makes the tensors of `constants` of its parameters at each call.

    Once folded it has them in place of its parameters, on that device and in that
    precision.
    """

    constants: ClassVar[tuple[str, ...]]

    def fold(self) -> None:
        """Make them once; the layer's output is the same, bit for bit."""
        for name in self.constants:
            setattr(self, name, partial(_kept, getattr(self, name)()))
        for name in dict(self.named_parameters(recurse=False)):
            delattr(self, name)  # or the memory would hold both


def _kept(value: Any) -> Any:
    return value


class Fir(Folding):
    """The binomial filter [1 3 3 1] in both directions, each channel by itself.

    `gain` is the sum of the taps: 1, or 4 after zeros were put between the pixels.
    """

    constants = ("taps",)

    def __init__(self, n_channels: int, gain: float = 1, padding: int = 0) -> None:
        super().__init__()
        self.n_channels = n_channels
        self.kernel: Tensor
        self.register_buffer("kernel", binomial_kernel(gain))
        self.gain = gain
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """Filter ``(N, C, H, W)``; each side grows by twice the padding, less 3."""
        n = self.n_channels
        return F.conv2d(x, self.taps(), padding=self.padding, groups=n)

    def taps(self) -> Tensor:
        """Of each channel, ``(C, 1, 4, 4)``."""
        return self.kernel.flip(0, 1).expand(self.n_channels, 1, 4, 4).contiguous()


class FirUpsample(Fir):
    """Doubles the sides of ``(N, C, H, W)`` with the same filter."""

    def __init__(self, n_channels: int) -> None:
        super().__init__(n_channels, gain=4)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, C, 2H, 2W)``."""
        n = self.n_channels
        return F.conv_transpose2d(x, self.taps(), stride=2, padding=1, groups=n)

    def taps(self) -> Tensor:
        """See `Fir.taps`; a transposed convolution flips by itself."""
        return self.kernel.expand(self.n_channels, 1, 4, 4).contiguous()


class Activation(Folding):
    """Bias, leaky ReLU and its gain, in that order."""

    constants = ("shift",)

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n_channels))

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Activate ``(N, C, H, W)``, first multiplied by `scale`, ``(N, C, 1, 1)``."""
        if scale is None:
            x = torch.add(self.shift(), x, alpha=GAIN)
        else:
            x = torch.addcmul(self.shift(), x, scale, value=GAIN)
        return F.leaky_relu(x, SLOPE, inplace=True)

    def shift(self) -> Tensor:
        """The bias times the gain, ``(C, 1, 1)``."""
        return self.bias[:, None, None] * GAIN


class ScaledConv2d(Folding):
    """A convolution whose scale is kept apart from its tensor; without a bias."""

    constants = ("filters",)

    def __init__(self, n_in: int, n_out: int, side: int, stride: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, side, side))
        self.scale = 1 / math.sqrt(n_in * side**2)
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Convolve ``(N, n_in, H, W)``, without padding."""
        return F.conv2d(x, self.filters(), stride=self.stride)

    def filters(self) -> Tensor:
        """The weights, scaled, ``(n_out, n_in, side, side)``."""
        return self.weight * self.scale


def encoder_layer(n_in: int, n_out: int) -> nn.Sequential:
    """Filter, 3x3 convolution with stride 2, activation: the sides are halved."""
    conv = ScaledConv2d(n_in, n_out, 3, stride=2)
    return nn.Sequential(Fir(n_in, padding=2), conv, Activation(n_out))


class ScaledLinear(Folding):
    """A linear layer in float32, whatever the precision of its tensors.

    Styles are few and steer whole feature maps, so their rounding would show. Weights
    are stored divided by `rate`, the learning-rate multiplier.
    """

    constants = ("matrix", "shift")

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        rate: float = 1,
        bias: float = 0,
        activate: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / rate)
        self.bias = nn.Parameter(torch.full((n_out,), float(bias)))
        self.rate = rate
        self.scale = rate / math.sqrt(n_in)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, n_in)`` to ``(N, n_out)``, float32."""
        x = F.linear(x.float(), self.matrix(), self.shift())
        return F.leaky_relu(x, SLOPE) * GAIN if self.activate else x

    def matrix(self) -> Tensor:
        """The weights, scaled, ``(n_out, n_in)``, float32."""
        return self.weight.float() * self.scale

    def shift(self) -> Tensor:
        """The bias, scaled, ``(n_out,)``, float32."""
        return self.bias.float() * self.rate


class PixelNorm(nn.Module):
    """Brings the root mean square of a style code to 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(N, C)`` over its channels."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


class ModulatedConv2d(Folding):
    """A convolution whose input channels are scaled by the style code.

    To upsample it is transposed with stride 2, then filtered: the sides double.
    """

    constants = ("filters", "energy")

    def __init__(
        self, n_in: int, n_out: int, side: int, *, upsample: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, side, side))
        if upsample:
            self.blur = Fir(n_out, gain=4, padding=1)
        self.modulation = ScaledLinear(STYLE_CHANNELS, n_in, bias=1)
        self.scale = 1 / math.sqrt(n_in * side**2)
        self.side = side
        self.upsample = upsample
        # in the files the weights have a leading axis of one, which no layout
        # of the memory of pictures knows
        hooks: Any = self  # torch has no annotations of these two
        hooks.register_load_state_dict_pre_hook(_without_leading_axis)
        hooks.register_state_dict_post_hook(_with_leading_axis)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Convolve ``(N, n_in, H, W)`` or ``(1, n_in, H, W)``; not demodulated."""
        x = x * as_map(style).to(x.dtype)
        if self.upsample:
            filtered: Tensor = self.blur(
                F.conv_transpose2d(x, self.filters(), stride=2)
            )
            return filtered
        return F.conv2d(x, self.filters(), padding=self.side // 2)

    def filters(self) -> Tensor:
        """The weights as the convolution takes them; transposed, ``(n_in, n_out)``."""
        if self.upsample:
            return self.weight.transpose(0, 1).contiguous()
        return self.weight

    def style(self, latent: Tensor) -> Tensor:
        """What the input is multiplied by, ``(N, n_in)``, float32."""
        style: Tensor = self.modulation(latent) * self.scale
        return style

    def demodulation(self, style: Tensor) -> Tensor:
        """What brings the output to unit variance, ``(N, n_out)``, float32."""
        return torch.rsqrt(F.linear(style.square(), self.energy()) + EPSILON)

    def energy(self) -> Tensor:
        """Of each filter, ``(n_out, n_in)``, float32."""
        return self.weight.float().square().sum((2, 3))


def fold(network: nn.Module) -> None:
    """Make once what the layers of a network make of their parameters at each call."""
    for layer in network.modules():
        if isinstance(layer, Folding):
            layer.fold()


def as_map(values: Tensor) -> Tensor:
    """Values of channels, ``(N, C)``, in the shape that scales feature maps."""
    return values[:, :, None, None]


def _without_leading_axis(
    _module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any
) -> None:
    weight = state.get(f"{prefix}weight")
    if weight is not None and weight.ndim == 5:
        state[f"{prefix}weight"] = weight.squeeze(0)


def _with_leading_axis(
    _module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any
) -> None:
    state[f"{prefix}weight"] = state[f"{prefix}weight"][None]
