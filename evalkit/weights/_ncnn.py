"""Weights in ncnn's format as arrays and torch state dicts, without ncnn."""

from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

PARAM_MAGIC = "7767517"
TAG_FP16 = 0x01306B47
TAG_FP32 = 0

FloatArray = NDArray[np.float32]


class NcnnLayer(NamedTuple):
    """One layer that has weights.

    Attributes
    ----------
    kind
        ``Convolution`` or ``PReLU``.
    name
        As in the ``.param`` file.
    weight
        float32 in PyTorch's order: ``(out, in, height, width)`` of a convolution,
        ``(channels,)`` of a PReLU's slopes. fp16 values are widened exactly.
    bias
        float32, ``(out,)``; None where the layer has none.

    """

    kind: str
    name: str
    weight: FloatArray
    bias: FloatArray | None


def ncnn_layers(param: Path, weights: Path) -> list[NcnnLayer]:
    """The layers with weights, in the order of the file.

    `param` describes the layers. `weights`, the ``.bin`` file, holds for each
    convolution a 4-byte tag, its weights (fp16 padded to 4 bytes, or fp32) and fp32
    biases; for each PReLU fp32 slopes.

    Raises
    ------
    WeightsError
        Not ncnn's text format, a tag or a convolution that is not understood, or
        a ``.bin`` file with more or fewer bytes than the layers need.

    References
    ----------
    ncnn, docs/developer-guide/param-and-model-file-structure.md.

    """
    try:
        reader = _Reader(weights)
        layers = _layers(reader, _described(param))
    except OSError as error:
        raise WeightsError(f"expected {param} beside {weights}: {error}") from error
    except (LookupError, ValueError, ArithmeticError) as error:
        raise WeightsError(f"{param} describes no layers we know: {error}") from error
    if reader.offset != len(reader.content):
        raise WeightsError(
            f"{weights}: {param.name} describes {reader.offset} bytes, the file has "
            f"{len(reader.content)}: the two do not belong together, or hold layers "
            "other than Convolution and PReLU"
        )
    return layers


def ncnn_state(
    param: Path, weights: Path, like: "Mapping[str, Tensor]"
) -> "dict[str, Tensor]":
    """The weights of `ncnn_layers` under a torch network's own names; fp32, CPU.

    ncnn keeps no names of tensors, so they are taken in the order of `like`, the
    network's ``state_dict()``: this is right where that is the order of its forward
    pass. Every shape is checked.

    Raises
    ------
    WeightsError
        As in `ncnn_layers`; or another number of tensors or another shape.

    """
    import torch

    arrays = [
        array
        for layer in ncnn_layers(param, weights)
        for array in (layer.weight, layer.bias)
        if array is not None
    ]
    expected = [tuple(tensor.shape) for tensor in like.values()]
    shapes = [array.shape for array in arrays]
    if expected != shapes:
        pairs = zip_longest(expected, shapes)
        place, pair = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
        raise WeightsError(
            f"{weights.name} does not fit the network: expected {len(expected)} "
            f"tensors, found {len(shapes)}; they part at tensor {place}: expected "
            f"{pair[0]}, found {pair[1]}"
        )
    return {
        name: torch.from_numpy(array) for name, array in zip(like, arrays, strict=True)
    }


def _described(param: Path) -> list[tuple[str, str, dict[str, str]]]:
    """Kind, name and ``key=value`` settings of each layer of a ``.param`` file."""
    lines = param.read_text(encoding="utf-8", errors="replace").split("\n")
    if lines[0].strip() != PARAM_MAGIC:
        raise WeightsError(
            f"{param}: expected ncnn's text format, whose first line is "
            f"{PARAM_MAGIC}; got {lines[0][:20]!r}"
        )
    layers = []
    for words in filter(None, (line.split() for line in lines[2:])):
        kind, name, n_inputs, n_outputs = words[:4]
        settings = words[4 + int(n_inputs) + int(n_outputs) :]
        layers.append((kind, name, dict(word.split("=", 1) for word in settings)))
    n_layers = int(lines[1].split()[0])
    if n_layers != len(layers):
        raise WeightsError(
            f"{param}: says {n_layers} layers, holds {len(layers)}: it is cut short"
        )
    return layers


def _layers(
    reader: "_Reader", described: list[tuple[str, str, dict[str, str]]]
) -> list[NcnnLayer]:
    layers = []
    for kind, name, numbers in described:
        if kind == "Convolution":
            layers.append(_convolution(reader, name, numbers))
        elif kind == "PReLU":
            slopes = reader.fp32(int(numbers["0"]))
            layers.append(NcnnLayer(kind, name, slopes, None))
    return layers


def _convolution(reader: "_Reader", name: str, numbers: dict[str, str]) -> NcnnLayer:
    n_out, width, n_weights = (int(numbers[key]) for key in ("0", "1", "6"))
    height = int(numbers.get("11", width))
    shape = (n_out, n_weights // (n_out * height * width), height, width)
    weight = reader.tagged(n_weights, name).reshape(shape)
    has_bias = numbers.get("5", "0") == "1"
    return NcnnLayer(
        "Convolution", name, weight, reader.fp32(n_out) if has_bias else None
    )


class _Reader:
    """Takes arrays from a ``.bin`` file, one after the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = path.read_bytes()
        self.offset = 0

    def fp32(self, count: int) -> FloatArray:
        return self._take("<f4", count)

    def tagged(self, count: int, layer: str) -> FloatArray:
        tag = int(self._take("<u4", 1)[0])
        if tag == TAG_FP32:
            return self.fp32(count)
        if tag != TAG_FP16:
            raise WeightsError(
                f"{self.path}: layer {layer} is stored with tag {tag:#010x}; known: "
                f"{TAG_FP16:#010x} (fp16), 0 (fp32)"
            )
        values = self._take("<f2", count)
        self.offset += -self.offset % 4
        return values.astype(np.float32)

    def _take(self, dtype: str, count: int) -> NDArray[Any]:
        end = self.offset + count * np.dtype(dtype).itemsize
        if end > len(self.content):
            raise WeightsError(
                f"{self.path}: expected at least {end} bytes, the file has "
                f"{len(self.content)}: it is cut short, or belongs to other layers"
            )
        array = np.frombuffer(self.content, dtype, count, self.offset)
        self.offset = end
        return array.copy()
