"""Pictures and folders restored into a folder, each once, whatever happens between."""

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evalkit.comparisons.reasons import in_language
from evalkit.daily.journal import Journal
from evalkit.daily.names import Names
from evalkit.daily.pool import Event, Pool
from evalkit.daily.progress import Progress
from evalkit.daily.routing import Routing
from evalkit.daily.sheet import Sheet
from evalkit.daily.tasks import Task, find_tasks, settings_digest
from evalkit.daily.worker import DETAILS
from evalkit.errors import EvalkitError, ImageError, attempt
from evalkit.restorers import Plan, condition_name
from evalkit.study.interrupted import count_interrupted
from evalkit.texts import tell

POLL_S = 1.0
"""How often a watched folder is looked into; a file is taken once it stays the same."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be done with pictures.

    Attributes
    ----------
    paths
        Pictures, and folders of them.
    out
        The folder of the outputs.
    plan
        Of the restorer.
    recursive
        Whether subfolders are looked into.
    name, suffix
        The template of outputs' names, and their suffix where it has none.
    sheet
        What each output is to fill in print.
    strip
        Whether what a source's file says of date and place is left out.

    """

    paths: Sequence[Path]
    out: Path
    plan: Plan
    recursive: bool = False
    name: str = "{stem}"
    suffix: str = ".png"
    sheet: Sheet | None = None
    strip: bool = False

    @property
    def condition(self) -> str:
        """The name of the restorer under its settings."""
        return condition_name(**self.plan.parameters)

    @property
    def how(self) -> str:
        """What decides an output beside its source."""
        return settings_digest(
            self.plan.parameters,
            parts=[part.spec.name for part in self.plan.parts],
            name=self.name,
            suffix=self.suffix,
            sheet=str(self.sheet),
            strip=self.strip,
        )


def restore_pictures(
    wish: Wish,
    *,
    plans: Sequence[Plan] = (),
    watch: bool = False,
    say: Say = print,
) -> "Restoring":
    """Restore what is not restored yet; a picture that fails is passed over.

    Parameters
    ----------
    wish
        What, and how.
    plans
        Of several restorers, for a device each, in place of the wish's one.
    watch
        Go on with what comes into the folders, until interrupted.
    say
        Gets a line for each picture, and what else must be known.

    Raises
    ------
    ImageError
        There is no such file, or no picture.
    EvalkitError
        The restorer cannot be loaded, or the machine ended three pictures in a row.
    StudyError
        Another program restores into this folder.

    """
    tasks = find_tasks(wish.paths, wish.out, recursive=wish.recursive, say=say)
    if not tasks and not watch:
        listed = ", ".join(map(str, wish.paths))
        raise ImageError(f"expected pictures, found none in {listed}")
    with Journal(wish.out) as journal:
        restoring = Restoring(wish, journal)
        left = restoring.undone(tasks)
        if restoring.n_before:
            told = {"n": restoring.n_before, "total": len(tasks), "out": wish.out}
            say(tell("restore.before", **told))
        if left or watch:
            arrivals = _arrivals(wish, tasks) if watch else None
            _restore(left, arrivals, restoring, plans or [wish.plan], say)
    return restoring


def _restore(
    tasks: Sequence[Task],
    arrivals: Iterator[list[Task]] | None,
    restoring: "Restoring",
    plans: Sequence[Plan],
    say: Say,
) -> None:
    wish = restoring.wish
    pool = Pool(plans, restoring.prepare, sheet=wish.sheet, strip=wish.strip)
    restoring.look(tasks, say)
    pool.add(tasks)
    with Progress(len(tasks), say) as progress:
        while arrivals or progress.n_ended < progress.total:
            with suppress(queue.Empty):
                restoring.take(pool.events.get(timeout=POLL_S), progress)
            if arrivals:
                more = restoring.undone(next(arrivals))
                restoring.look(more, say)
                pool.add(more)
                progress.total += len(more)
    pool.close()


