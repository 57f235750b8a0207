"""GPEN's generator: an encoder whose features feed a StyleGAN2 decoder.

The tensors of a state dict are named and shaped as in the released files.

References
----------
Yang et al., GAN Prior Embedded Network for Blind Face Restoration in the Wild,
CVPR 2021, arXiv:2105.06070.

"""

import itertools
import math

import torch
from torch import Tensor, nn

from evalkit.errors import WeightsError
from evalkit.restorers.gpen.layers import (
    STYLE_CHANNELS,
    Activation,
    Fir,
    FirUpsample,
    ModulatedConv2d,
    PixelNorm,
    ScaledConv2d,
    ScaledLinear,
    as_map,
    binomial_kernel,
    encoder_layer,
)

N_MAPPING_LAYERS = 8
MAPPING_RATE = 0.01
"""Learning-rate multiplier of the mapping layers, which scales their weights."""

RANDOM_FEATURE_WEIGHT = 0.5
RANDOM_COLOUR_SCALE = 0.3


class NoiseWeight(nn.Module):
    """The weight of an encoder's feature map where StyleGAN2 would put noise."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class DecoderLayer(nn.Module):
    """A modulated convolution, joined by an encoder's feature map, activated."""

    def __init__(self, n_in: int, n_out: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(n_in, n_out, 3, upsample=upsample)
        self.noise = NoiseWeight()
        self.activate = Activation(2 * n_out)

    def forward(self, x: Tensor, feature: Tensor, latent: Tensor) -> Tensor:
        """Return ``(N, 2 n_out, H, W)``; `feature` is ``(N, n_out, H, W)``."""
        style = self.conv.style(latent)
        demodulation = self.conv.demodulation(style)
        weight = self.noise.weight.expand_as(demodulation)
        scale = as_map(torch.cat((demodulation, weight), dim=1))
        joined = torch.cat((self.conv(x, style), feature), dim=1)
        activated: Tensor = self.activate(joined, scale.to(x.dtype))
        return activated


class ToRgb(nn.Module):
    """Adds what a layer contributes to the picture, and enlarges what is there."""

    def __init__(self, n_in: int, *, upsample: bool = True) -> None:
        super().__init__()
        if upsample:
            self.upsample = FirUpsample(3)
        self.conv = ModulatedConv2d(n_in, 3, 1)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, latent: Tensor, picture: Tensor | None) -> Tensor:
        """Return ``(N, 3, H, W)``; `picture` is of half that size, or None."""
        layer_rgb: Tensor = self.conv(x, self.conv.style(latent)) + self.bias
        return layer_rgb if picture is None else layer_rgb + self.upsample(picture)


class ConstantInput(nn.Module):
    """The learned map that the decoder starts from, the same for every face."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, n_channels, 4, 4))


class Decoder(nn.Module):
    """StyleGAN2's synthesis and mapping networks, fed by the encoder's features."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        mapping = [
            ScaledLinear(
                STYLE_CHANNELS, STYLE_CHANNELS, rate=MAPPING_RATE, activate=True
            )
            for _ in range(N_MAPPING_LAYERS)
        ]
        self.style = nn.Sequential(PixelNorm(), *mapping)
        self.input = ConstantInput(channels[0])
        self.conv1 = DecoderLayer(channels[0], channels[0])
        self.to_rgb1 = ToRgb(2 * channels[0], upsample=False)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for n_in, n_out in itertools.pairwise(channels):
            self.convs.append(DecoderLayer(2 * n_in, n_out, upsample=True))
            self.convs.append(DecoderLayer(2 * n_out, n_out))
            self.to_rgbs.append(ToRgb(2 * n_out))

    def forward(self, code: Tensor, features: list[Tensor]) -> Tensor:
        """Make ``(N, 3, S, S)`` of codes ``(N, 512)`` and features from 4x4 up."""
        latent = self.style(code)
        x = self.conv1(self.input.input, features[0], latent)
        picture: Tensor = self.to_rgb1(x, latent, None)
        for index, to_rgb in enumerate(self.to_rgbs):
            feature = features[index + 1]
            x = self.convs[2 * index](x, feature, latent)
            x = self.convs[2 * index + 1](x, feature, latent)
            picture = to_rgb(x, latent, picture)
        return picture


