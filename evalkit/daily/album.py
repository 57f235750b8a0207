"""What an album would take: its routes, their reasons, hours and memory."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from evalkit.comparisons.looking import Router, Seen, used_for
from evalkit.comparisons.reasons import rule_in_language
from evalkit.daily.compare import USUAL, lacks
from evalkit.daily.fit import Fit, Option, in_gib, in_time, in_words, listed
from evalkit.daily.predicting import ARITHMETIC, Estimate, work_of
from evalkit.daily.tasks import Task, find_tasks
from evalkit.errors import ImageError, attempt
from evalkit.images import picture_kind
from evalkit.restorers import plan_restorer, restorers
from evalkit.restorers._routing import ROUTES
from evalkit.texts import tell

SCREENSHOT_FLAT = 0.75
"""The share of equal neighbours from which a lossless picture counts as a screenshot.

Of the 48 registered photographs, scans and screenshots it finds the one screenshot
(0.88) and nothing else; the next lossless one in colour has 0.58.
"""

LOSSLESS = ("png", "bmp", "gif")


TEXT = 0.01
"""The share of a picture in boxes of text from which it has text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of a picture, and where it would go.

    Attributes
    ----------
    name, size
        Of the file, with its page if there are several; width and height, px.
    has_face, has_text, is_screenshot
        What it shows; whether there is text is None where nothing reads it.
    chosen, restorer, reason
        The route's restorer; the one that can be had in its place, if it cannot; the
        rule.

    """

    name: str
    size: tuple[int, int]
    has_face: bool
    has_text: bool | None
    is_screenshot: bool
    chosen: str
    restorer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Album:
    """The pictures that can be read of a folder or a file, and why others cannot."""

    name: str
    looks: list[Look]
    left_out: dict[str, str]

    @property
    def restorers(self) -> list[str]:
        """Those that some picture goes to."""
        return sorted({seen.restorer for seen in self.looks})

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Width and height of each picture, px."""
        return [seen.size for seen in self.looks]


def look_at(
    path: Path, *, recursive: bool = False, say: Callable[[str], None] = print
) -> Album:
    """Look at each picture of a folder, or each page of a file.

    Parameters
    ----------
    path
        The folder, or the file.
    recursive, say
        As in `find_tasks`.

    Raises
    ------
    ImageError
        None of them can be read.

    """
    router, looks, left_out = Router(recursive=recursive), {}, {}
    usable = {part.spec.name for part in plan_restorer("auto").parts}
    for task in find_tasks([path], None, recursive=recursive, say=say):
        seen, why = attempt(partial(router.look, task.as_page), task.title)
        if seen is None:
            name = task.title_in_album
            left_out[name] = (why or "").replace(str(task.source), task.source.name)
        else:
            looks[task] = seen
    if not looks:
        raise ImageError(f"expected pictures, found none that can be read in {path}")
    return Album(
        name=path.absolute().name,
        looks=[_look(task, seen, router, usable) for task, seen in looks.items()],
        left_out=left_out,
    )


def _look(task: Task, seen: Seen, router: Router, usable: set[str]) -> Look:
    decision = router.decide(task.as_page)
    density = seen.values["text_density"]
    is_lossless = picture_kind(task.source) in LOSSLESS
    return Look(
        name=task.title_in_album,
        size=seen.size,
        has_face=seen.has_face,
        has_text=None if np.isnan(density) else density > TEXT,
        is_screenshot=is_lossless and seen.flatness > SCREENSHOT_FLAT,
        chosen=ROUTES[decision.route],
        restorer=used_for(decision.route, usable),
        reason=decision.scene or decision.rule,
    )


def fit_album(fit: Fit, album: Album) -> Iterator[str]:
    """What an album would take, in lines: shares, routes, hours, GiB, savings."""
    looks = album.looks
    shares = [tell("fit.faces", share=_share(seen.has_face for seen in looks))]
    if any(seen.has_text is None for seen in looks):
        shares.append(tell("fit.text.unknown"))
    else:
        share = _share(bool(seen.has_text) for seen in looks)
        shares.append(tell("fit.text", share=share))
    share = _share(seen.is_screenshot for seen in looks)
    shares.append(tell("fit.screenshots", share=share))
    told = {
        "album": album.name,
        "n": len(looks),
        "shares": listed(shares),
    }
    yield tell("fit.album", **told)
    for name, why in album.left_out.items():
        yield f"    {tell('fit.left', picture=name, reason=why)}"
    times = {}
    for restorer in album.restorers:
        option = fit.usual(restorer)
        routed = [seen for seen in looks if seen.restorer == restorer]
        times[restorer] = [fit.time(option, seen.size) for seen in routed]
        yield from _route(fit, option, routed, times[restorer])
    everything = [time for group in times.values() for time in group]
    yield tell("fit.sum", sums=tell("fit.semicolon").join(_sums(everything)))
    yield from _savings(fit, album, times)


