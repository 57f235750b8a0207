"""What belongs to one call of a restorer."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TypeAlias

from evalkit.errors import CancelledError
from evalkit.restorers._stopwatch import Stopwatch

Progress: TypeAlias = Callable[[int, int], None]
"""Called as ``progress(done, total)`` after each tile, face or picture."""

Cancel: TypeAlias = Callable[[], bool]
"""Asked between tiles and faces; a true answer stops the work."""


@dataclass(slots=True, kw_only=True)
class Context:
    """What belongs to one call, so that threads share nothing that changes.

    Attributes
    ----------
    aligned, source, others, progress, cancel
        As in `Restorer.restore`.
    notes, watch
        Become the result's.
    n_before
        Tiles of a background, which are done before the first face.

    """

    progress: Progress
    cancel: Cancel
    aligned: bool = False
    source: str | None = None
    others: Collection[str] = ()
    notes: list[str] = field(default_factory=list)
    watch: Stopwatch = field(default_factory=Stopwatch)
    n_before: int = 0

    def of_background(self, n_faces: int) -> Progress:
        """The progress of a background on which `n_faces` will lie."""

        def progress(n_done: int, n_tiles: int) -> None:
            self.n_before = n_tiles
            self.progress(n_done, n_tiles + n_faces)

        return progress


def stop_if(cancel: Cancel) -> None:
    """Raise `CancelledError` when `cancel` says so."""
    if cancel():
        raise CancelledError("cancelled by the caller; no picture was made")
