"""Where things lie: the clone or the wheel, caches, mirrors and runs."""

import hashlib
import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

PACKAGE = Path(__file__).resolve().parent
CLONE = PACKAGE.parent if (PACKAGE.parent / "pyproject.toml").is_file() else None
"""The root of the clone, or None when evalkit was installed from a wheel."""

SHIPPED = CLONE or PACKAGE
"""Holds ``data/``, ``notebooks/``, ``Snakefile`` and ``study.yaml``."""

MAX_NAME_BYTES = 168
"""The most that `file_name` returns: 32 less than 200, for prefixes and suffixes."""

FORBIDDEN = re.compile(
    r'[\x00-\x1f\x7f-\x9f\ud800-\udfff/\\:*?"<>|]|^\.|[. ]\Z'
    r"|^(?=(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|\Z))"
)
"""What Linux, macOS or Windows forbid in a file's name, or read as something else: a
leading dot, which hides a file, and (from where a ``_`` is put before it) the name of
one of Windows' devices, alone or with a suffix."""

ENDS_IN_DIGEST = re.compile(r"~[0-9A-Fa-f]{8}\Z")

TEMPORARY = ".evalkit-"
"""The beginning of the name of a file that replaces another when it is whole."""


def data_file(name: str) -> Path:
    """A file of ``data/``, which the clone and the wheel both carry."""
    return SHIPPED / "data" / name


def package_dir(package: str) -> Path | None:
    """The folder of an installed package, not imported; None where it is missing."""
    spec = None
    with suppress(ImportError):  # an import hook may refuse it
        spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) if folders else None


def cache_dir() -> Path:
    """The folder that keeps fetched weights and pictures between studies.

    ``$EVALKIT_CACHE``, else ``$XDG_CACHE_HOME/evalkit``, else ``~/.cache/evalkit``.
    """
    if cache := os.environ.get("EVALKIT_CACHE"):
        return Path(cache).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "evalkit"


def imageset_dir(name: str) -> Path:
    """The folder that keeps the pictures of an image set."""
    return cache_dir() / "imagesets" / name


def mirror_dirs() -> list[Path]:
    """The folders of ``$EVALKIT_MIRROR``, searched before any download."""
    listed = os.environ.get("EVALKIT_MIRROR", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in listed if folder]


def runs_dir() -> Path:
    """The folder of runs: ``$EVALKIT_RUNS``, else ``runs/`` in the clone or here."""
    if runs := os.environ.get("EVALKIT_RUNS"):
        return Path(runs).expanduser().resolve()
    return (CLONE or Path.cwd()) / "runs"


def file_name(name: str) -> str:
    """The name on the disk of a condition, a source or a part of a table.

    It is the name itself, in any script, where every file system takes it. Else
    forbidden letters become ``_``, a long name is cut, and ``~`` with 8 hexadecimal
    digits of the name's SHA-256 follows; these also follow a name that ends like that.
    Two names never share a file name, short of a collision of those digests.

    Parameters
    ----------
    name
        Any text; lone surrogates, of file names that are not UTF-8, included.

    Returns
    -------
    str
        At most `MAX_NAME_BYTES` of UTF-8, so that with our prefixes (``60_maps_``) and
        suffixes (``.failed.ipynb``) a file's name has at most 200.

    """
    plain = FORBIDDEN.sub("_", name) or "_"
    is_short = len(plain.encode()) <= MAX_NAME_BYTES
    if plain == name and is_short and not ENDS_IN_DIGEST.search(name):
        return name
    tail = f"~{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"
    head = plain.encode()[: MAX_NAME_BYTES - len(tail)]
    return head.decode(errors="ignore") + tail


def point(link: Path, target: Path | str) -> None:
    """Make a link, or let it point elsewhere; at no moment is there none."""
    temporary = link.with_name(f".{link.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place if the block succeeds.

    The file is flushed to the disk before it is renamed, so a reader sees the
    old content or the new, never a part. On an error nothing is left behind;
    `remove_litter` finds what a killed process leaves by its name, which has the
    process's number.

    Yields
    ------
    Path
        An empty file with the suffix of `path`, to be written in the block.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(
        dir=path.parent,
        prefix=f"{TEMPORARY}{os.getpid()}-",
        suffix=path.suffix[:16],  # a name has 255 bytes at most
        delete=False,
    ) as file:
        temporary = Path(file.name)
    try:
        yield temporary
        # mkstemp makes files private; give what a plain open() would have given
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_litter(folder: Path) -> None:
    """Delete below a folder what killed processes of this machine left half-written."""
    import psutil

    for path in folder.rglob(f"{TEMPORARY}*-*"):
        owner = path.name.removeprefix(TEMPORARY).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            path.unlink(missing_ok=True)
