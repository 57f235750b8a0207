"""One picture through several restorers, side by side: a page, or a widget."""

import base64
import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from evalkit.daily.permitted import permitted_plan
from evalkit.errors import (
    EvalkitError,
    ImageError,
    LicenceError,
    WeightsError,
    attempt,
)
from evalkit.figures import on_screen, shrunk
from evalkit.images import Picture, picture_kind, read_image, write_image
from evalkit.restorers import (
    argument_of,
    condition_name,
    parse_condition,
    restorers,
)
from evalkit.texts import tell
from evalkit.weights import find

if TYPE_CHECKING:
    from evalkit.daily.compare_widget import CompareWidget

SOURCE = "source"

USUAL = (
    "realesrgan-x4plus",
    "realesrgan-general-x4",
    "realesrgan-animevideo-x4",
    "gpen-512",
    "hybrid",
    "lanczos",
)
"""Shown behind the router's choice: a network of each kind, and none."""

GPEN = "gpen-512"
"""It keeps its place in the row where its weights are absent."""

MOST_PX = 12_000_000
"""A view's pixels; a larger picture is shown reduced to them."""

LOSSLESS_PX = 2_000_000
"""Up to so many a view is lossless; one of 12 million would take 15 MB and more."""

LOSSLESS = {"lossless": True, "quality": 25, "method": 1}
LOSSY = {"quality": 92, "method": 2}
"""How WebP encodes; a lossless view's quality is its effort."""


@dataclass(slots=True)
class View:
    """What a condition made of a picture, and what that took; or why it made none.

    Attributes
    ----------
    name
        The condition, or ``source``.
    reason, command
        Why there is no picture, and what to type for one.
    uri
        The picture as a ``data:`` URI without metadata; empty where there is none.
    size, shown
        Width and height of the picture and of its view, px.
    is_lossless
        Whether the view has the picture's very pixels.
    wall_time_s, load_time_s, memory_mib
        Of the one run, from file to file; the loading before it; the most memory, of
        the GPU where one worked.
    settings, notes
        As resolved, in words; what the restorer said.

    """

    name: str
    _: KW_ONLY
    reason: str = ""
    command: str = ""
    uri: str = ""
    size: tuple[int, int] = (0, 0)
    shown: tuple[int, int] = (0, 0)
    is_lossless: bool = True
    wall_time_s: float | None = None
    load_time_s: float | None = None
    memory_mib: float | None = None
    settings: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Comparison:
    """A picture's views: the source, then each condition in its order."""

    name: str
    views: list[View]

    @property
    def failed(self) -> list[View]:
        """The conditions that were tried and made no picture."""
        return [view for view in self.views if view.reason and not view.command]


def compare(
    picture: Path | str | Picture, conditions: Sequence[str] = ()
) -> "CompareWidget":
    """Restore a picture by several conditions and show them in a notebook.

    Parameters
    ----------
    picture
        A file, or a `Picture`.
    conditions
        Conditions' names; empty for the router's choice, then those of `USUAL` that
        this machine can run.

    Returns
    -------
    CompareWidget
        The page of ``evalkit compare``, as a widget.

    Raises
    ------
    ImageError
        No picture that can be read.
    UnknownNameError, SettingError
        A condition that is none.

    """
    from evalkit.daily.compare_widget import CompareWidget

    if not isinstance(picture, np.ndarray):
        return CompareWidget([compare_file(Path(picture), conditions)])
    with TemporaryDirectory() as folder:
        file = Path(folder) / "picture.png"
        write_image(file, picture)
        return CompareWidget([compare_file(file, conditions)])


def compare_pictures(
    paths: Sequence[Path],
    conditions: Sequence[str],
    page: Path,
    *,
    say: Callable[[str], None] = print,
) -> bool:
    """Write the page of several pictures; return whether all that was tried worked.

    Parameters
    ----------
    paths
        Files; one that cannot be read is said and left out.
    conditions
        As in `compare`.
    page
        Gets the page, whole or not at all.
    say
        Gets a line for each run.

    Raises
    ------
    ImageError
        None of the files can be read.
    UnknownNameError, SettingError
        A condition that is none.

    """
    from evalkit.daily.compare_page import write_page

    for condition in conditions:
        condition_name(**parse_condition(condition))
    comparisons = []
    for path in paths:
        comparison, why = attempt(
            lambda path=path: compare_file(path, conditions, say=say),  # type: ignore[misc]
            str(path),
            say,
        )
        if comparison is None:
            say(tell("compare.said.left", picture=path, reason=why))
        else:
            comparisons.append(comparison)
    if not comparisons:
        names = ", ".join(map(str, paths))
        raise ImageError(f"expected pictures, found none that can be read in {names}")
    write_page(comparisons, page)
    return len(comparisons) == len(paths) and not any(c.failed for c in comparisons)


