"""A process that restores a picture: its progress, its end, its last words."""

import math
import re
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from evalkit.errors import EvalkitError, KilledError, OutOfMemoryError
from evalkit.machine.out_of_memory import sign_in
from evalkit.restorers._protocol import Context, stop_if

Rgb8 = NDArray[np.uint8]
"""Shape ``(height, width, 3)``, R, G, B, sRGB-encoded, uint8."""

T = TypeVar("T")

POLL_S = 0.05
"""How often progress is reported and `cancel` called."""


class Task(NamedTuple):
    """One picture to restore, in tiles of that side in px.

    It has at least 11 px on each side: fewer cannot be padded by reflection.
    """

    picture: Rgb8
    tile: int
    context: Context

    @property
    def n_tiles(self) -> int:
        """How many tiles the picture has."""
        return math.prod(math.ceil(side / self.tile) for side in self.picture.shape[:2])


class Child:
    """A process whose standard error is read while it works; `name` is for messages."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path | None = None
    ) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe
        )
        self.stdin = cast("IO[bytes]", self.process.stdin)
        self.stdout = cast("IO[bytes]", self.process.stdout)
        self._stderr = cast("IO[bytes]", self.process.stderr)
        self._name = name
        self._words: deque[str] = deque(maxlen=100)
        self._n_tiles = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        """Count the tiles that are done; keep everything else that is said."""
        for line in self._stderr:
            text = line.decode(errors="replace").strip()
            if re.fullmatch(r"[\d.]+%", text):
                self._n_tiles += 1
            elif text:
                self._words.append(text)

    def watch(self, wait: Callable[[], T | None], task: Task) -> T:
        """Report the progress until `wait`, which takes `POLL_S`, returns something."""
        n_before, n_told = self._n_tiles, 0
        while (result := wait()) is None:
            stop_if(task.context.cancel)
            while n_told < min(self._n_tiles - n_before, task.n_tiles):
                n_told += 1
                task.context.progress(n_told, task.n_tiles)
        for n_done in range(n_told + 1, task.n_tiles + 1):
            task.context.progress(n_done, task.n_tiles)
        return result

    def last_words(self) -> list[str]:
        """Its last words, once it has ended; waits for that."""
        self.process.wait()
        self._reader.join()
        return list(self._words)

    def end(self) -> None:
        """End the process, if it still runs."""
        self.process.kill()
        self.last_words()
        with suppress(BrokenPipeError):  # what was not read yet
            self.stdin.close()
        self.stdout.close()
        self._stderr.close()

    def failure(self) -> EvalkitError:
        """Why it has ended without a result."""
        words = " | ".join(self.last_words()[-5:]) or "nothing"
        code = self.process.returncode
        reason = f"{self._name} ended with exit code {code}; its last words: {words}"
        if sign_in(words):
            return OutOfMemoryError(f"out of memory: {reason}")
        # SIGKILL or SIGTERM; a fault of its own ends it by another
        is_killed = code in (-signal.SIGKILL, -signal.SIGTERM)
        return (KilledError if is_killed else EvalkitError)(reason)
