"""Texts that leave the house: no path of this machine or of another is in them."""

import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from evalkit.paths import (
    CLONE,
    PACKAGE,
    cache_dir,
    file_name,
    mirror_dirs,
    runs_dir,
)

USUAL = (
    *("home", "Users", "root", "tmp", "mnt", "media", "data", "var", "opt", "srv"),
    *("work", "private", "scratch", "workspace", "content", "Volumes"),
)
"""First parts of paths on other machines, beside those that there are here."""


class Scrubber:
    """Replaces paths in texts.

    Parameters
    ----------
    inside
        Folders whose content is published: what lies below is named from there.
    elsewhere
        Folders of pictures: what lies below is named from their own name on. So it is,
        behind ``…/``, in those of Python, evalkit, its caches and this person.
    conditions
        Those of the study: files are named by them, and some hold a path.

    """

    def __init__(
        self,
        inside: Iterable[Path],
        elsewhere: Iterable[Path],
        conditions: Iterable[str] = (),
    ) -> None:
        known = [CLONE or PACKAGE, Path(sys.prefix), Path(sys.base_prefix), Path.home()]
        known += [cache_dir(), runs_dir(), Path.cwd(), *mirror_dirs()]
        known.append(Path(tempfile.gettempdir()))
        roots = {str(path): f"…/{path.name}" for path in known}
        roots |= {str(path.resolve()): f"…/{path.name}" for path in known}
        roots |= {str(path): path.name for path in elsewhere}
        for path in inside:
            roots |= {f"{path}/": "", str(path): "."}
        roots = {root: name for root, name in roots.items() if root.count("/") > 1}
        self._set(roots)
        names = {file_name(name): file_name(self(name)) for name in conditions}
        self._set(roots | {old: new for old, new in names.items() if old != new})

    def _set(self, roots: Mapping[str, str]) -> None:
        longest_first = sorted(roots, key=len, reverse=True)
        self._roots = roots
        self._known = re.compile("|".join(map(re.escape, longest_first)))

    @cached_property
    def _any(self) -> re.Pattern[str]:
        """A path of which no part is known, here or on another machine."""
        tops = {*USUAL, *(path.name for path in Path("/").iterdir())}
        names = "|".join(map(re.escape, sorted(tops)))
        # no letter of a word, an address or base64 stands before a path
        return re.compile(
            rf"(?<![\w/+.…-])(?:file://)?(?:/(?:{names})|[A-Z]:\\{{1,2}}\w+)"
            r"(?:[/\\]+[^\s/\\\"'<>|;,)\]&]+)+"
        )

    def __call__(self, text: str) -> str:
        """The text without paths; of one that is not known the last part is left."""
        text = self._known.sub(lambda found: self._roots[found[0]], text)
        return self._any.sub(
            lambda found: "…/" + re.split(r"[/\\]", found[0])[-1], text
        )
