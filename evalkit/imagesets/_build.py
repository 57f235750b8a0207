"""Make the pictures of a set once: what was made is kept while its digests hold."""

import errno
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit.downloads.files import digest
from evalkit.errors import ImageError, WeightsError
from evalkit.images import Picture, read_image, write_image
from evalkit.images.channels import has_alpha
from evalkit.paths import atomic_path, file_name
from evalkit.provenance import versions
from evalkit.records import code_digest
from evalkit.tables import IMAGES

LIBRARIES = (
    *("imagecodecs", "numpy", "opencv-python-headless", "pi-heif", "pillow"),
    *("pypdfium2", "scipy", "tifffile"),
)
"""The libraries that compute or encode pixels here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of one source.

    Attributes
    ----------
    path, reference
        The source, and its pristine version where one exists.
    others
        Further files that belong to it.
    note
        Added to the note of the facts.
    is_complete
        False when something is missing that may come later: it is tried again.

    """

    path: Path
    reference: Path | None = None
    others: tuple[Path, ...] = ()
    note: str = ""
    is_complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one row of the table comes about.

    Attributes
    ----------
    facts
        Columns of `IMAGES` that are known before; ``source`` among them. With
        ``width_px`` the picture is not decoded to learn its size.
    inputs
        Digests of what it is made from.
    make
        ``make(folder)`` gives the files. An `ImageError` or a `WeightsError` that it
        raises becomes the row's ``error``.

    """

    facts: Mapping[str, Any]
    inputs: tuple[str, ...]
    make: Callable[[Path], Made]


def build(folder: Path, recipes: Iterable[Recipe]) -> pd.DataFrame:
    """Make what is missing, or no longer what it was; return the table.

    The folder holds what is made, and ``manifest.json``: the row of each source, the
    digest of its recipe (none where it is to be tried again) and those of its files.
    """
    folder = folder.absolute()
    manifest = folder / "manifest.json"
    before = _read_manifest(manifest)
    after: dict[str, Any] = {}
    for recipe in recipes:
        source = recipe.facts["source"]
        key = _recipe_key(recipe)
        entry = before.get(source)
        holds = entry is not None and entry["key"] == key and _files_hold(entry)
        after[source] = entry if holds else _make(recipe, key, folder)
    if after != before:
        with atomic_path(manifest) as temporary:
            # a lone surrogate, of a path that is not UTF-8, as JSON escapes it
            temporary.write_text(
                json.dumps(after, indent=1, ensure_ascii=False),
                encoding="utf-8",
                errors="backslashreplace",
            )
    return IMAGES.frame([entry["row"] for entry in after.values()])


def save_pair(
    folder: Path, name: str, source: Picture, reference: Picture | None = None
) -> Made:
    """Write a source, and its reference where there is one, as PNG."""
    path = folder / "sources" / f"{file_name(name)}.png"
    write_image(path, source)
    if reference is None:
        return Made(path=path)
    reference_path = folder / "references" / f"{file_name(name)}.png"
    write_image(reference_path, reference)
    return Made(path=path, reference=reference_path)


def read_opaque(path: Path) -> NDArray[np.uint8]:
    """A picture of 8 bits; an alpha channel that hides nothing is left out."""
    image = read_image(path)
    if image.dtype != np.uint8:
        raise ImageError(f"{path}: expected 8 bits, got {image.dtype}")
    if has_alpha(image):
        if image[..., 3].min() < 255:
            raise ImageError(f"{path}: expected an opaque picture")
        image = image[..., :3]
    return np.ascontiguousarray(image, np.uint8)


def _make(recipe: Recipe, key: str, folder: Path) -> dict[str, Any]:
    row = dict(recipe.facts)
    try:
        product = recipe.make(folder)
        if "width_px" not in row:
            row["height_px"], row["width_px"] = read_image(product.path).shape[:2]
    except (ImageError, WeightsError, OSError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise  # a full disk is no fault of this picture
        return {"key": None, "files": {}, "row": {**row, "error": str(error)}}
    files = [product.path, product.reference, *product.others]
    digests = {str(file): digest(file) for file in files if file}
    row |= {"path": str(product.path), "sha256": digests[str(product.path)]}
    if product.reference:
        reference = str(product.reference)
        row |= {"reference": reference, "reference_sha256": digests[reference]}
    notes = [note for note in (row.get("note"), product.note) if note]
    row["note"] = "; ".join(notes) or None
    return {"key": key if product.is_complete else None, "files": digests, "row": row}


def _read_manifest(path: Path) -> dict[str, Any]:
    """The entries by source; none where the manifest is missing or no JSON."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _files_hold(entry: dict[str, Any]) -> bool:
    return all(
        Path(path).is_file() and digest(Path(path)) == sha256
        for path, sha256 in entry["files"].items()
    )


def _recipe_key(recipe: Recipe) -> str:
    maker = getattr(recipe.make, "func", recipe.make).__module__  # also of a partial
    facts = [dict(recipe.facts), recipe.inputs, _code(maker)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@cache
def _code(maker: str) -> list[str]:
    """What decides the bytes, beside a recipe: its code, ours and the libraries."""
    room = [digest(source) for source in sorted(Path(__file__).parent.glob("*.py"))]
    libraries = [f"{name} {version}" for name, version in versions(LIBRARIES).items()]
    return [code_digest(["evalkit.images", maker]), *room, *libraries]
