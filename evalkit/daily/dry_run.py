"""What restoring would do and cost, said before anything is done."""

import math
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from evalkit.comparisons.reasons import in_language
from evalkit.comparisons.routing import costs_of
from evalkit.daily.journal import Journal
from evalkit.daily.names import Names
from evalkit.daily.restore import Wish
from evalkit.daily.routing import Routing
from evalkit.daily.tasks import Task, find_tasks
from evalkit.errors import attempt
from evalkit.images import read_image
from evalkit.paths import runs_dir
from evalkit.study import open_run
from evalkit.study.progress import rounded_time
from evalkit.texts import tell

GB = 1e9
MIB_AS_GB = 2**20 / GB


class Rate(NamedTuple):
    """Seconds a megapixel of source, the most memory, and who measured them."""

    seconds: float
    memory_mib: float | None
    of: str


class Foreseen(NamedTuple):
    """What one picture would become.

    Attributes
    ----------
    restorer, why
        What would make it, and which rule says so.
    size
        Width and height of the output.
    n_bytes
        Of the output, unpacked: a PNG has fewer.
    seconds
        None for unknown.

    """

    restorer: str
    why: str
    size: tuple[int, int]
    n_bytes: int
    seconds: float | None


def foresee(wish: Wish, *, say: Callable[[str], None] = print) -> None:
    """Say of each picture what it would become, and of all what they would take.

    Time and memory are those of the latest run on this machine, else of what was
    restored into this folder before; where neither tells them, that is said.
    """
    journal, names = Journal(wish.out), Names(wish.out, wish.name, wish.suffix)
    journal.read()
    routing, rates = Routing(wish.plan, recursive=wish.recursive), _rates(wish, journal)
    for note in wish.plan.notes:
        say(in_language(note))
    pictures: list[Foreseen] = []
    n_before = n_broken = 0
    tasks = find_tasks(wish.paths, wish.out, recursive=wish.recursive, say=say)
    routing.look(tasks, say)
    for task in tasks:
        key, reason = attempt(partial(task.key, wish.how), task.title)
        if key and journal.has(key):
            n_before += 1
            continue
        picture = None
        if key:
            make = partial(_foreseen, task, wish, routing, rates)
            picture, reason = attempt(make, task.title)
        if picture is None:
            n_broken += 1
            say(tell("restore.would.pass", picture=task.title, reason=reason))
            continue
        pictures.append(picture)
        output = wish.out / names.next(task.folder, task.stem, wish.condition)
        width, height = picture.size
        told = {"picture": task.title, "output": output, "size": f"{width}x{height}"}
        time = ""
        if picture.seconds:
            time = tell("restore.would.time", time=rounded_time(picture.seconds))
        say(tell("restore.would", restorer=picture.restorer, time=time, **told))
        if picture.why:
            say(f"    {picture.why}")
    told = {"n": len(pictures), "n_before": n_before, "n_failed": n_broken}
    say(tell("restore.would.sum", **told))
    if pictures:
        _say_sums(pictures, wish, rates, say)


def _say_sums(
    pictures: Sequence[Foreseen],
    wish: Wish,
    rates: Mapping[str, Rate],
    say: Callable[[str], None],
) -> None:
    known = [p.seconds for p in pictures if p.seconds is not None]
    if known:
        used = {rates[p.restorer] for p in pictures if p.restorer in rates}
        memory = [rate.memory_mib for rate in used if rate.memory_mib]
        most = ""
        if memory:
            highest = f"{max(memory) * MIB_AS_GB:.2g}"
            most = tell("restore.would.memory", most=highest)
        of = ", ".join(sorted({rate.of for rate in used}))
        minutes = f"{sum(known) / 60:.2g}"
        say(tell("restore.would.cost", minutes=minutes, memory=most, of=of))
    if len(known) < len(pictures):
        say(tell("restore.would.unknown", n=len(pictures) - len(known)))
    folder = next(
        path for path in [wish.out, *wish.out.absolute().parents] if path.is_dir()
    )
    free = shutil.disk_usage(folder).free
    needed = sum(p.n_bytes for p in pictures)
    told = {"needed": f"{needed / GB:.2g}", "free": f"{free / GB:.3g}"}
    say(tell("restore.would.disk", **told))


def _foreseen(
    task: Task, wish: Wish, routing: Routing, rates: Mapping[str, Rate]
) -> Foreseen:
    picture = read_image(task.source, page=task.page or 0)
    restorer, why = wish.condition, ""
    if routing.is_needed:
        restorer, why = routing.decide(task)
    height, width = picture.shape[:2]
    scale = wish.plan.resolved.get("scale", 1)
    size = int(width * scale), int(height * scale)
    if wish.sheet:
        size = wish.sheet.size(*size)
    n_samples = size[0] * size[1] * math.prod(picture.shape[2:])
    rate = rates.get(restorer) or rates.get(wish.condition)
    seconds = rate and rate.seconds * width * height / 1e6
    return Foreseen(restorer, why, size, n_samples * picture.itemsize, seconds)


def _rates(wish: Wish, journal: Journal) -> dict[str, Rate]:
    """What is known of restorers, and of this condition."""
    rates = {}
    latest = runs_dir() / "latest"
    if latest.is_dir():
        run = open_run(str(latest))
        of = tell("restore.would.run", name=run.name)
        for name, cost in costs_of(run).items():
            rates[name] = Rate(cost["time_s"], cost["memory_mib"], of)
    rows = [row for row in journal.done if row["condition"] == wish.condition]
    if rows and wish.condition not in rates:
        seconds = statistics.median(r["seconds"] / r["megapixels"] for r in rows)
        memory = max(row["rss_mib"] for row in rows)
        rates[wish.condition] = Rate(seconds, memory, tell("restore.would.folder"))
    return rates
