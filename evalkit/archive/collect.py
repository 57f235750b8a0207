"""``evalkit collect``: merge what bundles found on hosts without network."""

import json
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from evalkit import tables
from evalkit.archive import there
from evalkit.archive.diff import MACHINES
from evalkit.errors import StudyError
from evalkit.paths import file_name
from evalkit.records import RecordsWarning, plain_records
from evalkit.study.run_folder import Run, write_text
from evalkit.tables import IMAGES, Table

MAX_FILES, MAX_BYTES = 10_000, 2**29
"""The most that an archive may hold, unpacked: a study's results are far below."""

KNOWN = (".json", ".jsonl", ".csv", ".md", ".png", ".html", ".ipynb", ".yaml", ".log")
"""Suffixes of what a host packs; nothing that is collected is ever run."""

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What reading an archive raises: the last for a password, or JSON without an end."""

COLLECTED = "collected.json"
"""What marks a collected run, and names its study."""

TOP = {"tables", "figures", "notebooks"}


def collect(
    files: Sequence[Path], into: Path, *, say: Callable[[str], None] = print
) -> Run:
    """Merge what bundles found into one run folder.

    Records go into one ``records.jsonl``, each cell once; tables that name a machine
    are merged, and all that a machine made lies as it came in ``machines/<machine>/``.
    Records of two machines stay apart by their machine. A file that was collected
    before adds nothing.

    Parameters
    ----------
    files
        What ``there.py`` packed, of one study.
    into
        The run folder; made if it is new.
    say
        Gets a line for each file.

    Raises
    ------
    StudyError
        No such archive: damaged, with paths outside, links or too much in it, of
        another study, or with records of another machine than it says. Nothing of it
        is kept.

    """
    run = Run(into)
    for file in files:
        with TemporaryDirectory(dir=_made(into.parent), prefix=".collect-") as folder:
            found = Run(Path(folder))
            facts = _unpack(file, found.path)
            _check_study(run, facts, file)
            n_new, n_all = _merge(run, found, facts, file)
        say(f"{file.name}: {n_new} new of {n_all} records of {facts['machine']}")
    run.records.write_parquet()
    return run


def study_of(file: Path) -> str:
    """The name of the study that an archive is of; as `collect` refuses."""
    with _opened(file) as archive:
        return str(_facts(archive, file)["study"])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _opened(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (OSError, zipfile.BadZipFile) as error:
        raise StudyError(f"{file}: expected what there.py packed: {error}") from error


def _facts(archive: zipfile.ZipFile, file: Path) -> dict[str, Any]:
    """Study, machine and the pictures that are the same, each of the right kind."""
    try:
        info = archive.getinfo(there.RESULTS)
        if info.file_size > 2**24:
            raise ValueError("larger than any")
        facts: dict[str, Any] = json.loads(archive.read(info))
        named = [facts["study"], facts["machine"]]
        is_named = all(isinstance(n, str) and file_name(n) == n for n in named)
        texts = [*facts["same"].keys(), *facts["same"].values()]
        is_text = all(isinstance(text, str) for text in texts)
        if facts["format"] != 1 or not is_named or not is_text:
            raise ValueError("it is of another form")
    except (AttributeError, KeyError, TypeError, ValueError, *DAMAGED) as error:
        what = f"expected what there.py packed, with {there.RESULTS}: {error}"
        raise StudyError(f"{file}: {what}") from error
    return facts


def _unpack(file: Path, folder: Path) -> dict[str, Any]:
    """Unpack an archive that holds nothing but what a host packs."""
    with _opened(file) as archive:
        entries, facts = archive.infolist(), _facts(archive, file)
        reason = next(filter(None, map(_why_not, entries)), None)
        if len(entries) > MAX_FILES or len({e.filename for e in entries}) < len(
            entries
        ):
            reason = "too many files, or one twice"
        if sum(entry.file_size for entry in entries) > MAX_BYTES:
            reason = f"more than {MAX_BYTES // 2**20} MiB"
        if reason:
            raise StudyError(f"{file} is refused: it holds {reason}; nothing was kept")
        try:
            for entry in entries:
                target = folder / entry.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                # a stream ends at the size that was said, or zipfile says it is damaged
                target.write_bytes(archive.read(entry))
        except (OSError, *DAMAGED) as error:
            raise StudyError(f"{file} is damaged: {error}; bring it again") from error
    return facts


def _why_not(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry is refused; None for a plain file of a run folder."""
    name, mode = entry.filename, entry.external_attr >> 16
    path = PurePosixPath(name)
    shown = ascii(name[:80])
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in path.parts[0]:
        return f"a path outside: {shown}"
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return f"a link, or no plain file: {shown}"
    is_placed = len(path.parts) == 1 or (len(path.parts) == 2 and path.parts[0] in TOP)
    if not is_placed or path.suffix not in KNOWN or str(path) != name:
        return f"what no study makes: {shown}"
    if any(file_name(part) != part for part in path.parts):
        return f"a name that no file may have: {shown}"
    return None


def _check_study(run: Run, facts: Mapping[str, Any], file: Path) -> None:
    collected = run.read_json(COLLECTED)
    if not collected and run.records.path.is_file():
        raise StudyError(
            f"{run.path} is the run of this machine; name another folder with --into"
        )
    named = collected.get("study", facts["study"])
    if named != facts["study"]:
        raise StudyError(
            f"{file} is of study {facts['study']}, and {run.path} of {named}; collect "
            "it into another folder"
        )


def _merge(
    run: Run, found: Run, facts: Mapping[str, Any], file: Path
) -> tuple[int, int]:
    """Add records and tables; put what the machine made into a folder of its own."""
    machine, same = facts["machine"], facts["same"]
    rows = plain_records(found.records.read())
    _check_machine(found, {row["machine"] for row in rows}, machine, file)
    for row in rows:
        # a picture that travelled without its metadata is the same one
        row["source_sha256"] = same.get(row["source_sha256"], row["source_sha256"])
        row["output"] = None  # it stayed there
    mergeable = [*_tables_of(found)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RecordsWarning)  # of those that are there
        n_new = run.records.append(rows)
    write_text(run.path / COLLECTED, json.dumps({"study": facts["study"]}))
    for table, frame in mergeable:
        if table.name == IMAGES.name:
            frame = frame.assign(path=f"on {machine}", reference=None)
            frame["sha256"] = frame["sha256"].replace(same)
        before = run.read(table)
        both = pd.concat([before, frame]) if len(before) else frame
        run.write(table, both.drop_duplicates([*table.key], keep="last"))
    for path in [path for path in found.path.rglob("*") if path.is_file()]:
        target = run.path / MACHINES / machine / path.relative_to(found.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    return n_new, len(rows)


def _check_machine(found: Run, named: set[str], machine: str, file: Path) -> None:
    """Refuse records of another machine than the archive's and the environment's."""
    try:
        own = str(found.environment["machine"]["machine"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise StudyError(f"{file}: environment.json is damaged: {error}") from error
    if {own, *named} != {machine} or not named:
        others = ", ".join(sorted({own, *named} - {machine})) or "none"
        raise StudyError(f"{file}: expected records of {machine}, found {others}")


def _tables_of(found: Run) -> Iterator[tuple[Table, pd.DataFrame]]:
    """The tables that can be merged: of pictures, and those that name the machine."""
    for table in vars(tables).values():
        if isinstance(table, Table) and (table is IMAGES or "machine" in table.key):
            frame = found.read(table)
            if len(frame):
                yield table, frame
