"""A subject's wish to be forgotten: their answers, and all that was made of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evalkit.study.pictures import FOLDERS
from evalkit.study.run_folder import SQLITE, Run, ratings_store

MADE_OF_ANSWERS = (
    "tables/scores_*",
    "figures/80_*",
    "notebooks/70_rate.ipynb",
    "notebooks/80_scores.ipynb",
    "notebooks/90_verdict.ipynb",
    "report.html",
    "report.zh.html",
)
"""The files of a run that hold answers or who gave them; the next study makes them."""

SKIPPED = ("outputs", "rating/stimuli", *FOLDERS.values())
"""Folders of pictures only."""

PICTURE = re.compile(rb"[A-Za-z0-9+/=]{60,}")
"""A picture within a text, as base64: any short name is somewhere in one."""


class Forgotten(NamedTuple):
    """What `forget_subject` did, and could not do.

    Attributes
    ----------
    removed
        Files that were removed.
    left
        Sentences on what is left, and where.

    """

    removed: list[Path]
    left: list[str]


def forget_subject(run: Run, subject: str) -> Forgotten:
    """Delete a subject's answers, and every file of the run that was made of them.

    Raises
    ------
    UnknownNameError
        There is no such subject.

    """
    store = ratings_store(run)
    left = []
    if not store.delete_subject(subject):
        left.append(
            f"{SQLITE}-wal still holds it, since another process reads the file: end "
            "that, then open the run once more (evalkit rate --status)"
        )
    name = re.compile(rb"(?<![a-z0-9-])" + subject.encode() + rb"(?![a-z0-9-])")
    removed = [path for made in MADE_OF_ANSWERS for path in sorted(run.path.glob(made))]
    # a session that was given away as a file bears its subject's name
    own = re.compile(rf"{subject}(-part-\d+-of-\d+)?\.\w+")
    given = [path for path in _files(run) if run.path / "rating" in path.parents]
    removed += [path for path in given if own.fullmatch(path.name)]
    for path in removed:
        path.unlink()
    naming = [
        path for path in _files(run) if name.search(PICTURE.sub(b"", path.read_bytes()))
    ]
    left += [f"{path.relative_to(run.path)} names {subject}" for path in naming]
    if store.engine.dialect.name == "postgresql":
        left.append("the log and the backups of the database server are not reached")
    left.append(
        "files that were exported, copied, packed or sent, and backups of them, are "
        "not reached: delete those by hand"
    )
    planned = run.study.get("rating", {}).get("subjects", 0)
    if subject in {f"s{number:02}" for number in range(1, planned + 1)}:
        left.append(
            f"the study plans {planned} subjects: its next run begins an empty session "
            f"that is called {subject} again; lower rating.subjects if nobody is to "
            "have it"
        )
    return Forgotten(removed, left)


def _files(run: Run) -> Iterator[Path]:
    """Every file that could name a subject, without the store itself."""
    skipped = {run.path / name for name in SKIPPED}
    for path in sorted(run.path.rglob("*")):
        is_store = path.name.startswith(SQLITE)
        if path.is_file() and not is_store and not skipped & {*path.parents}:
            yield path
