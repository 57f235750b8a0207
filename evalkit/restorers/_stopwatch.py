"""Seconds by stage, of work that may overlap on a device."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopwatch:
    """Adds up seconds by stage, waiting for the device at each stage's end."""

    def __init__(self, synchronize: Callable[[], None] = lambda: None) -> None:
        self.stages_s: dict[str, float] = {}
        self._synchronize = synchronize
        self._begin_s = time.perf_counter()

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time the block as part of `stage`."""
        start = time.perf_counter()
        yield
        self._synchronize()
        self.add(stage, time.perf_counter() - start)

    def add(self, stage: str, passed_s: float) -> None:
        """Count seconds that were measured elsewhere as part of `stage`."""
        self.stages_s[stage] = self.stages_s.get(stage, 0.0) + passed_s

    def add_rest(self, stage: str) -> None:
        """Count as `stage` what has passed since the beginning and is of no stage."""
        passed_s = time.perf_counter() - self._begin_s
        self.add(stage, max(0.0, passed_s - sum(self.stages_s.values())))

    def settled(self) -> dict[str, float]:
        """The stages of work that has ended: together no more than has passed.

        What overlapped with a GPU's network is counted by what it added to it.
        """
        passed_s = time.perf_counter() - self._begin_s
        others_s = sum(s for name, s in self.stages_s.items() if name != "network")
        added_s = max(0.0, passed_s - self.stages_s.get("network", 0.0))
        share = min(1.0, added_s / others_s) if others_s else 1.0
        return {
            name: seconds if name == "network" else share * seconds
            for name, seconds in self.stages_s.items()
        }
