"""The router's looks at pictures that were sent: each in a process of its own."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.daily.advice import LOOKER, PRELOAD, Advice
from evalkit.errors import EvalkitError, ImageError
from evalkit.profiling.isolation import run_cell
from evalkit.service.desk import BusyError, Desk


class LookError(EvalkitError):
    """A look that did not come to its end.

    Attributes
    ----------
    outcome
        As in records.

    """

    def __init__(self, message: str, outcome: str) -> None:
        super().__init__(message)
        self.outcome = outcome


class Looks:
    """Looks at one picture after the other; as many as may wait for that."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = threading.Lock()
        self._free = threading.BoundedSemaphore(desk.limits.most_looking)

    @contextmanager
    def place(self) -> Iterator[Path]:
        """A file for a picture, which is deleted at the end.

        Raises
        ------
        BusyError
            As many pictures wait as may.

        """
        if not self._free.acquire(blocking=False):
            raise BusyError("as many pictures wait for a look as may: try again")
        file = self._desk.folder / f"{secrets.token_hex(16)}.look"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)
            self._free.release()

    def advise(self, file: Path) -> Advice:
        """What the router says of a picture.

        Raises
        ------
        ImageError
            It cannot be read.
        LookError
            The process that looked at it ended before it was done.

        """
        told: list[dict[str, Any]] = []
        with self._turn:
            result = run_cell(
                LOOKER,
                {"file": str(file)},
                on_message=told.append,
                timeout_s=self._desk.limits.look_s,
                preload=PRELOAD,
            )
        if result.error:
            raise LookError(result.error, result.outcome)
        (said,) = told
        if said["advice"] is None:
            raise ImageError(str(said["error"]).replace(str(file), "the file"))
        advice: Advice = said["advice"]
        return advice
