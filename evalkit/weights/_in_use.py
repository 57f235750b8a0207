"""Which weights are on this machine: in our cache, a mirror or a package."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from evalkit.downloads.files import digest, find_in_mirrors, is_registered
from evalkit.errors import UnknownNameError
from evalkit.imports.basicsr import missing
from evalkit.paths import cache_dir, package_dir
from evalkit.weights._registry import RegisteredFile, WeightsFile, registry

Kind = Literal["released", "package", "mirror", "random", "user"]


@dataclass(frozen=True, slots=True)
class WeightsInUse:
    """The weights that a network was, or will be, loaded with.

    Attributes
    ----------
    name
        In the registry; of a user's own file, what it stands for.
    path
        The file; of ncnn weights the ``.bin``, whose ``.param`` lies beside it. None
        for random weights.
    sha256
        Of that file.
    kind
        ``released``: in our cache, digest verified. ``mirror``: below a folder of
        ``$EVALKIT_MIRROR``, digest verified. ``package``: carried by an installed
        package, digest verified. ``user``: a path that was given. ``random``: no
        weights at all, for cost only.

    """

    name: str
    path: Path | None
    sha256: str | None
    kind: Kind


def weights_dir() -> Path:
    """Where downloaded weights are kept."""
    return cache_dir() / "weights"


def find(name: str) -> WeightsInUse | None:
    """The weights if they and their network are here; never touches the network.

    Our cache comes first, then the mirrors, then a package that carries them. A file
    counts only with its registered size and digest.

    Raises
    ------
    UnknownNameError
        `name` is not in the registry.

    """
    entry = registered(name)
    if entry.needs and missing(entry.needs, name):
        return None
    for file in entry.files:
        path = weights_dir() / file.file
        if _is_whole(path, file):
            return WeightsInUse(name, path, file.sha256, "released")
    for file in entry.files:
        if file.size_bytes and file.sha256:
            mirrored = find_in_mirrors(file.size_bytes, file.sha256)
            if mirrored:
                return WeightsInUse(name, mirrored, file.sha256, "mirror")
    carried = _carried(entry)
    if carried and all(_is_whole(path, file) for path, file in carried):
        path, file = carried[0]
        return WeightsInUse(name, path, file.sha256, "package")
    return None


def known_by(sha256: str | None) -> WeightsFile | None:
    """The registered weights of which one file has this digest; None if there are none.

    So the licence of a file that was found anywhere is known, or is not.
    """
    for entry in registry().values():
        carried = [carried.bin for carried in entry.carried_by]
        if sha256 and sha256 in {file.sha256 for file in (*entry.files, *carried)}:
            return entry
    return None


def damages(entry: WeightsFile) -> list[str]:
    """The files of our cache or the package that are not the registered ones."""
    cached = [(weights_dir() / file.file, file) for file in entry.files]
    return [
        f"{path}: expected {file.size_bytes} bytes, SHA-256 {file.sha256}; found "
        f"{path.stat().st_size} bytes, SHA-256 {digest(path)}"
        for path, file in [*cached, *_carried(entry)]
        if file.sha256 and path.is_file() and not _is_whole(path, file)
    ]


def registered(name: str) -> WeightsFile:
    """The entry of that name, or an `UnknownNameError`."""
    entries = registry()
    if name not in entries:
        raise UnknownNameError("weights", name, entries)
    return entries[name]


def _is_whole(path: Path, file: RegisteredFile) -> bool:
    if file.size_bytes is None or file.sha256 is None:
        return False
    return is_registered(path, file.size_bytes, file.sha256)


def _carried(entry: WeightsFile) -> list[tuple[Path, RegisteredFile]]:
    """The files of an installed package, the values first, without importing it."""
    for carried in entry.carried_by:
        if folder := package_dir(carried.package):
            return [(folder / file.file, file) for file in (carried.bin, carried.param)]
    return []
