"""What was restored into a folder, a line each, so that nothing is done twice."""

import json
import threading
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from evalkit.errors import StudyError
from evalkit.paths import remove_litter
from evalkit.records import jsonl

FILE, LOCK = "evalkit-restore.jsonl", ".evalkit-restore.lock"


class Journal:
    """The journal of a folder; one program at a time holds it.

    A line with ``done`` false stands before each output's work, one with true behind
    it. An output's file appears whole or not at all: where it is there, it is done.
    """

    def __init__(self, out: Path) -> None:
        self._out, self._path = out, out / FILE
        self._file_lock = FileLock(out / LOCK)
        self._writing = threading.Lock()
        self._outputs: dict[str, str] = {}
        self.done: list[dict[str, Any]] = []
        """The facts of what was made, oldest first."""
        self.has_face: dict[str, bool] = {}
        """By task, of those that were looked at."""

    def __enter__(self) -> Self:
        """Take the folder, sweep what a killed program left in it, read the journal.

        Raises
        ------
        StudyError
            Another program writes there.
        TableError
            The journal is damaged in its middle.

        """
        self._out.mkdir(parents=True, exist_ok=True)
        try:
            self._file_lock.acquire(timeout=0)
        except Timeout as error:
            raise StudyError(
                f"another evalkit restore writes to {self._out}; wait for it, or name "
                "another folder"
            ) from error
        remove_litter(self._out)
        self.read()
        return self

    def __exit__(self, *_: object) -> None:
        self._file_lock.release()

    def read(self) -> None:
        """Read what stands there."""

        def take(_: int, row: dict[str, Any]) -> None:
            self._outputs[row["task"]] = row["output"]
            if "has_face" in row:
                self.has_face[row["task"]] = row["has_face"]
            if row["done"]:
                self.done.append(row)

        scanned = jsonl.scan(self._path, take)
        self._torn_at = scanned.end if scanned.torn else None

    def output(self, task: str) -> Path | None:
        """The output's path below the folder, if the task was begun."""
        name = self._outputs.get(task)
        return None if name is None else Path(name)

    def has(self, task: str) -> bool:
        """Whether the task's output is there."""
        output = self.output(task)
        return output is not None and (self._out / output).is_file()

    def add(self, task: str, output: Path, *, done: bool, **facts: Any) -> None:
        """Write a line to the disk."""
        row = {"task": task, "output": output.as_posix(), "done": done, **facts}
        with self._writing:
            line = json.dumps(row).encode() + b"\n"
            jsonl.append(self._path, line, torn_at=self._torn_at)
            self._torn_at = None
            self._outputs[task] = row["output"]
            if done:
                self.done.append(row)
