"""How far the restoring of pictures is: a bar on a terminal, else plain lines."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tqdm import tqdm

from evalkit.study.progress import printable, rounded_time
from evalkit.texts import tell

BAR = "{n:.0f} / {total} |{bar}| "
"""What stands before rate and time left, in tqdm's words."""


class Progress:
    """Counts pictures; says of each how it ended, and how long the others take.

    Attributes
    ----------
    total
        Pictures to restore; it may grow.
    n_ended
        Those that have ended, well or not.

    """

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self.total, self.n_ended = total, 0
        self._say, self._begin = say, 0.0
        self._parts: dict[str, float] = {}
        self._bar = tqdm(
            total=total,
            unit="picture",
            bar_format=BAR
            + tell("restore.bar", rate="{rate_inv_fmt}", time="{remaining}")
            + "{postfix}",
            disable=not sys.stderr.isatty(),
            leave=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def show(self, picture: str, part: float) -> None:
        """Show which picture is worked at, and its share that is done.

        Time counts from the first one, when the restorer has been loaded.
        """
        if not self._begin:
            self._begin = time.monotonic()
            self._bar.reset(self.total)
        self._parts[picture] = part
        self._bar.set_postfix_str(printable(picture), refresh=False)
        self._move()

    def end(self, picture: str, line: str) -> None:
        """Say how a picture ended."""
        self.n_ended += 1
        self._parts.pop(picture, None)
        left = ""
        if self._bar.disable and (n_left := self.total - self.n_ended):
            mean_s = (time.monotonic() - self._begin) / self.n_ended
            left = tell("restore.left", time=rounded_time(mean_s * n_left))
        told = {"n": self.n_ended, "total": self.total, "line": printable(line)}
        self.say(tell("restore.end", **told) + left)
        self._move()

    def say(self, line: str) -> None:
        """Say a line, above the bar."""
        with tqdm.external_write_mode():
            self._say(line)

    def _move(self) -> None:
        self._bar.total = self.total
        self._bar.n = self.n_ended + sum(self._parts.values())
        self._bar.refresh()
