"""What a worker does under a memory limit, or beside others that start with it.

Both do what `evalkit.study._cells.restore_cell` does, whose arguments they take too.
"""

import faulthandler
import signal
from collections.abc import Callable
from typing import Any

from evalkit.profiling.budget import limit_memory
from evalkit.profiling.concurrency import pass_barrier
from evalkit.study._cells import restore_cell


def limited_cell(
    emit: Callable[[dict[str, Any]], None],
    *,
    budget_mib: int,
    device: str,
    timeout_s: float,
    **arguments: Any,
) -> None:
    """Restore in so much memory; see `evalkit.profiling.budget.limit_memory`.

    After `timeout_s`, SIGALRM ends the process, which says where it was: OpenBLAS, for
    one, asks for memory again and again.
    """
    faulthandler.register(signal.SIGALRM, chain=True)
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    limit_memory(budget_mib, device)
    restore_cell(emit, **arguments, is_watched=False)


def gated_cell(
    emit: Callable[[dict[str, Any]], None], *, barrier: str, **arguments: Any
) -> None:
    """Restore once, pass the barrier with all others, and go on."""

    def emit_and_wait(found: dict[str, Any]) -> None:
        emit(found)
        if found["phase"] == "cold":
            pass_barrier(barrier)

    restore_cell(emit_and_wait, **arguments)
