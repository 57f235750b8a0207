"""The queue of a service, and the processes that work it off."""

import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any, Literal

import psutil

from evalkit.daily.pool import Pool
from evalkit.daily.settings import plans_by_device
from evalkit.daily.tasks import Task
from evalkit.errors import CancelledError, EvalkitError
from evalkit.restorers import Plan

State = Literal["waiting", "running", "done", "failed", "cancelled"]

FOLDER = re.compile(r"evalkit-serve-(\d+)-")
POLL_S = 0.2
GRACE_S = 5.0
"""How long a restorer may take to see that it is to stop, before its process ends."""


class BusyError(EvalkitError):
    """As many pictures wait as may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a service bears.

    Attributes
    ----------
    most_waiting, most_looking
        Pictures in the queue, and those that the router is to look at; one more is
        refused.
    upload_mib, megapixels
        Of a picture.
    upload_s, picture_s, look_s
        How long an upload, the work on a picture, and the router's look may take.
    idle_s
        After so long without a picture a network is unloaded.
    kept_s
        How long what was made is kept.

    """

    most_waiting: int = 64
    most_looking: int = 8
    upload_mib: float = 64
    megapixels: float = 50
    upload_s: float = 60
    picture_s: float = 1800
    look_s: float = 120
    idle_s: float = 600
    kept_s: float = 3600


@dataclass(eq=False)
class Job:
    """One picture that was sent, and what becomes of it.

    Attributes
    ----------
    id
        Cannot be guessed.
    plan
        Of its restorer.
    source, target
        Its files.
    stem
        Of the name under which it was sent: of its output's in a ZIP, and nowhere else.
    state, part, error, facts
        How far it is: the share that is done; why it failed, and how (an outcome as in
        records); what `evalkit.daily.worker.write` says of an output.
    ended
        Is set at its end.

    """

    id: str
    plan: Plan
    source: Path
    target: Path
    stem: str = ""
    state: State = "waiting"
    part: float = 0.0
    error: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    ended: Future[None] = field(default_factory=Future)
    asked_at: float = field(default_factory=time.monotonic)
    begun_at: float = 0.0
    ended_at: float = 0.0

    @property
    def stop(self) -> Path:
        """A file that is there once the job is to stop."""
        return self.source.with_suffix(".stop")

    @property
    def queue_s(self) -> float:
        """Seconds in the queue."""
        return self.begun_at - self.asked_at

    def end(self, state: State, error: str | None = None, **facts: Any) -> None:
        """Settle it, once."""
        if not self.ended.done():
            error = error and error.replace(str(self.source), "the file")
            self.error, self.facts = error, facts
            self.state = state  # last: whoever sees it sees what came of it
            self.ended_at = time.monotonic()
            self.ended.set_result(None)


