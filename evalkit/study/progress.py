"""Where a study is: what its steps tell, and the one line that shows it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from evalkit.texts import tell

FILE, STEP = "EVALKIT_PROGRESS", "EVALKIT_STEP"
"""Environment variables of a step: the file it tells its progress to, its own name."""

LOG = "snakemake.log"
MESSAGES = ".progress.jsonl"
"""Files of the run folder, both of the latest run only."""

POLL_S = 0.1

_TOTAL = re.compile(rb"total +(\d+)\s*$")
"""Ends Snakemake's table of jobs; one of them is the study itself, with no notebook."""


def tell_progress(**facts: Any) -> None:
    """Tell `follow` of this step: ``begins``, ``picture`` with ``of``, ``ends``...

    Where nobody follows, as under papermill by hand, nothing is written.
    """
    if file := os.environ.get(FILE):
        line = json.dumps({"step": os.environ.get(STEP, ""), **facts})
        # what only shows progress is no reason to stop
        with suppress(OSError), Path(file).open("a", encoding="ascii") as stream:
            stream.write(line + "\n")


@dataclass
class _Step:
    name: str
    number: int
    picture: int = 0
    of: int = 0
    began: list[float] = field(default_factory=list)
    """When each picture did, in seconds of `time.monotonic`."""

    def left_s(self) -> float | None:
        """How long the pictures that are left take, at the mean of those before.

        None before the second begins, and when that time is over.
        """
        if len(self.began) < 2:
            return None
        mean_s = (self.began[-1] - self.began[0]) / (len(self.began) - 1)
        end = self.began[-1] + mean_s * (self.of - self.picture + 1)
        left_s = end - time.monotonic()
        return left_s if left_s > 0 else None


class Progress:
    """The steps of a study, and a line that says where they are."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.n_begun = 0
        self.running: dict[str, _Step] = {}
        """By name; the one that was heard of last is the last."""

    def take(self, facts: dict[str, Any]) -> None:
        """Take the facts that a step told by `tell_progress`."""
        name = facts["step"]
        if "begins" in facts:
            self.n_begun += 1
            self.running[name] = _Step(name, self.n_begun)
        elif "picture" in facts:
            step = self.running[name] = self.running.pop(name)
            step.picture, step.of = facts["picture"], facts["of"]
            if step.picture == 1:
                step.began.clear()
            step.began.append(time.monotonic())
        else:
            del self.running[name]

    def line(self, n_columns: int | None = None) -> str:
        """Step, picture n of m, and the time that is left of this step.

        The step's name is cut to fit into `n_columns` of a terminal.
        """
        from rich.cells import cell_len, set_cell_size  # 图 is two columns wide

        if not self.running:
            return ""
        step = list(self.running.values())[-1]
        of_all = tell("study.step.of", total=self.total) if self.total else ""
        begin = tell("study.step", number=step.number, of_all=of_all)
        place = {"picture": step.picture, "of": step.of}
        end = tell("study.step.picture", **place) if step.of else ""
        left_s = step.left_s()
        if left_s is not None:
            end += tell("study.step.left", time=rounded_time(left_s))
        name = printable(step.name)
        if n_columns is not None:
            room = max(0, n_columns - len(begin) - len(end))
            name = name if cell_len(name) <= room else set_cell_size(name, room)
        return begin + name + end


def follow(
    process: subprocess.Popen[bytes], run: Path, say: Callable[[str], None]
) -> None:
    """Show the progress of a study until Snakemake, `process`, has ended.

    On a terminal that is one line, written over again; else a line when a step begins.
    The error of a step that fails is written to standard error in one line.

    Parameters
    ----------
    process
        Writes to `LOG`; its steps tell to `MESSAGES`.
    run
        The run folder, which holds both.
    say
        Gets a line for each step where standard output is no terminal.

    """
    terminal = sys.stdout if sys.stdout.isatty() else None
    progress, last_line = Progress(), ""
    with (run / LOG).open("rb") as log, (run / MESSAGES).open("rb") as messages:
        has_ended = False
        while not has_ended:
            has_ended = process.poll() is not None  # then read what came before
            for row in _lines(log):
                if match := _TOTAL.match(row):
                    progress.total = int(match[1]) - 1
            errors = []
            for row in _lines(messages):
                progress.take(facts := json.loads(row))
                if "error" in facts:
                    errors.append(facts["error"])
                elif "begins" in facts and terminal is None:
                    say(progress.line())
            if has_ended and process.returncode:
                errors += [f"{name} was killed" for name in progress.running]
            n_columns = shutil.get_terminal_size().columns - 1
            line = "" if has_ended else progress.line(n_columns)
            if terminal and (errors or line != last_line):
                _write(terminal, "", n_columns)
            for error in errors:
                print(f"evalkit: {printable(error)}", file=sys.stderr, flush=True)
            if terminal and (errors or line != last_line):
                _write(terminal, line, n_columns)
            last_line = line
            if not has_ended:
                time.sleep(POLL_S)


def printable(text: str) -> str:
    """The text in one line; characters that a terminal would obey are escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in " ".join(text.split())
    )


def rounded_time(seconds: float) -> str:
    """Hours, minutes or seconds, as people say them."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(1, seconds):.0f} s"


def _write(terminal: IO[str], line: str, n_columns: int) -> None:
    """Write over the terminal's line."""
    from rich.cells import set_cell_size

    terminal.write(f"\r{set_cell_size(line, n_columns)}\r")
    terminal.flush()


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """The whole lines that have come since the last call."""
    while (line := file.readline()).endswith(b"\n"):
        yield line
    file.seek(-len(line), os.SEEK_CUR)