def _share(are_so: Iterable[bool]) -> str:
    values = list(are_so)
    return f"{sum(values) / len(values):.0%}"


def _route(
    fit: Fit, option: Option, looks: Sequence[Look], times: Sequence[Estimate]
) -> Iterator[str]:
    reasons = Counter(seen.reason for seen in looks).most_common()
    why = listed(
        tell("fit.reason", reason=rule_in_language(reason), n=n)
        for reason, n in reasons
    )
    words = f"{option.condition}, {option.words}" if option.words else option.condition
    yield tell("fit.route", option=words, n=len(looks), why=why)
    missed = Counter(s.chosen for s in looks if s.chosen != option.restorer)
    for chosen, n in missed.items():
        yield f"    {tell('fit.in-place', chosen=chosen, n=n)}"
    sums = tell("fit.semicolon").join(_sums(times))
    yield f"    {tell('fit.time', sums=sums)}"
    memories = [fit.memory(option, seen.size) for seen in looks]
    for evidence in dict.fromkeys(memory.evidence for memory in memories):
        alike = [m for m in memories if m.evidence == evidence and m.value is not None]
        if alike:
            most = max(alike, key=lambda memory: memory.value or 0)
            verdicts = Counter(map(fit.verdict, alike))
            counts = listed(
                tell("fit.count", n=n, verdict=tell(f"fit.{verdict}"))
                for verdict, n in verdicts.items()
            )
            words = tell("fit.memory", most=in_words(most, in_gib), counts=counts)
            yield f"    {words}"


def _sums(times: Sequence[Estimate]) -> list[str]:
    """The time of each kind of evidence, by itself: they do not add up."""
    parts = []
    for evidence in dict.fromkeys(time.evidence for time in times):
        alike = [t for t in times if t.evidence == evidence]
        known = [t.value for t in alike if t.value is not None]
        if known:
            time = in_time(sum(known))
            if alike[0].is_least:
                time = tell("fit.least", value=time)
            told = {"time": time, "evidence": tell(f"fit.{evidence}")}
            parts.append(tell("fit.time.known", n=len(known), **told))
        if len(known) < len(alike):
            parts.append(tell("fit.time.unknown", n=len(alike) - len(known)))
    return parts


def _savings(fit: Fit, album: Album, times: dict[str, list[Estimate]]) -> Iterator[str]:
    """What would save half the time: fewer pictures, or another network."""
    spent = {name: sum(t.value or 0.0 for t in group) for name, group in times.items()}
    values = np.sort([t.value or 0.0 for group in times.values() for t in group])[::-1]
    if not values.sum():
        return
    n_half = int(np.searchsorted(values.cumsum(), values.sum() / 2)) + 1
    kinds = dict.fromkeys(t.evidence for group in times.values() for t in group)
    told = {"n": n_half, "total": len(values)}
    yield tell(
        "fit.half",
        kinds=listed(tell(f"fit.{k}") for k in kinds),
        **told,
    )
    slowest = max(spent, key=lambda name: spent[name])
    sizes = [seen.size for seen in album.looks if seen.restorer == slowest]
    operations = _operations(fit.usual(slowest), sizes)
    for name in USUAL:
        if lacks(name) or restorers()[name].redraws_faces or not operations:
            continue
        share = _operations(fit.usual(name), sizes) / operations
        if 0 < share <= 0.5:
            saving = {"name": name, "slowest": slowest, "share": f"{share:.1%}"}
            yield tell("fit.instead", evidence=tell(f"fit.{ARITHMETIC}"), **saving)


def _operations(option: Option, sizes: Sequence[tuple[int, int]]) -> float:
    works = [work_of(option.restorer, option.setting, size) for size in sizes]
    return sum(work.operations for work in works if work)