class Desk:
    """Takes jobs in their order, by one process for each of its places.

    A process keeps the network of its last job loaded. Whatever happens in it is the
    end of one job; the next one gets a new process.
    """

    def __init__(self, limits: Limits, *, n_places: int = 1) -> None:
        self.limits = limits
        _remove_leftovers()
        self.folder = Path(tempfile.mkdtemp(prefix=f"evalkit-serve-{os.getpid()}-"))
        self.jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._places = [
            threading.Thread(target=self._work, args=(number,), daemon=True)
            for number in range(n_places)
        ]
        self._cleaner = threading.Thread(target=self._clean, daemon=True)
        for thread in (*self._places, self._cleaner):
            thread.start()

    def new_job(self, plan: Plan, suffix: str, stem: str = "") -> Job:
        """A job whose picture is not there yet."""
        name = secrets.token_hex(16)
        target = self.folder / f"{name}-out{suffix}"
        return Job(name, plan, self.folder / f"{name}.in", target, stem)

    def submit(self, job: Job) -> None:
        """Put a job into the queue.

        Raises
        ------
        BusyError
            It is full.

        """
        with self._changed:
            if len(self._waiting) >= self.limits.most_waiting:
                raise BusyError(
                    f"{len(self._waiting)} pictures wait, which is the limit: try again"
                )
            self.jobs[job.id] = job
            self._waiting.append(job)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Take a job out of the queue, or stop the work on it."""
        with self._changed, suppress(ValueError):
            self._waiting.remove(job)
            job.end("cancelled")
        if not job.ended.done():
            job.stop.touch()

    def forget(self, job: Job) -> None:
        """Delete all of a job."""
        self.jobs.pop(job.id, None)
        for path in (job.source, job.target, job.stop):
            path.unlink(missing_ok=True)

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs wait, and how many are worked on."""
        states = [job.state for job in list(self.jobs.values())]
        return {name: states.count(name) for name in ("waiting", "running")}

    def close(self) -> None:
        """End every process, and delete everything."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()
        for job in list(self.jobs.values()):
            self.cancel(job)
        for thread in self._places:
            thread.join(2 * GRACE_S)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _work(self, number: int) -> None:
        pool: _Place | None = None
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._waiting or self._is_closed, self.limits.idle_s
                )
                job = self._waiting.popleft() if self._waiting else None
            if pool and (job is None or not pool.serves(job.plan)):
                pool.close()
                pool = None
            if job:
                pool = pool or _Place(job.plan, number)
                if not pool.run(job, self.limits.picture_s):
                    pool = None
            elif self._is_closed:
                return

    def _clean(self) -> None:
        while not self._is_closed:
            time.sleep(min(60.0, self.limits.kept_s / 4))
            oldest = time.monotonic() - self.limits.kept_s
            for job in list(self.jobs.values()):
                if job.ended.done() and job.ended_at < oldest:
                    self.forget(job)


class _Place:
    """A process that keeps one restorer loaded, each on the next of several GPUs."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._plan, self._jobs = plan, dict[Task, Job]()  # the one in hand
        plans = plans_by_device(plan, None)
        self._pool = Pool(
            [plans[number % len(plans)]], self._prepare, sheet=None, strip=True
        )

    def serves(self, plan: Plan) -> bool:
        """Whether it is the process for that plan."""
        return plan.parameters == self._plan.parameters

    def _prepare(self, task: Task) -> dict[str, Any]:
        job = self._jobs[task]
        return {
            "source": str(job.source),
            "page": None,
            "target": str(job.target),
            "facts": {},
            "stop": str(job.stop),
        }

    def run(self, job: Job, allowed_s: float) -> bool:
        """Work on a job until it ends; false where the process has ended, too."""
        job.state, job.begun_at = "running", time.monotonic()
        task = Task(job.source, None, Path(), job.id)
        self._jobs = {task: job}
        self._pool.add([task])
        while True:
            stopped_s = self._stopped_s(job, allowed_s)
            if stopped_s > GRACE_S:
                self._pool.kill()
            with suppress(Empty):
                event = self._pool.events.get(timeout=POLL_S)
                facts = dict(event.facts)
                if "part" in facts:
                    job.part = facts["part"]
                elif "raised" in facts:
                    job.end("failed", str(facts["raised"]))
                    return False
                elif "error" in facts or job.stop.exists():
                    self._fail(job, facts, allowed_s)
                    return event.task is not None
                else:
                    job.end("done", **facts)
                    return True

    def _stopped_s(self, job: Job, allowed_s: float) -> float:
        """Seconds since the job was told to stop, which it is when its time is over."""
        if not job.stop.exists():
            if time.monotonic() - job.begun_at > allowed_s:
                job.stop.touch()
            return 0.0
        return time.time() - job.stop.stat().st_mtime

    def _fail(self, job: Job, facts: dict[str, Any], allowed_s: float) -> None:
        error = facts.pop("error", None)
        job.target.unlink(missing_ok=True)  # made before it saw that it is to stop
        if not job.stop.exists():
            job.end("failed", error, **facts)
        elif time.monotonic() - job.begun_at > allowed_s:
            job.end("failed", f"not done after {allowed_s:g} s", outcome="timeout")
        else:
            job.end("cancelled", str(CancelledError("cancelled")))

    def close(self) -> None:
        """End the process."""
        self._pool.close()


def _remove_leftovers() -> None:
    """Delete what services that were killed have left."""
    for folder in Path(tempfile.gettempdir()).glob("evalkit-serve-*"):
        match = FOLDER.match(folder.name)
        if match and not psutil.pid_exists(int(match[1])):
            shutil.rmtree(folder, ignore_errors=True)
