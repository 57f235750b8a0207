"""Processes that start on the same signal, once all of them are ready."""

import fcntl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

T = TypeVar("T")


def run_together(n: int, call: Callable[[int, str, Callable[[], None]], T]) -> list[T]:
    """Call a function `n` times at once, and open a barrier when all are before it.

    Parameters
    ----------
    n
        The number of threads; each starts a process and waits for its end.
    call
        Called as ``call(number, barrier, is_ready)``, number from 0. Its process waits
        in `pass_barrier`; `call` calls ``is_ready()`` when that is about to. Nobody
        waits for a process that ended before.

    """
    ready = [threading.Event() for _ in range(n)]

    def call_once(number: int, barrier: str) -> T:
        try:
            return call(number, barrier, ready[number].set)
        finally:
            ready[number].set()

    with TemporaryDirectory() as folder, ThreadPoolExecutor(n) as pool:
        path = Path(folder) / "barrier"
        with path.open("w", encoding="utf-8") as barrier:
            fcntl.flock(barrier, fcntl.LOCK_EX)
            calls = pool.map(partial(call_once, barrier=str(path)), range(n))
            for event in ready:
                event.wait()
        return list(calls)


def pass_barrier(barrier: str) -> None:
    """Wait for the barrier: a lock, which opens if its holder is killed."""
    with Path(barrier).open(encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
