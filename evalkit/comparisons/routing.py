"""Where pictures would go, why, and what that would cost on this machine."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from evalkit import faces
from evalkit.errors import ImageError, attempt
from evalkit.images import n_pages, picture_files, picture_kind, read_image
from evalkit.imagesets.folder import find_pictures
from evalkit.provenance import environment
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.restorers._routing import FEATURES, ROUTES, decide, look
from evalkit.restorers.auto import FALLBACK, fallback_note
from evalkit.study.looks import facts_of
from evalkit.study.published import published
from evalkit.study.run_folder import Run
from evalkit.tables import COST, LOOKS

SIMILAR = 2.0
"""A picture may be so many times smaller or larger than those that were measured: what
is fixed in a time, and the tiles of a large picture, make a line wrong farther off."""


def route_pictures(
    paths: Sequence[Path], run: Run | None, *, say: Callable[[str], None] = print
) -> None:
    """Say of each picture where it would go, why, and what that would cost.

    Parameters
    ----------
    paths
        Files, page by page; or folders, whose shares and sums are said, too.
    run
        Its table of costs makes the prediction; None for no prediction.
    say
        Gets every line.

    Raises
    ------
    ImageError
        There is no such file, or none that can be read. One of several that cannot
        be read is said and left out.

    """
    n_routed = 0
    usable = {part.spec.name for part in plan_restorer("auto").parts}
    costs = costs_of(run) if run else {}
    detector = faces.detector()
    for path in paths:
        if not path.exists():
            raise ImageError(f"{path}: expected a picture or a folder, found nothing")
        kinds = find_pictures(path, recursive=False).kinds if path.is_dir() else {}
        files = picture_files(path) if path.is_dir() else [path]
        seen = [page for file in files for page in _look_at(file, detector, kinds, say)]
        if path.is_dir() and seen:
            share = float(np.mean([page.values["n_faces"] > 0 for page in seen]))
            for page in seen:
                page.values["folder_faces"] = share
        routed = [_route(page, usable, costs, say) for page in seen]
        n_routed += len(routed)
        if path.is_dir():
            _say_folder(path, pd.DataFrame(routed), say)
    if not n_routed:
        names = ", ".join(map(str, paths))
        raise ImageError(f"expected pictures, found none that can be read in {names}")


def route_album(run: Run) -> pd.DataFrame:
    """Where each picture of a run would go, by what the router saw of it then.

    Returns
    -------
    DataFrame
        A row for each picture that was looked at: ``source``, ``kind``, ``n_faces``,
        the ``rule`` that decides and the restorer ``chosen``.

    """
    looks = run.read(LOOKS)
    facts = facts_of(run.usable, looks)
    looks = looks.set_index("sha256")
    rows = []
    for image in run.usable.to_dict("records"):
        if image["sha256"] in looks.index:
            values = looks.loc[image["sha256"], list(FEATURES)].astype(float).to_dict()
            decision = decide(values | facts.loc[image["source"]].to_dict())
            row = {"source": image["source"], "kind": image["kind"]}
            row |= {"rule": decision.scene or decision.rule}
            row |= {"n_faces": values["n_faces"], "chosen": ROUTES[decision.route]}
            rows.append(row)
    return pd.DataFrame(rows)


class Page(NamedTuple):
    """A picture in a file, its area, and what the router saw of it."""

    name: str
    megapixels: float
    values: dict[str, float]


def _look_at(
    path: Path,
    detector: faces.Detector,
    kinds: Mapping[Path, str],
    say: Callable[[str], None],
) -> list[Page]:
    """Every page of a file; why one cannot be looked at is said."""
    count, why = attempt(partial(n_pages, path), str(path), lambda _: None)
    if count is None:
        say(f"{path}: left out: {why}")
        return []
    pages = []
    for number in range(count):
        name = f"{path}, page {number + 1} of {count}" if count > 1 else str(path)

        def see(name: str = name, number: int = number) -> Page:
            picture = read_image(path, page=number)
            is_pdf = float(picture_kind(path) == "pdf")
            values = look(picture, detector, is_pdf=is_pdf)
            values["is_camera"] = float(kinds.get(path) == "surveillance")
            return Page(name, picture.shape[0] * picture.shape[1] / 1e6, values)

        page, why = attempt(see, name, lambda _: None)
        if page is None:
            say(f"{name}: left out: {why}")
        else:
            pages.append(page)
    return pages


def _route(
    page: Page,
    usable: set[str],
    costs: Mapping[str, Mapping[str, float]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    decision = decide(page.values)
    used = chosen = ROUTES[decision.route]
    lines = [f"{page.name}: {chosen}", *decision.reasons]
    if chosen not in usable:
        used = ROUTES[FALLBACK]
        lines.append(fallback_note(decision.route))
    cost = {"time_s": np.nan, "memory_mib": np.nan, "least": np.nan, "largest": np.nan}
    cost |= costs.get(used, {})
    near = cost["least"] / SIMILAR <= page.megapixels <= SIMILAR * cost["largest"]
    if not near:
        cost |= {"time_s": np.nan, "memory_mib": np.nan}
    cost["time_s"] *= page.megapixels
    lines.append(f"{used} here: {_in_words(cost, page.megapixels)}")
    say("\n    ".join(lines))
    return {"chosen": chosen, "has_face": page.values["n_faces"] > 0, **cost} | {
        "megapixels": page.megapixels
    }


def _in_words(cost: Mapping[str, float], megapixels: float) -> str:
    if np.isnan(cost["time_s"]) and cost["least"] > 0:
        return (
            f"no cost is predicted for {megapixels:.2g} megapixels: pictures of "
            f"{cost['least']:.2g} to {cost['largest']:.2g} were measured here"
        )
    if np.isnan(cost["time_s"]):
        return "cost unknown, no run at hand has measured it on this machine"
    low, high = (megapixels * cost[bound] for bound in ("low", "high"))
    return (
        f"about {cost['time_s']:.3g} s ({low:.3g} to {high:.3g}), up to "
        f"{cost['memory_mib']:.0f} MiB, by pictures of up to {cost['largest']:.2g} "
        f"megapixels; this one has {megapixels:.2g}"
    )


def _say_folder(folder: Path, rows: pd.DataFrame, say: Callable[[str], None]) -> None:
    if rows.empty:
        say(f"{folder}: no picture that can be read")
        return
    shares = rows["chosen"].value_counts(normalize=True)
    parts = ", ".join(f"{share:.0%} {chosen}" for chosen, share in shares.items())
    costs = rows.dropna(subset=["time_s"])
    cost = f"{len(costs)} of {len(rows)} pictures have a known cost"
    if len(costs):
        low, high = (
            (costs["megapixels"] * costs[end]).sum() for end in ("low", "high")
        )
        cost += f": about {costs['time_s'].sum():.3g} s ({low:.3g} to {high:.3g}) "
        cost += "one after the other, up to "
        cost += f"{costs['memory_mib'].max():.0f} MiB"
    say(f"{folder}: {len(rows)} pictures: {parts}")
    share = float(rows["has_face"].mean())
    for name, comparison in published().items():
        if comparison.folder_route:
            route = comparison.folder_route(share)
            chosen = ROUTES[route] if route else "by picture"
            say(f"    the {name}'s rule for folders: {chosen}")
    say(f"    {cost}")


def costs_of(run: Run) -> dict[str, dict[str, float]]:
    """Seconds a megapixel of source and the largest memory, by restorer.

    Only conditions on this machine with default settings count; a scale changes the
    output's size, not what the network does.
    """
    cost = run.read(COST)
    if cost.empty:
        return {}
    plain = cost["condition"].map(lambda c: {*parse_condition(c)} <= {"name", "scale"})
    cost = cost[plain & (cost["machine"] == environment()["machine"]["machine"])]
    megapixels = cost["source_width_px"] * cost["source_height_px"] / 1e6
    rates = cost["wall_time_s"] / megapixels
    memory = cost["cuda_reserved_peak_mib"].fillna(cost["peak_rss_mib"])
    columns = {"megapixels": megapixels, "rate": rates, "memory": memory}
    by_name = pd.DataFrame(columns).astype(float).dropna().groupby(cost["restorer"])
    costs: dict[str, dict[str, float]] = by_name.agg(
        time_s=("rate", "median"),
        low=("rate", "min"),
        high=("rate", "max"),
        memory_mib=("memory", "max"),
        least=("megapixels", "min"),
        largest=("megapixels", "max"),
    ).to_dict("index")
    return costs
