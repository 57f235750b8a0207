"""Which pictures are to be restored: files and pages, and where each output goes."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from evalkit.comparisons.looking import Page
from evalkit.errors import ImageError, SettingError
from evalkit.images import SUFFIXES, n_pages
from evalkit.images.album import NOT_READ, check_is_read, find_pictures
from evalkit.paths import file_name


@dataclass(frozen=True, slots=True)
class Task:
    """One picture to restore.

    Attributes
    ----------
    source
        Its file.
    page
        From 0, of a TIFF or PDF of several pages.
    folder
        Where the output goes, below the outputs' folder: the tree of the sources.
    stem
        Of the output's name, if nothing else is asked for.
    album
        The folder that was named, if the file was found in one.

    """

    source: Path
    page: int | None
    folder: Path
    stem: str
    album: Path | None = None

    @property
    def as_page(self) -> Page:
        """The picture, as the router looks at it."""
        return Page(self.source, self.page or 0, self.album)

    @property
    def title(self) -> str:
        """The file, and the page if there are several."""
        page = "" if self.page is None else f", page {self.page + 1}"
        return f"{self.source}{page}"

    @property
    def title_in_album(self) -> str:
        """The same, without the folder that was named."""
        return self.title.removeprefix(f"{self.album or self.source.parent}/")

    def key(self, how: str) -> str:
        """Digest of the file, as far as its state says which it is, and of `how`.

        Raises
        ------
        ImageError
            A camera's raw file, which may begin like a TIFF, with a small picture.
        OSError
            The file has gone.

        """
        check_is_read(self.source)
        state = self.source.stat()
        facts = [str(self.source.absolute()), state.st_size, state.st_mtime_ns]
        text = json.dumps([*facts, self.page, how])
        return hashlib.sha256(text.encode()).hexdigest()


def find_tasks(
    paths: Sequence[Path],
    out: Path | None,
    *,
    recursive: bool,
    say: Callable[[str], None],
) -> list[Task]:
    """The pictures of files and folders, without what lies in the outputs' folder.

    Parameters
    ----------
    paths
        Pictures, and folders of them.
    out
        The outputs' folder, if there are to be any.
    recursive
        Look into subfolders, too.
    say
        Gets a line on what is passed over.

    Raises
    ------
    ImageError
        There is no such file or folder.
    SettingError
        A folder of pictures is the outputs' folder.

    """
    files: dict[Path, Task | None] = {}
    tasks: list[Task] = []
    for path in paths:
        if not path.exists():
            raise ImageError(f"{path}: expected a picture or a folder, found nothing")
        if out and path.is_dir() and path.resolve() == out.resolve():
            raise SettingError(
                f"{path} holds the pictures: expected another folder for --out, such "
                f"as {path / 'restored'}"
            )
        album = path if path.is_dir() else None
        for file, folder in _files(path, out, recursive, say):
            if file.resolve() not in files:
                files[file.resolve()] = None
                tasks += [replace(task, album=album) for task in _pages(file, folder)]
    return tasks


def _files(
    path: Path, out: Path | None, recursive: bool, say: Callable[[str], None]
) -> Iterator[tuple[Path, Path]]:
    """Each file, and its folder below `path`."""
    if not path.is_dir():
        yield path, Path()
        return
    album = find_pictures(path, recursive=recursive)
    for line in album.left_out:
        say(f"{path}: {line}")
    for file in album.files:
        if not (out and file.resolve().is_relative_to(out.resolve())):
            parts = file.relative_to(path).parent.parts
            yield file, Path(*map(file_name, parts))


def _pages(file: Path, folder: Path) -> list[Task]:
    stem = file.stem if file.suffix.lower() in SUFFIXES | NOT_READ else file.name
    count = 1
    # what restores it will say what is wrong
    with suppress(ImageError, OSError):
        state = file.stat()
        count = _n_pages(file, state.st_size, state.st_mtime_ns)
    if count == 1:
        return [Task(file, None, folder, stem)]
    return [Task(file, page, folder, f"{stem}-p{page + 1}") for page in range(count)]


@cache
def _n_pages(file: Path, _size: int, _mtime_ns: int) -> int:
    """As `n_pages`; a watched folder is looked through each second."""
    return 1 if file.suffix.lower() in NOT_READ else n_pages(file)


def settings_digest(parameters: dict[str, Any], **others: Any) -> str:
    """What decides an output beside its source."""
    return json.dumps([parameters, others], sort_keys=True)
