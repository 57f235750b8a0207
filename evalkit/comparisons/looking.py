"""What the router sees of files: their pixels, their kind, and their folder.

Every command that routes files looks at them here, so that all give one answer.
"""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evalkit import faces
from evalkit.images import Picture, picture_kind, read_image
from evalkit.images.album import check_is_read, find_pictures
from evalkit.restorers._routing import ROUTES, Decision, decide, look
from evalkit.restorers.auto import FALLBACK


class Page(NamedTuple):
    """A picture in a file, and the folder that was named, if it was found in one."""

    file: Path
    number: int = 0
    album: Path | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a picture.

    Attributes
    ----------
    size
        Width and height, px.
    values
        By the names of the router's features and facts.
    flatness
        See `flatness`.

    """

    size: tuple[int, int]
    values: dict[str, float]
    flatness: float

    @property
    def has_face(self) -> bool:
        """Whether it shows a face that counts."""
        return self.values["n_faces"] > 0


class Router:
    """Looks at pictures, and decides by them and by what else their folder holds."""

    def __init__(self, *, recursive: bool = False) -> None:
        """`recursive` as in `find_pictures`."""
        self._seen: dict[Page, Seen] = {}
        self._faces: dict[Path | None, dict[object, bool]] = defaultdict(dict)
        self._albums = cache(lambda album: find_pictures(album, recursive=recursive))

    @cached_property
    def _detector(self) -> faces.Detector:
        return faces.detector()

    def look(self, page: Page) -> Seen:
        """Look at a picture.

        Raises
        ------
        ImageError
            It cannot be read.

        """
        check_is_read(page.file)
        picture = read_image(page.file, page=page.number)
        is_pdf = float(picture_kind(page.file) == "pdf")
        values = look(picture, self._detector, is_pdf=is_pdf)
        if page.album:
            kind, _ = self._albums(page.album).kind_of(page.file, page.album)
            values["is_camera"] = float(kind == "surveillance")
        size = picture.shape[1], picture.shape[0]
        self._seen[page] = Seen(size, values, flatness(picture))
        self.count(page.album, page, has_face=self._seen[page].has_face)
        return self._seen[page]

    def count(self, album: Path | None, picture: object, *, has_face: bool) -> None:
        """Take a picture into its folder's share that was looked at before."""
        self._faces[album][picture] = has_face

    def seen(self, page: Page) -> Seen | None:
        """What was seen, and by now of its folder; None for what was not looked at."""
        seen = self._seen.get(page)
        if seen and page.album:
            share = float(np.mean([*self._faces[page.album].values()]))
            seen.values["folder_faces"] = share
        return seen

    def decide(self, page: Page) -> Decision:
        """Where a picture goes that was looked at, when its folder has been, too."""
        seen = self.seen(page)
        assert seen is not None, page
        return decide(seen.values)


def used_for(route: str, usable: Collection[str]) -> str:
    """The restorer of a route, or the one in its place where it is not `usable`."""
    return ROUTES[route] if ROUTES[route] in usable else ROUTES[FALLBACK]


def flatness(picture: Picture) -> float:
    """The share of pixels that equal their left neighbour; 1 for a single column."""
    is_equal = picture[:, 1:] == picture[:, :-1]
    if picture.ndim == 3:
        is_equal = is_equal.all(axis=2)
    return float(is_equal.mean()) if is_equal.size else 1.0