class Restoring:
    """What has become of the pictures.

    Attributes
    ----------
    wish
        What was asked for.
    n_done, n_before
        Restored now, and found done already.
    failures
        A line for each picture that was passed over.

    """

    def __init__(self, wish: Wish, journal: Journal) -> None:
        self.n_done = self.n_before = 0
        self.failures: list[str] = []
        self.wish, self._journal = wish, journal
        self._names = Names(wish.out, wish.name, wish.suffix)
        self._routing = Routing(wish.plan, recursive=wish.recursive)
        self._keys: dict[Task, str] = {}
        self._outputs: dict[Task, Path] = {}
        self._in_a_row: list[str] = []
        self._said: set[str] = set()

    def undone(self, tasks: Sequence[Task]) -> list[Task]:
        """Those that are not done."""
        left = []
        for task in tasks:
            key, reason = attempt(partial(task.key, self.wish.how), task.title)
            if key is None:
                self._fail(task, reason)
            elif self._journal.has(key):
                self.n_before += 1
                if (has_face := self._journal.has_face.get(key)) is not None:
                    self._routing.count(task, has_face=has_face)
            else:
                self._keys[task] = key
                left.append(task)
        return left

    def look(self, tasks: Sequence[Task], say: Say) -> None:
        """Look at pictures that ``auto`` will route, all before the first is."""
        self._routing.look(tasks, say)

    def _fail(self, task: Task, reason: str | None) -> str:
        """Note the line on a picture that is passed over."""
        says_which = str(reason).startswith(str(task.source))
        line = str(reason) if says_which else f"{task.title}: {reason}"
        self.failures.append(tell("restore.passed", line=line))
        return self.failures[-1]

    def prepare(self, task: Task) -> dict[str, Any]:
        """Note that a picture is begun; the arguments of its worker."""
        key = self._keys[task]
        output = self._journal.output(key)
        if output is None:
            output = self._names.next(task.folder, task.stem, self.wish.condition)
            facts = self._routing.facts(task)
            looked = {"has_face": facts["n_faces"] > 0} if facts else {}
            self._journal.add(key, output, done=False, source=task.title, **looked)
        self._outputs[task] = output
        target = self.wish.out / output
        target.parent.mkdir(parents=True, exist_ok=True)
        return {
            "source": str(task.source),
            "page": task.page or 0,
            "target": str(target),
            "facts": self._routing.facts(task),
        }

    def take(self, event: Event, progress: Progress) -> None:
        """Note what a worker told.

        Raises
        ------
        EvalkitError
            The restorer cannot be loaded, or the machine ended three in a row.

        """
        task, facts = event
        if "raised" in facts:
            raise facts["raised"]
        if task is None:
            raise EvalkitError(f"{self.wish.condition} did not start: {facts['error']}")
        if "part" in facts:
            progress.show(task.title, facts["part"])
            return
        outcome = facts.get("outcome", "ok")
        count_interrupted(self._in_a_row, f"{outcome}: {facts.get('error')}")
        if "error" in facts:
            progress.end(task.title, self._fail(task, facts["error"]))
            return
        self.n_done += 1
        output = self._outputs[task]
        self._journal.add(
            self._keys[task],
            output,
            done=True,
            source=task.title,
            condition=self.wish.condition,
            **facts,
        )
        width, height = facts["size"]
        progress.end(
            task.title,
            f"{task.title} -> {self.wish.out / output}, {width}x{height} px, "
            f"{facts['seconds']:.1f} s",
        )
        for note in facts["notes"]:
            if note not in self._said and not note.startswith(DETAILS):
                progress.say(f"    {in_language(note)}")
        self._said.update(facts["notes"])


def _arrivals(wish: Wish, tasks: Sequence[Task]) -> Iterator[list[Task]]:
    """What has come, or changed, in the folders, once a look finds it as the last."""
    taken = last = {task: _state(task) for task in tasks}
    while True:
        pictures = find_tasks(
            wish.paths, wish.out, recursive=wish.recursive, say=lambda _: None
        )
        now = {task: _state(task) for task in pictures}
        ready = [task for task in now if now[task] == last.get(task) != taken.get(task)]
        taken = taken | {task: now[task] for task in ready}
        last = now
        yield ready


def _state(task: Task) -> tuple[int, int] | None:
    with suppress(OSError):  # it has gone
        state = task.source.stat()
        return state.st_size, state.st_mtime_ns
    return None