def compare_file(
    path: Path,
    conditions: Sequence[str] = (),
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Restore a picture by each condition, each in a process of its own.

    As in `compare`. A condition that fails, or whose weights are absent or random, is
    a view without a picture; the others are there.
    """
    picture = read_image(path)
    views = [shown_as(View(SOURCE), picture)]
    for condition in conditions or _usual(path, say):
        view = _restored(path, condition)
        views.append(view)
        how = view.reason or f"{view.wall_time_s:.3g} s, {view.memory_mib:,.0f} MiB"
        if view.command:
            how = tell("compare.said.command", how=how, command=view.command)
        say(f"{path.name}: {condition}: {how}")
    return Comparison(name=path.stem, views=views)


def _usual(path: Path, say: Callable[[str], None]) -> Iterator[str]:
    """The router's choice, GPEN, and whatever else of `USUAL` can run here."""
    from evalkit.comparisons.looking import Page, Router
    from evalkit.comparisons.reasons import in_language
    from evalkit.restorers._routing import ROUTES

    router, page = Router(), Page(path)
    router.look(page)
    decision = router.decide(page)
    chosen = ROUTES[decision.route]
    reason = in_language(decision.reasons[0])
    told = {"picture": path.name, "restorer": chosen, "reason": reason}
    say(tell("compare.said.choice", **told))
    for name in dict.fromkeys((chosen, *USUAL)):
        if name in (chosen, GPEN) or not lacks(name):
            yield name


def lacks(condition: str) -> str | None:
    """The restorer's own weights, if they are not here: nothing is downloaded unasked.

    GPEN's generator lacks none: its cost is that of random ones.
    """
    asked = parse_condition(condition)
    spec = restorers().get(asked["name"])
    if spec is None or asked.get("weights") or spec.redraws_faces:
        return None
    return next((name for name in spec.weights[:1] if not find(name)), None)


def _restored(path: Path, condition: str) -> View:
    """Run a condition on a picture once, in isolation."""
    from evalkit.study.attempt import in_short, start
    from evalkit.study.measurement import Measurement
    from evalkit.study.run_folder import Run

    folder_of_outputs = Path(argument_of(condition))

    def public(line: str) -> str:
        """A line for a page that travels: names, and not where they lie."""
        for private in (path.absolute(), path, folder_of_outputs):
            line = line.replace(str(private), private.name) if private.name else line
        return line

    view = View(public(condition))
    runs: list[dict[str, Any]] = []
    row = {"source": path.stem, "path": str(path.absolute()), "sha256": None}
    with TemporaryDirectory() as folder:
        what = Measurement(Run(Path(folder)), condition, "quality")
        try:
            plan = what.plan
        except EvalkitError as error:
            view.reason = public(str(error).splitlines()[0])
            if isinstance(error, WeightsError):
                name = parse_condition(condition)["name"]
                view.command = f"evalkit weights fetch {name}"
            return view
        absent = [weights.name for weights in plan.weights if weights.kind == "random"]
        if absent:
            view.reason = "weights are absent, and random ones make noise"
            view.command = f"evalkit weights fetch {' '.join(absent)} --accept gpen"
            return view
        try:
            permitted_plan(parse_condition(condition))
        except LicenceError as error:
            view.reason, view.command = str(error), "evalkit compare --accept gpen"
            return view
        output = Path(folder) / "output.png"
        row |= {"kind": None, "error": None}
        facts = {"is_pdf": float(picture_kind(path) == "pdf")}
        ended = start(what, row, runs.append, target=str(output), facts=facts)
        if ended["outcome"] != "ok":
            view.reason = public(in_short(ended))
            return view
        shown_as(view, read_image(output, max_megapixels=999))
    run = runs[0]
    view.wall_time_s, view.load_time_s = run["wall_time_s"], run["load_time_s"]
    view.memory_mib = run["cuda_reserved_peak_mib"] or run["peak_rss_mib"]
    view.settings = ", ".join(
        f"{name} {value}"
        for name, value in plan.resolved.items()
        if isinstance(value, str | int | float) and name != "weights"
    )
    view.notes = [public(note) for note in run["notes"]]
    return view


def shown_as(view: View, picture: Picture) -> View:
    """Fill the view's picture: encoded anew, so that no metadata travels with it."""
    height, width = picture.shape[:2]
    scale = min(1.0, math.sqrt(MOST_PX / (height * width)))
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = on_screen(picture) if scale == 1 else shrunk(picture, *shown)
    view.size, view.shown = (width, height), shown
    view.is_lossless = shown[0] * shown[1] <= LOSSLESS_PX
    how = LOSSLESS if view.is_lossless else LOSSY
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", **how)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    view.uri = f"data:image/webp;base64,{encoded}"
    return view
