"""What ``auto`` is told of a folder's pictures before it restores the first of them."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial

from evalkit.comparisons.looking import Router, used_for
from evalkit.comparisons.reasons import in_language
from evalkit.daily.tasks import Task
from evalkit.errors import attempt
from evalkit.restorers import Plan
from evalkit.restorers.auto import takes_facts
from evalkit.texts import tell


class Routing:
    """The looks that a folder's rule needs; none where no picture is routed."""

    def __init__(self, plan: Plan, *, recursive: bool) -> None:
        self.is_needed = takes_facts(plan)
        self._router = Router(recursive=recursive)
        self._usable = {part.spec.name for part in plan.parts}

    def look(self, tasks: Iterable[Task], say: Callable[[str], None]) -> None:
        """Look at the pictures of folders.

        One that cannot be read is passed over: what restores it will say why.
        """
        tasks = [task for task in tasks if task.album and self.is_needed]
        if tasks:
            say(tell("restore.looking", n=len(tasks)))
        for task in tasks:
            look = partial(self._router.look, task.as_page)
            attempt(look, task.title, lambda _: None)

    def count(self, task: Task, *, has_face: bool) -> None:
        """As `Router.count`: a picture that was looked at by an earlier command."""
        self._router.count(task.album, task, has_face=has_face)

    def facts(self, task: Task) -> Mapping[str, float]:
        """What `Restorer.knowing` takes; empty for a picture not looked at."""
        seen = self._router.seen(task.as_page)
        return seen.values if seen else {}

    def decide(self, task: Task) -> tuple[str, str]:
        """The restorer that ``auto`` would use, and why.

        Raises
        ------
        ImageError
            The picture cannot be read.

        """
        if not self._router.seen(task.as_page):
            self._router.look(task.as_page)
        decision = self._router.decide(task.as_page)
        used = used_for(decision.route, self._usable)
        return used, in_language(f"route {decision.route}: {decision.reasons[0]}")
