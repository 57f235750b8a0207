"""Where things lie: the clone or the wheel, caches, mirrors and runs."""

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


def data_file(name: str) -> Path:
    """A file of ``data/``, which the clone and the wheel both carry."""
    return SHIPPED / "data" / name


def package_dir(package: str) -> Path | None:
    """Where an installed package lies; it is not imported. None where it is missing."""
    spec = None
    with suppress(ImportError):  # of an import hook that refuses it
        spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return Path(folders[0]) if folders else None


def cache_dir() -> Path:
    """Where fetched weights and pictures are kept between studies.

    ``$EVALKIT_CACHE``, else ``$XDG_CACHE_HOME/evalkit``, else ``~/.cache/evalkit``.
    """
    if cache := os.environ.get("EVALKIT_CACHE"):
        return Path(cache).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "evalkit"


def imageset_dir(name: str) -> Path:
    """Where the pictures of an image set are kept."""
    return cache_dir() / "imagesets" / name


def mirror_dirs() -> list[Path]:
    """The folders of ``$EVALKIT_MIRROR``, searched before any download."""
    listed = os.environ.get("EVALKIT_MIRROR", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in listed if folder]


def runs_dir() -> Path:
    """Where run folders lie: ``$EVALKIT_RUNS``, else ``runs/`` in the clone or here."""
    if runs := os.environ.get("EVALKIT_RUNS"):
        return Path(runs).expanduser().resolve()
    return (CLONE or Path.cwd()) / "runs"


def slug(name: str) -> str:
    """A condition's or a source's name as a file name; injective for our names."""
    return re.sub(
        r"[^A-Za-z0-9.=@,_-]", lambda match: f"+{ord(match.group()):02x}", name
    )


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place if the block succeeds.

    The file is flushed to the disk before it is renamed, so a reader sees the
    old content or the new, never a part. On an error nothing is left behind.

    Yields
    ------
    Path
        An empty file with the suffix of `path`, to be written in the block.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix, delete=False
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
