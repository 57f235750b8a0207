"""One process a device, each with a loaded restorer, behind one queue of pictures."""

import itertools
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Listener
from queue import Queue
from typing import Any, NamedTuple

from evalkit.daily.tasks import Task
from evalkit.profiling.isolation import run_cell
from evalkit.restorers import Plan

WORKER = "evalkit.daily.worker"

CPU_WRITERS, GPU_WRITERS = 1, 4
"""Threads that pack outputs: what a GPU makes in 0.2 s takes a core 0.3 s to pack."""

MOST_OF_ONE_PROCESS = 250
"""Pictures after which a worker is started anew: with pictures of ever new sizes,
OpenVINO 2026.4.1 grew by 1 MiB a picture, and gave nothing back on being asked."""


class Event(NamedTuple):
    """What a worker told.

    Attributes
    ----------
    task
        The picture; None where the restorer could not be loaded.
    facts
        As `restore_each` emits them: ``part``, ``error``, or all of a picture done;
        ``outcome`` where its process ended, ``raised`` what went wrong in this one.

    """

    task: Task | None
    facts: Mapping[str, Any]


class Pool:
    """Workers that take pictures from a queue until there are no more.

    Each reads and writes some pictures while it restores another. One that ends in the
    midst of several is started anew, and from then on has one at a time, so that a
    crash is laid at the right door.

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
            Makes of a picture, when its turn has come, what `restore_each` is sent;
            called by one thread at a time.
        **arguments
            More arguments of `restore_each`.

        """
        self.events: Queue[Event] = Queue()
        self.changed = threading.Condition(threading.RLock())
        self.waiting: deque[Task] = deque()
        self.is_closed = False
        self.prepare, self.arguments = prepare, arguments
        self._workers = [_Worker(self, plan) for plan in plans]
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), daemon=True)
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    def add(self, tasks: Iterable[Task]) -> None:
        """Put pictures behind those that wait."""
        with self.changed:
            self.waiting.extend(tasks)
            self._tell()

    def close(self) -> None:
        """Let the workers end once nothing waits, and wait for that."""
        with self.changed:
            self.is_closed = True
            self._tell()
        for thread in self._threads:
            thread.join()

    def kill(self) -> None:
        """End the workers' processes at once; each gets a new one for what waits."""
        for worker in self._workers:
            with suppress(ProcessLookupError):
                if worker.pid is not None:
                    os.kill(worker.pid, signal.SIGKILL)

    def _tell(self) -> None:
        for worker in self._workers:
            worker.feed()
        self.changed.notify_all()

    def _work(self, worker: "_Worker") -> None:
        try:
            while self._has_work() and worker.run():
                pass
        except BaseException as error:  # noqa: BLE001, raised where events are taken
            self.events.put(Event(None, {"raised": error}))

    def _has_work(self) -> bool:
        """Wait for a picture; false at the end."""
        with self.changed:
            self.changed.wait_for(lambda: self.waiting or self.is_closed)
            return bool(self.waiting)


class _Worker:
    """The worker of one device, over the lives of its processes."""

    def __init__(self, pool: Pool, plan: Plan) -> None:
        self._pool, self._plan = pool, plan
        is_cuda = str(plan.resolved.get("device")).startswith("cuda")
        self._start_method = "spawn" if is_cuda else "forkserver"
        self._n_writers = GPU_WRITERS if is_cuda else CPU_WRITERS
        # besides those that are written, one is restored and one is read
        self._ahead = self._n_writers + 2
        self._numbers = itertools.count()
        self._n_sent = 0
        self._at_work: dict[int, Task] = {}
        self._listener: Listener | None = None
        self._connection: Connection | None = None
        self.pid: int | None = None

    def run(self) -> bool:
        """Run a process until it ends; false if it could not load its restorer."""
        plan, self._n_sent = self._plan, 0
        with Listener(None, "AF_UNIX") as self._listener:
            result = run_cell(
                f"{WORKER}:restore_each",
                {
                    "plan": plan,
                    "address": self._listener.address,
                    "n_writers": self._n_writers,
                    **self._pool.arguments,
                },
                on_message=self._take,
                start_method=self._start_method,
                preload=(*plan.spec.preload, *plan.preload, WORKER),
            )
        ended = {"error": result.error, "outcome": result.outcome}
        with self._pool.changed:
            is_loaded, self._connection = self._connection is not None, None
            self.pid = None
            tasks = [*self._at_work.values()]
            self._at_work.clear()
            if tasks and self._ahead > 1:
                self._pool.waiting.extendleft(reversed(tasks))
                tasks = []
                self._ahead = 1
        for task in tasks if is_loaded else [None]:
            self._pool.events.put(Event(task, ended))
        return is_loaded

    def feed(self) -> None:
        """Send what waits, as much as may be at work at once; the lock is held."""
        pool = self._pool
        with suppress(ConnectionError):  # it has ended: `run` learns how
            while self._connection and pool.waiting:
                is_spent = self._n_sent >= MOST_OF_ONE_PROCESS
                if is_spent or len(self._at_work) >= self._ahead:
                    break
                self._n_sent += 1
                task, number = pool.waiting.popleft(), next(self._numbers)
                self._at_work[number] = task
                self._connection.send({"number": number, **pool.prepare(task)})
            is_over = pool.is_closed or self._n_sent >= MOST_OF_ONE_PROCESS
            if self._connection and is_over and not self._at_work:
                self._connection.send(None)

    def _take(self, message: dict[str, Any]) -> None:
        number = message.pop("number", None)
        with self._pool.changed:
            if self._connection is None:  # it is ready
                assert self._listener is not None
                self._connection = self._listener.accept()
                self.pid = message["pid"]
            else:
                task = self._at_work[number]
                self._pool.events.put(Event(task, message))
                if "part" not in message:
                    del self._at_work[number]
            self.feed()
