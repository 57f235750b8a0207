"""What a worker does under a memory limit, or beside others that start with it.

Both do what `evalkit.study.series.series_cell` does, whose arguments they take too.
"""

from collections.abc import Callable
from typing import Any

from evalkit.profiling.budget import limit_memory
from evalkit.profiling.concurrency import pass_barrier
from evalkit.study.series import series_cell


def limited_cell(
    emit: Callable[[dict[str, Any]], None],
    *,
    budget_mib: int,
    device: str,
    **arguments: Any,
) -> None:
    """Restore in so much memory; see `evalkit.profiling.budget.limit_memory`.

    Give it a ``timeout_s``: OpenBLAS, for one, asks for memory again and again.
    """
    limit_memory(budget_mib, device)
    series_cell(emit, **arguments, is_watched=False)


def gated_cell(
    emit: Callable[[dict[str, Any]], None], *, barrier: str, **arguments: Any
) -> None:
    """Restore once, pass the barrier with all others, and go on."""

    def emit_and_wait(found: dict[str, Any]) -> None:
        emit(found)
        if found["phase"] == "cold":
            pass_barrier(barrier)

    series_cell(emit_and_wait, **arguments)
