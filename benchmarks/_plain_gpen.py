"""GPEN's generator as its description reads, with no thought of speed.

Weights of its own for each face of a batch, grouped convolutions, every filter tap:
what the network of `evalkit.restorers` is compared with, here for speed and in the
tests for equality.
"""

import math

import torch
from torch.nn import functional as F


def filtered(x, kernel, up=1, before=0, after=0):
    """Zeros between the pixels, zeros around, the whole filter on every plane."""
    n, c, height, width = x.shape
    wide = x.new_zeros(n, c, height * up, width * up)
    wide[:, :, ::up, ::up] = x
    wide = F.pad(wide, (before, after, before, after))
    planes = wide.view(n * c, 1, *wide.shape[2:])
    filtered = F.conv2d(planes, kernel.flip(0, 1)[None, None])
    return filtered.view(n, c, *filtered.shape[2:])


def activated(x, bias):
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return math.sqrt(2) * F.leaky_relu(x + bias.view(shape), 0.2)


class PlainGenerator:
    """The network on a state dict of the released layout.

    Parameters
    ----------
    state
        Tensors by name.
    size
        Side of a face in pixels.

    """

    def __init__(self, state, size):
        self.state = state
        self.octaves = int(math.log2(size)) - 2

    def modulated(self, x, latent, name, *, demodulate=True, upsample=False):
        weight = self.state[f"{name}.weight"]
        _, n_out, n_in, side, _ = weight.shape
        linear = self.state[f"{name}.modulation.weight"] / math.sqrt(512)
        style = latent @ linear.T + self.state[f"{name}.modulation.bias"]
        weight = weight * style.view(-1, 1, n_in, 1, 1) / math.sqrt(n_in * side**2)
        if demodulate:
            norm = weight.square().sum((2, 3, 4), keepdim=True)
            weight = weight / torch.sqrt(norm + 1e-8)
        n, _, height, width = x.shape
        x = x.reshape(1, n * n_in, height, width)
        if not upsample:
            weight = weight.reshape(n * n_out, n_in, side, side)
            x = F.conv2d(x, weight, padding=side // 2, groups=n)
            return x.view(n, n_out, height, width)
        weight = weight.transpose(1, 2).reshape(n * n_in, n_out, side, side)
        x = F.conv_transpose2d(x, weight, stride=2, groups=n)
        x = x.view(n, n_out, 2 * height + 1, 2 * width + 1)
        return filtered(x, self.state[f"{name}.blur.kernel"], before=1, after=1)

    def styled(self, x, latent, feature, name, *, upsample=False):
        x = self.modulated(x, latent, f"{name}.conv", upsample=upsample)
        x = torch.cat((x, self.state[f"{name}.noise.weight"] * feature), dim=1)
        return activated(x, self.state[f"{name}.activate.bias"])

    def rgb(self, x, latent, picture, name):
        own = self.modulated(x, latent, f"{name}.conv", demodulate=False)
        own = own + self.state[f"{name}.bias"]
        if picture is None:
            return own
        kernel = self.state[f"{name}.upsample.kernel"]
        return own + filtered(picture, kernel, up=2, before=2, after=1)

    def encoded(self, x):
        weight = self.state["ecd0.0.0.weight"]
        x = activated(F.conv2d(x, weight / math.sqrt(3)), self.state["ecd0.0.1.bias"])
        features = [x]
        for index in range(1, self.octaves + 1):
            x = filtered(x, self.state[f"ecd{index}.0.0.kernel"], before=2, after=2)
            weight = self.state[f"ecd{index}.0.1.weight"]
            weight = weight / math.sqrt(weight.shape[1] * 9)
            x = F.conv2d(x, weight, stride=2)
            x = activated(x, self.state[f"ecd{index}.0.2.bias"])
            features.append(x)
        return features

    def latent(self, feature):
        weight = self.state["final_linear.0.weight"]
        x = feature.reshape(len(feature), -1) @ (weight / weight.shape[1] ** 0.5).T
        x = activated(x, self.state["final_linear.0.bias"])
        x = x / torch.sqrt(x.square().mean(1, keepdim=True) + 1e-8)
        for index in range(1, 9):
            weight = self.state[f"generator.style.{index}.weight"]
            bias = self.state[f"generator.style.{index}.bias"]
            x = activated(x @ (weight * 0.01 / math.sqrt(512)).T, bias * 0.01)
        return x

    def __call__(self, x):
        features = self.encoded(x)[::-1]
        latent = self.latent(features[0])
        x = self.state["generator.input.input"].repeat(len(x), 1, 1, 1)
        x = self.styled(x, latent, features[0], "generator.conv1")
        picture = self.rgb(x, latent, None, "generator.to_rgb1")
        for octave, feature in enumerate(features[1:]):
            first, second = (f"generator.convs.{2 * octave + i}" for i in range(2))
            x = self.styled(x, latent, feature, first, upsample=True)
            x = self.styled(x, latent, feature, second)
            picture = self.rgb(x, latent, picture, f"generator.to_rgbs.{octave}")
        return picture
