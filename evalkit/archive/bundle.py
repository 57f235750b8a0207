"""``evalkit bundle``: a study, and all that a host without network lacks to run it."""

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from evalkit.archive import there
from evalkit.archive.bare import bare_copy
from evalkit.archive.wheels import lacking, make_wheels
from evalkit.downloads.files import digest
from evalkit.errors import EvalkitError, StudyError
from evalkit.imagesets import imagesets, originals, prepare
from evalkit.paths import file_name
from evalkit.restorers import Plan, parse_condition, plan_restorer
from evalkit.study.config import Study, read_study, resolve_study, write_study
from evalkit.tables import TEXT, Table
from evalkit.weights import WeightsInUse

MIRROR, PICTURES, WHEELS = "mirror", "pictures", "wheels"
OF_A_FILE = 300
"""Bytes that a ZIP file takes for a file, beside its content and twice its name."""

OF_INDEX = 200
"""Bytes of a file in the index of the bundle."""

KINDS = Table(name="kinds", columns={"source": TEXT, "kind": TEXT}, key=("source",))


def bundle(
    out: Path,
    file: Path,
    *,
    device: str,
    python: str,
    limit: int,
    has: Mapping[str, str],
    images: str | None = None,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Write the parts of a bundle and the program that runs it into a folder.

    Parameters
    ----------
    out
        The folder: new, or empty.
    file
        A study file; its pictures and weights must be here.
    device
        ``cuda`` or ``cpu``: what the host has.
    python
        The host's Python: ``3.11`` or ``3.12``.
    limit
        The most bytes of a part.
    has
        The host's packages: versions by name.
    images
        A folder or a set in place of the study's.
    say
        Gets a line for what the host must have itself, and for what is left out.

    Returns
    -------
    list of Path
        The parts, then the program.

    Raises
    ------
    StudyError
        A folder that is not empty, a condition that needs files of this machine, or
        one file over the limit.

    """
    if out.exists() and any(out.iterdir()):
        raise StudyError(f"expected a new or an empty folder, found files in {out}")
    study = resolve_study(read_study(file), images=images, has_cuda=device == "cuda")
    study = _portable(study, say)
    lines, missing = lacking(has, python, device)
    if missing:
        say(f"the host must have, since no part can hold them: {', '.join(missing)}")
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.resolve().parent, prefix=".bundle-") as folder:
        stage = Path(folder)
        _copy_weights(study, stage / MIRROR, say)
        study = _copy_pictures(study, stage)
        write_study(study, stage / "study.yaml")
        make_wheels(lines, python, stage / WHEELS)
        facts = {"format": 1, "study": study.name, "for": device, "python": python}
        parts = _write_parts(stage, out, limit, facts)
    shutil.copyfile(there.__file__, out / "there.py")
    return [*parts, out / "there.py"]


def _portable(study: Study, say: Callable[[str], None]) -> Study:
    """The study without programs; conditions that name other files are refused."""
    conditions = []
    for condition in study.conditions:
        settings = parse_condition(condition)
        if settings["name"].startswith("command:"):
            say(f"left out: {condition}: no program travels, nor runs there")
            continue
        values = [str(value) for value in settings.values()]
        if ":" in settings["name"] or any(
            "/" in value or Path(value).is_file() for value in values
        ):
            raise StudyError(
                f"{condition} needs files of this machine, and a bundle carries "
                "registered weights only; leave it out of the study"
            )
        conditions.append(condition)
    if not conditions:
        raise StudyError("no condition is left that a bundle can carry")
    rating = study.rating
    rated = [name for name in rating.conditions if name in conditions]
    rating = rating.model_copy(update={"conditions": rated})
    return study.model_copy(update={"conditions": conditions, "rating": rating})


def _copy_weights(study: Study, folder: Path, say: Callable[[str], None]) -> None:
    """What the conditions load; what a package carries comes with its wheel."""
    folder.mkdir(parents=True)
    for condition in study.conditions:
        try:
            plan = plan_restorer(**parse_condition(condition))
        except EvalkitError as error:
            say(f"{condition}: its weights are not brought: {error}")
            continue
        for one in _weights_of(plan):
            if one.path and one.kind not in ("package", "random"):
                shutil.copyfile(one.path, folder / one.path.name)


def _weights_of(plan: Plan) -> Iterator[WeightsInUse]:
    yield from plan.weights
    for part in plan.parts:
        yield from _weights_of(part)


def _copy_pictures(study: Study, stage: Path) -> Study:
    """What a set is made of, as it is; the pictures of a folder without metadata."""
    table = prepare(study.images, recursive=study.recursive)
    usable = table[table["error"].isna()]
    if usable.empty:
        raise StudyError(f"images: {study.images} holds no picture that can be read")
    if study.images in imagesets():
        is_offline = imagesets()[study.images].is_offline
        for path in [] if is_offline else originals(usable):
            shutil.copyfile(path, stage / MIRROR / path.name)
        return study
    folder = stage / PICTURES
    folder.mkdir()
    copies = {
        row.source: digest(bare_copy(Path(row.path), folder / file_name(row.source)))
        for row in usable.itertuples()
    }
    told = usable[~usable["kind_from"].isin(["router"]) & usable["kind_from"].notna()]
    if len(told):
        KINDS.write(told[[*KINDS.columns]], folder)
    # so that `collect` knows them again
    was = dict(zip(usable["source"], usable["sha256"], strict=True))
    same = {copies[source]: was[source] for source in copies}
    text = json.dumps(same, indent=1)
    (stage / there.SAME).write_text(text, encoding="utf-8")
    return study.model_copy(update={"images": PICTURES, "recursive": False})


def _write_parts(
    stage: Path, out: Path, limit: int, facts: Mapping[str, object]
) -> list[Path]:
    """Fill as few parts as the largest first allow."""
    files = {
        path.relative_to(stage).as_posix(): path
        for path in sorted(stage.rglob("*"))
        if path.is_file()
    }
    sizes = {
        name: path.stat().st_size + OF_A_FILE + 2 * len(name.encode())
        for name, path in files.items()
    }
    room = [limit - OF_INDEX * len(files) - OF_A_FILE - 1024]
    content: list[list[str]] = [[]]
    for name in sorted(files, key=lambda name: -sizes[name]):
        fitting = [n for n, left in enumerate(room) if left >= sizes[name]]
        if not fitting and sizes[name] > limit - 1024:
            raise StudyError(
                f"{name} has {sizes[name] / 2**20:.1f} MiB, more than a part may: give "
                "a higher --limit, or have it on the host and in --has"
            )
        if not fitting:
            room.append(limit - 1024)
            content.append([])
            fitting = [len(room) - 1]
        content[fitting[0]].append(name)
        room[fitting[0]] -= sizes[name]
    index = {**facts, "files": {name: digest(path) for name, path in files.items()}}
    parts = []
    for number, names in enumerate(content, 1):
        part = out / f"evalkit-{number}-of-{len(content)}.zip"
        with zipfile.ZipFile(part, "w") as archive:
            for name in names:
                archive.write(files[name], name)
            if number == 1:
                archive.writestr(there.INDEX, json.dumps(index, indent=1))
        parts.append(part)
    return parts
