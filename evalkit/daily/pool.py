"""One process a device, each with a loaded restorer, behind one queue of pictures."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from typing import Any, NamedTuple

from evalkit.daily.tasks import Task
from evalkit.profiling.isolation import run_cell
from evalkit.restorers import Plan

WORKER = "evalkit.daily.worker"


class Event(NamedTuple):
    """What a worker told.

    Attributes
    ----------
    task
        The picture it is at; None where it could not load its restorer.
    facts
        As `restore_each` emits them: ``part``, ``error``, or all of a picture done;
        ``outcome`` where its process ended, ``raised`` what went wrong in this one.

    """

    task: Task | None
    facts: Mapping[str, Any]


class Pool:
    """Workers that take pictures from a queue until there are no more.

    Their threads are daemons and their processes die with this one: whoever is
    interrupted need not wait for them.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        prepare: Callable[[Task], dict[str, Any]],
        **arguments: Any,
    ) -> None:
        """Start.

        Parameters
        ----------
        plans
            Of each worker's restorer.
        prepare
            Makes of a picture, when its turn has come, the arguments of
            `evalkit.daily.worker.restore_file`; called from several threads.
        **arguments
            More arguments of `restore_each`.

        """
        self.events: queue.Queue[Event] = queue.Queue()
        self._tasks: queue.Queue[Task | None] = queue.Queue()
        self._prepare, self._arguments = prepare, arguments
        self._threads = [
            threading.Thread(target=self._work, args=(plan,), daemon=True)
            for plan in plans
        ]
        for thread in self._threads:
            thread.start()

    def add(self, tasks: Sequence[Task]) -> None:
        """Put pictures behind those that wait."""
        for task in tasks:
            self._tasks.put(task)

    def close(self) -> None:
        """Let the workers end, once nothing waits."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, plan: Plan) -> None:
        try:
            while (task := self._tasks.get()) is not None:
                if not self._run(task, plan):
                    return
        except BaseException as error:  # noqa: BLE001, raised where events are taken
            self.events.put(Event(None, {"raised": error}))

    def _run(self, task: Task, plan: Plan) -> bool:
        """Run a worker for this picture and those that follow; False at the end."""
        current: Task | None = task
        connection: Connection | None = None

        def take(message: dict[str, Any]) -> None:
            nonlocal current, connection
            if connection is None:  # it is ready
                connection = listener.accept()
            else:
                self.events.put(Event(current, message))
                if "part" in message:
                    return
                current = self._tasks.get()
            with suppress(ConnectionError):  # it has ended: `run_cell` says how
                connection.send(current and self._prepare(current))
            if current:
                self.events.put(Event(current, {"part": 0.0}))

        is_cuda = str(plan.resolved.get("device")).startswith("cuda")
        with Listener(None, "AF_UNIX") as listener:
            more = {"address": listener.address, "plan": plan}
            result = run_cell(
                f"{WORKER}:restore_each",
                {**self._arguments, **more},
                on_message=take,
                start_method="spawn" if is_cuda else "forkserver",
                preload=(*plan.spec.preload, *plan.preload, WORKER),
            )
        if connection is None:
            current = None
        if connection is None or current is not None:
            ended = {"error": result.error, "outcome": result.outcome}
            self.events.put(Event(current, ended))
        return current is not None
