"""What outputs are called: by a template, and never two alike."""

from datetime import datetime
from pathlib import Path

import numpy as np

from evalkit.errors import SettingError
from evalkit.images.album import folded
from evalkit.images.encode import FORMATS, encoded
from evalkit.paths import file_name

SUFFIXES = (*FORMATS, ".tif", ".tiff")
"""Of what can be written."""

FIELDS = ("stem", "time", "condition")


class Names:
    """Names of outputs below a folder; one that is taken there is numbered."""

    def __init__(self, out: Path, template: str, suffix: str) -> None:
        self._out, self._template, self._suffix = out, template, suffix
        self._taken: dict[Path, set[str]] = {}

    def next(self, folder: Path, stem: str, condition: str) -> Path:
        """A path below `folder`, which lies below the outputs' folder.

        Names that differ in case or Unicode's form only count as one: on some disks
        they are.
        """
        taken = self._taken.get(folder)
        if taken is None:
            parent = self._out / folder
            names = [path.name for path in parent.iterdir()] if parent.is_dir() else []
            taken = self._taken[folder] = {folded(name) for name in names}
        name = filled(self._template, stem, condition)
        count = 1
        while folded(numbered := self._numbered(name, count)) in taken:
            count += 1
        taken.add(folded(numbered))
        return folder / numbered

    def _numbered(self, name: str, count: int) -> str:
        return file_name(f"{name}-{count}" if count > 1 else name) + self._suffix


def split(template: str, form: str | None) -> tuple[str, str]:
    """The template without its suffix, and the suffix of a format; PNG by default.

    Raises
    ------
    SettingError
        A field that is not one of `FIELDS`, or two formats.
    ImageError
        A format that is not written, or not by what is installed.

    """
    end = Path(filled(template, "a", "b")).suffix.lower()
    if end in SUFFIXES and template.lower().endswith(end):
        template = template[: -len(end)]
        if form and suffix_of(form) != end:
            raise SettingError(f"name ends in {end}, and format is {form}: give one")
        return template, suffix_of(end)
    return template, suffix_of(form or "png")


def suffix_of(form: str) -> str:
    """The suffix of a format, which can be written here."""
    suffix = f".{form.lower().removeprefix('.')}"
    if suffix not in (".tif", ".tiff"):
        encoded(Path(f"output{suffix}"), np.zeros((16, 16, 3), np.uint8))
    return suffix


def filled(template: str, stem: str, condition: str) -> str:
    """The name of a template, now.

    Raises
    ------
    SettingError
        A field that is not one of `FIELDS`, or that is filled in otherwise.

    """
    values = {"stem": stem, "time": datetime.now().astimezone(), "condition": condition}
    try:
        name = template.format(**values)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        known = ", ".join(f"{{{field}}}" for field in FIELDS)
        raise SettingError(
            f"name {template!r}: expected {known}, or {{time:%Y%m%d%H%M%S}}; found "
            f"{error}"
        ) from error
    if not name:
        raise SettingError("name: expected a template such as {stem}, found nothing")
    return name
