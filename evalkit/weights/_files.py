"""What a file of weights holds, read as tensors alone: nothing in it is ever run."""

from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.errors import PackageMissingError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

WRAPPERS = ("params_ema", "params", "g_ema")
"""Keys under which a training script keeps the state dict, the best one first."""

UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)
"""What ``torch.load`` raises on damaged files, as 3,000 of them showed."""

SAFETENSORS = ".safetensors"
WEIGHTS_SUFFIXES = (SAFETENSORS, ".pth", ".pt", ".ckpt")


def torch_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of PyTorch's, unwrapped (see `WRAPPERS`).

    Raises
    ------
    WeightsError
        The file cannot be read, or holds something else.

    """
    import torch

    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and wrapper in content:
            content = content[wrapper]
            break
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(value, torch.Tensor) for value in content.values())
    ):
        raise WeightsError(
            f"{path}: expected a state dict, names with a tensor each, perhaps below "
            f"one of {', '.join(WRAPPERS)}; got {type(content).__name__}"
        )
    _check_trained(path, content)
    prefix = "module." if all(name.startswith("module.") for name in content) else ""
    return {name.removeprefix(prefix): tensor for name, tensor in content.items()}


def any_state(path: Path) -> dict[str, Any]:
    """What spandrel's restricted reader makes of a file of anybody's, unwrapped by it.

    Raises
    ------
    WeightsError
        None of `WEIGHTS_SUFFIXES`, or a file that cannot be read, asks for more than
        tensors, or holds weights that are no floating-point numbers.
    PackageMissingError
        The extra ``models`` is not installed.

    """
    try:
        from safetensors import SafetensorError
        from spandrel import ModelLoader, canonicalize_state_dict
    except ImportError as error:
        raise PackageMissingError(
            f"{path.name}: spandrel cannot be imported ({error}): "
            "`pip install 'evalkit[models]'`"
        ) from error
    suffix, loader = path.suffix.lower(), ModelLoader("cpu")
    if suffix not in WEIGHTS_SUFFIXES:
        raise WeightsError(
            f"{path}: expected a file of weights, {', '.join(WEIGHTS_SUFFIXES)}; found "
            f"{suffix or 'no suffix'}"
        )
    try:
        if suffix == SAFETENSORS:
            state: dict[str, Any] = loader.load_state_dict_from_file(path)
        else:
            _refuse_program(path)
            # for .pt its public method tries TorchScript first, which is a program
            state = canonicalize_state_dict(loader._load_pth(path))
    except (*UNREADABLE, SafetensorError) as error:
        raise _unreadable(path, error) from None
    _check_trained(path, state)
    return state


def _refuse_program(path: Path) -> None:
    """Refuse TorchScript, to which ``torch.load`` would turn by itself.

    Raises
    ------
    WeightsError
        It is such a file, or an archive that PyTorch did not write.

    """
    from torch.serialization import get_unsafe_globals_in_checkpoint

    with path.open("rb") as file:
        is_archive = file.read(2) == b"PK"
    if is_archive:
        try:
            get_unsafe_globals_in_checkpoint(str(path))
        except ValueError:
            raise WeightsError(
                f"{path}: expected tensors alone, found an archive that PyTorch's save "
                "did not write, such as TorchScript, which is a program: get the "
                f"weights as {SAFETENSORS} from its publisher"
            ) from None


def _check_trained(path: Path, state: Mapping[str, Any]) -> None:
    """Refuse weights that are no real floating-point numbers."""
    for name, value in state.items():
        if not hasattr(value, "is_floating_point"):
            continue
        is_trained = str(name).endswith(("weight", "bias"))  # and no counter, no index
        if value.is_complex() or (is_trained and not value.is_floating_point()):
            raise WeightsError(
                f"{path}: expected real floating-point numbers, found {value.dtype} "
                f"in {name}: no network here was trained to such weights; give the "
                "file that its publisher names"
            )


def _unreadable(path: Path, error: Exception) -> WeightsError:
    """Raised ``from None``: a traceback would show PyTorch's advice behind it."""
    return WeightsError(f"{path} cannot be read by PyTorch: {_why(error)}")


def _why(error: Exception) -> str:
    """What was found, without PyTorch's advice to load the file all the same."""
    text = str(error)
    if "weights_only" not in text and "is forbidden" not in text:
        return f"it is damaged, or no checkpoint ({type(error).__name__}: {text})"
    match = re.search(r"(?:GLOBAL|[gG]lobal:?) '?([\w.]+\.[\w.]+)", text)
    what = f"it asks for {match[1]}, and" if match else "it asks for more than tensors;"
    return (
        f"{what} weights need nothing that runs: expected tensors alone. The file may "
        "be hostile: do not load it by other means, get it from its publisher"
    )
