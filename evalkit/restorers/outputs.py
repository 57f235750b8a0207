"""``outputs:<folder>``: pictures that others restored, joined to their sources."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from evalkit.downloads.files import digest
from evalkit.errors import SettingError, TableError, UnknownNameError
from evalkit.images import SUFFIXES, Picture, picture_files, read_image
from evalkit.paths import imageset_dir
from evalkit.restorers._options import Option
from evalkit.restorers._protocol import Context, Plan, Restorer, RestorerSpec, Settings

PAIRS = "pairs.csv"


class Outputs(Restorer):
    """Looks the picture of a source up instead of making one."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self._by_source = join(Path(plan.resolved["folder"]))

    def _restore(self, image: Picture, context: Context) -> Picture:
        name = self.parameters["name"]
        if context.source is None:
            raise SettingError(
                f"{name} needs the source's name, restore(image, source='stem'); "
                f"known: {', '.join(sorted(self._by_source))}"
            )
        path = _find(name, context.source, self._by_source)
        with context.watch("decode"):
            output = with_dtype(read_image(path), image.dtype)
        context.progress(1, 1)
        context.notes.append(f"made by others: {path.name}, SHA-256 {digest(path)}")
        return output


def join(folder: Path) -> dict[str, Path]:
    """The output of each source: by ``pairs.csv``, then by file stem, which wins.

    Parameters
    ----------
    folder
        Holds pictures and, if their names differ from the sources', ``pairs.csv`` with
        the columns ``source`` (stem or file name) and ``output`` (path below `folder`).

    Returns
    -------
    dict
        Path by source stem.

    Raises
    ------
    SettingError
        No picture, two for one stem, a ``pairs.csv`` that does not fit, or a file
        outside of `folder`.

    """
    by_source = _paired(folder)
    stems: dict[str, Path] = {}
    for path in picture_files(folder):
        _check_inside(folder, path)
        if path.stem in stems:
            raise SettingError(
                f"{folder}: {stems[path.stem].name} and {path.name} are both outputs "
                f"of {path.stem}; keep one"
            )
        stems[path.stem] = path
    by_source |= stems
    if not by_source:
        raise SettingError(f"{folder} holds no pictures")
    return by_source


def _find(name: str, source: str, by_source: Mapping[str, Path]) -> Path:
    """The output of a source, else the one whose stem begins with the source's.

    Programs add to names: ``photo_upscayl_4x`` is made of ``photo``. A letter or a
    digit that follows would make it another name.
    """
    if source in by_source:
        return by_source[source]
    n_names = Counter(by_source.values())  # two where pairs.csv says whose it is
    stems = [
        stem
        for stem, path in by_source.items()
        if stem.startswith(source)
        and not stem[len(source)].isalnum()
        and (stem, n_names[path]) == (path.stem, 1)
    ]
    if len(stems) > 1:
        raise SettingError(
            f"{name}: {', '.join(sorted(stems))} may all be made of {source}; say in "
            f"{PAIRS} which one is"
        )
    if not stems:
        raise UnknownNameError(f"source of {name}", source, by_source)
    return by_source[stems[0]]


def _paired(folder: Path) -> dict[str, Path]:
    table = folder / PAIRS
    if not table.is_file():
        return {}
    try:
        from evalkit.tables import read_pairs  # late: it takes pandas

        output_names = read_pairs(table, ("source",), "output")
    except TableError as error:
        raise SettingError(str(error)) from error
    pairs: dict[str, Path] = {}
    for source, output in output_names.items():
        path = folder / output
        _check_inside(folder, path)
        if not path.is_file():
            raise SettingError(f"{table}: there is no {path}")
        is_file = Path(source).suffix.lower() in SUFFIXES
        for name in {source, Path(source).stem} if is_file else {source}:
            if name in pairs:
                raise SettingError(f"{table}: two outputs of {name!r}; keep one")
            pairs[name] = path
    return pairs


def _check_inside(folder: Path, path: Path) -> None:
    """Refuse a file outside of `folder`, which may come from others."""
    if not path.resolve().is_relative_to(folder.resolve()):
        raise SettingError(
            f"{path}: expected a file inside of {folder}, found {path.resolve()}; "
            "copy it there"
        )


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Find the folder, and identify its content by a digest.

    Raises
    ------
    SettingError
        Neither a folder nor an image set with published outputs; or see `join`.

    """
    named_folder = Path(settings["folder"]).expanduser()
    published = imageset_dir(settings["folder"]) / "published"
    if not named_folder.is_dir() and not published.is_dir():
        raise SettingError(
            f"{spec.name}: {settings['folder']!r} is no folder, and no image set with "
            f"that name has published outputs in {published}: a study that names it "
            "makes them, and so does evalkit.imagesets.prepare"
        )
    folder = (named_folder if named_folder.is_dir() else published).resolve()
    content = hashlib.sha256()
    for source, path in sorted(join(folder).items()):
        content.update(f"{source}\0{path.name}\0{digest(path)}\n".encode())
    resolved = {"folder": str(folder), "content_sha256": content.hexdigest()}
    return Plan(spec=spec, requested=settings, resolved=resolved)


def with_dtype(
    image: Picture, dtype: np.dtype[np.uint8] | np.dtype[np.uint16]
) -> Picture:
    """The same picture in 8 or 16 bits."""
    if image.dtype == dtype:
        return image
    if dtype == np.uint16:
        return image.astype(np.uint16) * np.uint16(257)
    return np.asarray(np.rint(image / np.float32(257)), np.uint8)


ENTRIES = (
    RestorerSpec(
        name="outputs",
        task="pictures that were restored elsewhere",
        scale=1,
        citation="the folder's own source",
        licence="as the folder's pictures",
        plan=plan,
        build=Outputs,
        options={
            "folder": Option(
                default=None,
                is_text=True,
                description="a folder, or an image set with published outputs",
            )
        },
        argument="folder",
        takes_names=True,
    ),
)