class FullGenerator(nn.Module):
    """GPEN's network for one size of face.

    Parameters
    ----------
    size
        Side of a face in pixels: 256, 512, 1024 or 2048.
    channel_multiplier, narrow
        Of the channels from 64 px up, and of all: 1 and 0.5 at 256, else 2 and 1.

    """

    def __init__(
        self, size: int, channel_multiplier: int = 2, narrow: float = 1
    ) -> None:
        super().__init__()
        n_octaves = int(math.log2(size)) - 1
        channels = [
            int((512 if level < 6 else 2 ** (14 - level) * channel_multiplier) * narrow)
            for level in range(2, 2 + n_octaves)
        ]
        self.generator = Decoder(channels)
        wide_to_deep = channels[::-1]
        conv = ScaledConv2d(3, wide_to_deep[0], 1, stride=1)
        first = nn.Sequential(conv, Activation(wide_to_deep[0]))
        layers = [
            first,
            *itertools.starmap(encoder_layer, itertools.pairwise(wide_to_deep)),
        ]
        for index, layer in enumerate(layers):
            self.add_module(f"ecd{index}", nn.Sequential(layer))
        self.final_linear = nn.Sequential(
            ScaledLinear(channels[0] * 4 * 4, STYLE_CHANNELS, activate=True)
        )
        self.n_layers = len(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Restore faces.

        Parameters
        ----------
        x
            ``(N, 3, S, S)``, R, G, B, in [-1, 1].

        Returns
        -------
        Tensor
            The same shape; about [-1, 1], not clipped.

        """
        features = []
        for index in range(self.n_layers):
            x = self.get_submodule(f"ecd{index}")(x)
            features.append(x)
        code = self.final_linear(x.flatten(1))
        faces: Tensor = self.generator(code, features[::-1])
        return faces


def with_state(
    state: dict[str, Tensor], size: int, channel_multiplier: int, narrow: float
) -> FullGenerator:
    """A generator that holds the tensors of `state`, ready to be called.

    Raises
    ------
    WeightsError
        The tensors are not those of a generator of this size and width.

    """
    with torch.device("meta"):
        network = FullGenerator(size, channel_multiplier, narrow)
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        expected = network.state_dict()
        raise WeightsError(
            f"expected the {len(expected)} tensors of a GPEN generator of size {size}, "
            f"channel_multiplier {channel_multiplier}, narrow {narrow:g}; got "
            f"{len(state)} tensors: {str(error)[:400]}"
        ) from error
    return network.eval().requires_grad_(False)


def with_random_values(
    size: int, channel_multiplier: int, narrow: float, seed: int
) -> FullGenerator:
    """A generator whose pictures are noise: it costs what the released one costs.

    Drawn as before a training, apart from two things: the encoder's features have a
    weight, so that no part of the work is on zeros, and the colours that all sizes
    add up stay near [-1, 1].
    """
    with torch.device("meta"):
        network = FullGenerator(size, channel_multiplier, narrow)
    network.to_empty(device="cpu")
    network.eval().requires_grad_(False)
    chance = torch.Generator().manual_seed(seed)
    for name, tensor in network.named_parameters():
        if name.endswith("bias"):
            tensor.fill_(1 if "modulation" in name else 0)
        elif ".noise." in name:
            tensor.fill_(RANDOM_FEATURE_WEIGHT)
        else:
            tensor.normal_(std=_random_scale(name), generator=chance)
    for module in network.modules():
        if isinstance(module, Fir):
            module.kernel.copy_(binomial_kernel(module.gain))
    return network


def _random_scale(name: str) -> float:
    if name.startswith("generator.style."):
        return 1 / MAPPING_RATE
    is_colour = "to_rgb" in name and name.endswith("conv.weight")
    return RANDOM_COLOUR_SCALE if is_colour else 1
