"""A fresh process for each cell: whatever happens in it is an outcome, not an end."""

import errno
import os
import pickle
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from evalkit.errors import INTERRUPTED, KilledError, SettingError
from evalkit.machine.cgroup import memory_bytes
from evalkit.machine.out_of_memory import sign_in
from evalkit.profiling import _server
from evalkit.profiling._client import Worker, tail
from evalkit.profiling._faults import ERRNOS, SIGNALS, tells_of_fault
from evalkit.profiling._worker import EXIT_OUT_OF_MEMORY, EXIT_UNREPORTED
from evalkit.profiling.memory import MIB
from evalkit.profiling.parents import die_with_parent

__all__ = ["CellResult", "die_with_parent", "run_cell"]

MOST = 0.5
"""The share of all memory from which cells count as having used it up."""

_METHODS = {"forkserver": _server.FORK, "spawn": _server.SPAWN}


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """How a cell ended.

    Attributes
    ----------
    outcome
        ``ok``, ``oom``, ``error``, ``crash``, ``timeout`` or ``rejected``; or
        ``interrupted``, which is no result: the machine did it, or a person.
    error
        The reason, for a reader; None when `outcome` is ``ok``.
    peak_rss_mib
        Highest resident set of the worker alone, as the kernel counted it (with its
        children: `evalkit.profiling.monitor`). None when unknown.
    exit_code
        The worker's; negative for the signal that killed it; None when unknown.
    output
        The end of what it wrote to standard output and error.

    """

    outcome: str
    error: str | None
    peak_rss_mib: float | None
    exit_code: int | None
    output: str


def run_cell(
    function: str,
    arguments: Mapping[str, Any],
    *,
    on_message: Callable[[dict[str, Any]], None] | None = None,
    timeout_s: float | None = None,
    start_method: str = "forkserver",
    preload: Sequence[str] = ("torch",),
) -> CellResult:
    """Call a function in a process of its own, and outlive whatever it does.

    Parameters
    ----------
    function
        ``package.module:name``. It is called there as ``name(emit, **arguments)``;
        ``emit(message)`` hands a dict to `on_message` at once, so that what was
        finished before a crash is kept.
    arguments
        Picklable.
    on_message
        Called in this process and thread, in order. If it raises, the cell is ended.
    timeout_s
        Seconds from the start after which the worker and its children are killed.
    start_method
        ``forkserver``: forked from a server that has imported `preload` and run
        nothing, in milliseconds. ``spawn``: a fresh interpreter, for CUDA.
    preload
        Modules that the server imports; it is kept for later cells.

    Returns
    -------
    CellResult
        No process of the cell is left.

    Raises
    ------
    SettingError
        A function or a start method that is not one.
    EvalkitError
        The server did not start: a module of `preload` is missing, say.

    Notes
    -----
    Workers are children of the server, not of this process, and die with it (see
    `die_with_parent`); the server ends when this process does, however that ends.
    The worker has the environment, folder and import path that this process has now.

    """
    if not re.fullmatch(r"[\w.]+:\w+", function):
        raise SettingError(f"function: expected package.module:name, got {function!r}")
    if start_method not in _METHODS:
        raise SettingError(
            f"start_method: expected {' or '.join(_METHODS)}, got {start_method!r}"
        )
    setup = {"path": sys.path, "environ": dict(os.environ), "folder": str(Path.cwd())}
    request = pickle.dumps(setup) + pickle.dumps((function, dict(arguments)))
    method = _METHODS[start_method]
    modules = tuple(preload) if method == _server.FORK else ()
    end: tuple[Any, ...] | None = None
    with ExitStack() as stack:
        try:
            output = stack.enter_context(TemporaryFile())
            worker = Worker(method, modules, timeout_s, output)
        except OSError as error:
            if error.errno not in ERRNOS:
                raise
            return _result(None, {"refused": error.errno}, "", timeout_s)
        stack.enter_context(worker)
        for kind, *content in worker.messages(request):
            if kind == "end":
                end = tuple(content)
            elif on_message is not None:
                on_message(content[0])
        return _result(end, worker.facts, tail(output), timeout_s)


def _result(
    end: tuple[Any, ...] | None,
    facts: Mapping[str, Any] | None,
    output: str,
    timeout_s: float | None,
) -> CellResult:
    """Make the result from the last words of the worker and the server, if any."""
    facts = facts or {}
    outcome, error, own_peak_mib = end or (None, None, 0.0)
    if error and error.startswith(KilledError.__name__):
        outcome, error = _of_kill(facts, error)
    # the signal that makes a late worker say where it is may have let it go on
    if end is None or facts.get("is_late"):
        outcome, error = _explain(facts, output, timeout_s)
        if output:
            error = f"{error}; its last output: {output}"
    return CellResult(
        outcome=outcome,
        error=error,
        peak_rss_mib=max(facts.get("peak_rss_mib", 0.0), own_peak_mib) or None,
        exit_code=facts.get("code"),
        output=output,
    )


def _explain(
    facts: Mapping[str, Any], output: str, timeout_s: float | None
) -> tuple[str, str]:
    """The outcome and the reason of a worker that has not said how it ended."""
    if "refused" in facts:
        number = facts["refused"]
        is_oom = number == errno.ENOMEM
        return "oom" if is_oom else INTERRUPTED, f"no process: {os.strerror(number)}"
    if "code" not in facts:
        return INTERRUPTED, "the server of workers was killed, and the worker with it"
    code = facts["code"]
    if facts["is_late"]:
        return "timeout", f"not finished after {timeout_s:g} s"
    if code == EXIT_OUT_OF_MEMORY:
        return "oom", "out of memory, with none left to say where"
    if code >= 0:
        is_ours = code == EXIT_UNREPORTED and tells_of_fault(output)
        outcome = INTERRUPTED if is_ours else "oom" if sign_in(output) else "crash"
        return outcome, f"ended with exit code {code} before the function did"
    name = f"{signal.Signals(-code).name} ({signal.strsignal(-code)})"
    if -code in SIGNALS:
        by_kernel = facts if code == -signal.SIGKILL else {}
        return _of_kill(by_kernel, f"killed by {name}")
    if code == -signal.SIGABRT and sign_in(output):
        return "oom", f"killed by {name} for want of memory"
    return "crash", f"killed by {name}"


def _of_kill(facts: Mapping[str, Any], error: str) -> tuple[str, str]:
    """The outcome and the reason of an end by somebody else's signal."""
    if not facts.get("n_oom_kills"):
        return INTERRUPTED, f"{error}, from outside"
    whole_mib = memory_bytes() / MIB
    return "oom" if facts["held_mib"] > MOST * whole_mib else INTERRUPTED, (
        f"{error}, by the kernel, which was out of memory: the cells of this study "
        f"held {facts['held_mib']:,.0f} of {whole_mib:,.0f} MiB"
    )
