"""Cells that the machine ended: how they are found, and when they end a step."""

import os
import shutil
import tempfile
from pathlib import Path

from evalkit.errors import INTERRUPTED, StudyError

IN_A_ROW = 3
"""So many interrupted cells in a row end a step: the next would be, too."""

FULL_BYTES = 2**20
"""A disk with less room is full: libraries do not all say why they could not write."""


def count_interrupted(in_a_row: list[str], outcome: str) -> None:
    """Add an outcome to those that the machine ended, or begin to count anew.

    Raises
    ------
    StudyError
        There are `IN_A_ROW` of them.

    """
    if not outcome.startswith(INTERRUPTED):
        in_a_row.clear()
        return
    in_a_row.append(outcome)
    if len(in_a_row) >= IN_A_ROW:
        raise StudyError(
            f"the machine ended {len(in_a_row)} cells in a row, the last of them: "
            f"{outcome}. Make room or give access, and run it again: what was "
            "done is kept, and these are tried again"
        )


def find_fault(run_dir: Path, picture: str) -> str | None:
    """The fault of this machine that explains any failure; None if there is none."""
    if not os.access(picture, os.R_OK):
        return "the picture cannot be read any more"
    folders = (run_dir, Path(tempfile.gettempdir()))
    free_bytes = min(shutil.disk_usage(folder).free for folder in folders)
    return "there is no room on the disk" if free_bytes < FULL_BYTES else None
