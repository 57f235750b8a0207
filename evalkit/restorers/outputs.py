"""``outputs:<folder or ZIP>``: pictures that others restored, joined to sources."""

import hashlib
import shutil
import unicodedata
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, ZipFile, ZipInfo, is_zipfile

import numpy as np

from evalkit.downloads.files import digest
from evalkit.errors import SettingError, TableError, UnknownNameError
from evalkit.images import SUFFIXES, Picture, picture_files, read_image
from evalkit.paths import cache_dir, imageset_dir
from evalkit.restorers._arguments import file_shown
from evalkit.restorers._options import Option
from evalkit.restorers._protocol import Context, Plan, Restorer, RestorerSpec, Settings

PAIRS = "pairs.csv"

MOST_UNPACKED = 50 * 2**30
"""Bytes that a ZIP may hold, unpacked."""

MOST_NAMED = 3
"""Names in a line; what is more is counted."""


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
        path = _find(name, context.source, self._by_source, context.others)
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
        stem = _composed(path.stem)
        if stem in stems:
            raise SettingError(
                f"{folder}: {stems[stem].name} and {path.name} are both outputs of "
                f"{stem}; keep one"
            )
        stems[stem] = path
    by_source |= stems
    if not by_source:
        raise SettingError(f"{folder} holds no pictures")
    return by_source


def joined_in_words(plan: Plan, sources: Collection[str]) -> list[str]:
    """What was joined to these sources, what was not, and how it could be."""
    folder = Path(plan.resolved["folder"])
    by_source, missing, used = join(folder), [], set()
    for source in sources:
        try:
            used.add(_find(folder.name, source, by_source, sources))
        except (SettingError, UnknownNameError):
            missing.append(source)
    unused = sorted({path.name for path in by_source.values() if path not in used})
    n_joined = len(sources) - len(missing)
    lines = [f"  {n_joined} of {len(sources)} sources have an output in the folder"]
    if unused:
        lines.append(f"  of no source here: {_in_short(unused)}")
    if missing:
        lines.append(f"  without an output: {_in_short(missing)}")
        lines.append(f"  {_advice(missing[0], unused[0] if unused else None)}")
    return lines if missing or unused else []


def _in_short(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    shown = ", ".join(names[:MOST_NAMED])
    return f"{shown} and {more} more" if more > 0 else shown


def _advice(source: str, output: str | None) -> str:
    """How ``pairs.csv`` joins what names do not."""
    return (
        f"where names do not join, {PAIRS} beside the pictures does: the line "
        f"source,output and below it {source},{output or '<name of its picture>'}"
    )


def _find(
    name: str, source: str, by_source: Mapping[str, Path], others: Collection[str]
) -> Path:
    """The output of a source, else the one whose stem begins with the source's.

    Programs add to names: ``photo_upscayl_4x`` is made of ``photo``. A letter or a
    digit that follows would make it another name. Of ``photo`` and ``photo_2``, if both
    are sources, ``photo_2_upscayl_4x`` is made of the longer one.
    """
    source = _composed(source)
    if source in by_source:
        return by_source[source]
    longer = [o for o in map(_composed, others) if len(o) > len(source)]
    n_names = Counter(by_source.values())  # two where pairs.csv says whose it is
    stems = [
        stem
        for stem, path in by_source.items()
        if _begins(stem, source)
        and (stem, n_names[path]) == (_composed(path.stem), 1)
        and not any(_begins(stem, other) for other in longer)
    ]
    advice = _advice(source, None)
    if len(stems) > 1:
        raise SettingError(
            f"{name}: {', '.join(sorted(stems))} may all be made of {source}; say in "
            f"{PAIRS} which one is: {advice}"
        )
    if not stems:
        raise UnknownNameError(f"source of {name}", source, by_source, f"; {advice}")
    return by_source[stems[0]]


def _begins(stem: str, source: str) -> bool:
    """Whether an output's name may be that of a source, with something added."""
    rest = stem.removeprefix(source)
    return stem == source or (rest != stem and not rest[0].isalnum())


def _composed(name: str) -> str:
    """A name with its accents in its letters: macOS's archives have them apart."""
    return unicodedata.normalize("NFC", name)


def unpacked(archive: Path) -> Path:
    """The content of a ZIP in our cache, without the folders that hold all of it.

    Raises
    ------
    SettingError
        It is damaged, locked, or holds more than `MOST_UNPACKED` or the disk can take.

    """
    folder = cache_dir() / "outputs" / digest(archive)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with (
            TemporaryDirectory(dir=folder.parent) as temporary,
            ZipFile(archive) as content,
        ):
            members = [m for m in content.infolist() if _is_theirs(m)]
            n_bytes = sum(member.file_size for member in members)
            room = min(MOST_UNPACKED, shutil.disk_usage(temporary).free // 2)
            if n_bytes > room:
                raise SettingError(
                    f"{archive} holds {n_bytes / 2**30:.1f} GiB, and there is room for "
                    f"{room / 2**30:.1f}: unpack it yourself, and name the folder"
                )
            # never outside of the folder, and a link is written as the text it holds
            top = Path(temporary, "content")
            top.mkdir()
            content.extractall(top, members)
            while len(inside := list(top.iterdir())) == 1 and inside[0].is_dir():
                top = inside[0]
            try:
                top.rename(folder)
            except OSError:
                if not folder.is_dir():  # another process was not quicker
                    raise
    except (BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as e:
        raise SettingError(f"{archive} cannot be unpacked: {e}") from e
    return folder


def _is_theirs(member: ZipInfo) -> bool:
    """Whether a member is a file, and none that macOS keeps for itself."""
    path = Path(member.filename)
    is_macs = "__MACOSX" in path.parts or path.name.startswith(".")
    return not member.is_dir() and not is_macs


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
        source = _composed(source)
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
        No folder, no ZIP, no image set with published outputs; or see `join`.

    """
    named_folder = Path(settings["folder"]).expanduser()
    published = imageset_dir(settings["folder"]) / "published"
    if named_folder.is_file() and is_zipfile(named_folder):
        named_folder = unpacked(named_folder)
    if not named_folder.is_dir() and not published.is_dir():
        raise SettingError(
            f"{spec.name}: {settings['folder']!r} is no folder, no ZIP and no image "
            f"set with that name has published outputs in {published}: a study that "
            "names it makes them, and so does evalkit.imagesets.prepare"
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
                description="a folder or a ZIP, or an image set with published outputs",
            )
        },
        argument="folder",
        shown=file_shown,
        takes_names=True,
        makes_pictures=False,
    ),
)
