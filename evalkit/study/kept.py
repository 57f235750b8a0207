"""Files that belong to a picture: which are shared, and which leave with it."""

import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from evalkit.errors import ImageError
from evalkit.images import pixel_sha256, read_image
from evalkit.records import Cell, made_at_hand, plain_records
from evalkit.study.measurement import Measurement
from evalkit.study.run_folder import Run, write_text
from evalkit.tables import IMAGES, SOURCES


def holds(run: Run, records: pd.DataFrame, cell: pd.DataFrame) -> bool:
    """Whether the file that a cell's last record names holds an output of the cell.

    `records` are all of the run. A name keeps its file when its picture changes, so
    where another output was ever written to it, its pixels are compared.
    """
    file = cell["output"].iloc[-1]
    if not (run.path / file).is_file():
        return False
    written = records.loc[records["output"] == file, "output_sha256"].dropna()
    if written.isin(cell["output_sha256"]).all():
        return True
    return digest_of(run.path / file) in set(cell["output_sha256"])


def take_same_bytes(
    what: Measurement,
    missing: Sequence[Mapping[str, Any]],
    keys: Mapping[str, str],
    records: pd.DataFrame,
    say: Callable[[str], None],
) -> bool:
    """Take what is missing from the same bytes under another name, if it is there.

    All outputs are put aside before the first is replaced: names may have been swapped.

    Parameters
    ----------
    what, missing, keys
        What is measured; rows of `evalkit.tables.IMAGES`; the key of each source.
    records
        All of the run.
    say
        Gets one line for each source.

    Returns
    -------
    bool
        Whether anything was taken.

    """
    if not missing or what.plan.spec.takes_names:
        return False
    run, copies = what.run, []
    by_key = dict(iter(records.groupby("key", sort=False)))
    with TemporaryDirectory(dir=run.path, prefix=".taken-") as folder:
        for number, row in enumerate(missing):
            name, key = row["source"], keys[row["source"]]
            if key not in by_key:
                continue
            same = by_key[key]
            names = same.loc[same["source"] != name, "source"].unique()
            candidates = [what.records_of(same, n, key, *what.beside) for n in names]
            twin = max(candidates, key=len, default=same.head(0))
            if twin.empty or pd.notna(row["error"]):
                continue
            cell, file = what.records_of(same, name, key), None
            if what.keeps_outputs and (twin["outcome"] == "ok").all():
                wanted = twin if cell.empty else cell
                file = _copy_of(run, same, wanted, Path(folder, str(number)))
                if file is None:
                    continue
            copies.append((row, twin, file, what.target(row, cell)))
        for row, twin, file, target in copies:
            twin_name = twin["source"].iloc[0]
            say(f"  {row['source']}: taken from {twin_name}, which is the same bytes")
            path = run.path / target if target else None
            if path:
                path.unlink(missing_ok=True)
            _take_over(run, row, twin, target)
            if path and file:
                path.parent.mkdir(parents=True, exist_ok=True)
                file.replace(path)
    return bool(copies)


def _take_over(
    run: Run, row: Mapping[str, Any], twin: pd.DataFrame, target: str | None
) -> None:
    """Keep another name's records under this one, too."""
    cells, copies = run.records.cells(), []
    for record in plain_records(twin):
        notes = [*(record["notes"] or []), f"same bytes as {record['source']}"]
        record |= {"study": run.name, "source": row["source"], "notes": notes}
        record["base_source"] = row.get("base_source")
        if record["output"] is not None:
            record["output"] = target
        if Cell(*(record[name] for name in Cell._fields)) not in cells:
            copies.append(record)
    run.records.append(copies)


def _copy_of(
    run: Run, records: pd.DataFrame, cell: pd.DataFrame, path: Path
) -> Path | None:
    """Copy an output of `cell` to `path` from where one of `records` says it is.

    Returns
    -------
    Path
        `path`; None where no file of these records is the picture that they tell of.

    """
    for file in records["output"].dropna().unique():
        if digest_of(run.path / file) in set(cell["output_sha256"].dropna()):
            return Path(shutil.copyfile(run.path / file, path))
    return None


def digest_of(path: Path) -> str | None:
    """The digest of a picture's pixels, as ``output_sha256``; None without one."""
    try:
        return pixel_sha256(read_image(path))
    except ImageError:
        return None


def remove_strays(
    run: Run,
    folder: Path,
    say: Callable[[str], None],
    also_kept: Iterable[str] = (),
) -> None:
    """Remove files below a folder of the run that are of no picture at hand.

    Outside a study, where another set may be looked at in between, they are only named.
    Nothing is known to be a stray before the run has a table of its pictures.

    Parameters
    ----------
    folder
        ``outputs``, ``sources``, or a folder in one of them.
    also_kept
        More paths below the run folder that are no strays.

    """
    images = run.read(IMAGES)
    if images.empty:
        return
    # listed before the records are read: another step may be restoring just now
    found = sorted(folder.rglob("[!.]*"))
    sources = made_at_hand(run.read(SOURCES), images)
    expected = {*run.at_hand()["output"].dropna(), *sources["path"], *also_kept}
    strays = [
        path
        for path in found
        if path.is_file() and path.relative_to(run.path).as_posix() not in expected
    ]
    if not strays:
        return
    is_study = bool(run.study)
    names = ", ".join(path.name for path in strays[:5])
    more = f" and {len(strays) - 5} more" if strays[5:] else ""
    say(
        f"{'removed' if is_study else 'kept'}, of pictures that are not there any more:"
        f" {names}{more} in {folder.relative_to(run.path)}"
    )
    for path in strays if is_study else []:
        path.unlink()


def replace_figures(run: Run, step: str, files: Iterable[Path]) -> None:
    """Say which PNG files a step has drawn, and remove those that it drew before.

    ``figures.json`` has the names, without suffix, of each step that draws one figure a
    picture.
    """
    listed = run.path / "figures.json"
    drawn = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else {}
    before, drawn[step] = drawn.get(step, []), [file.stem for file in files]
    write_text(listed, json.dumps(drawn, ensure_ascii=False, indent=1))
    for name in set(before).difference(*drawn.values()):
        for suffix in (".png", ".pdf"):
            (run.figures / f"{name}{suffix}").unlink(missing_ok=True)
