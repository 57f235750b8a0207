"""Where pictures would go, why, and what that would cost on this machine."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evalkit.comparisons.looking import Page, Router, Seen, used_for
from evalkit.comparisons.reasons import in_language
from evalkit.errors import ImageError, attempt
from evalkit.images import n_pages, picture_files
from evalkit.provenance import environment
from evalkit.restorers import parse_condition, plan_restorer
from evalkit.restorers._routing import FEATURES, ROUTES, decide
from evalkit.restorers.auto import fallback_note
from evalkit.study.looks import facts_of
from evalkit.study.published import published
from evalkit.study.run_folder import Run
from evalkit.tables import COST, LOOKS
from evalkit.texts import tell

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
    router = Router()
    for path in paths:
        if not path.exists():
            raise ImageError(f"{path}: expected a picture or a folder, found nothing")
        folder = path if path.is_dir() else None
        files = picture_files(path) if folder else [path]
        pages: dict[Page, str] = {}
        for file in files:
            pages |= _pages(file, folder, say)
        for page, name in pages.items():
            seen, why = attempt(partial(router.look, page), name, lambda _: None)
            if seen is None:
                say(tell("route.left", picture=name, reason=why))
        routed = [
            _route(name, seen, usable, costs, say)
            for page, name in pages.items()
            if (seen := router.seen(page))
        ]
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


def _pages(
    file: Path, folder: Path | None, say: Callable[[str], None]
) -> dict[Page, str]:
    """Every page of a file and what it is called; why there is none is said."""
    count, why = attempt(partial(n_pages, file), str(file), lambda _: None)
    if count is None:
        say(tell("route.left", picture=file, reason=why))
    return {
        Page(file, n, folder): tell("route.page", picture=file, n=n + 1, total=count)
        if count and count > 1
        else str(file)
        for n in range(count or 0)
    }


def _route(
    name: str,
    seen: Seen,
    usable: set[str],
    costs: Mapping[str, Mapping[str, float]],
    say: Callable[[str], None],
) -> dict[str, Any]:
    decision = decide(seen.values)
    megapixels = seen.size[0] * seen.size[1] / 1e6
    chosen, used = ROUTES[decision.route], used_for(decision.route, usable)
    reasons = [*decision.reasons]
    if used != chosen:
        reasons.append(fallback_note(decision.route))
    lines = [f"{name}: {chosen}", *map(in_language, reasons)]
    cost = {"time_s": np.nan, "memory_mib": np.nan, "least": np.nan, "largest": np.nan}
    cost |= costs.get(used, {})
    near = cost["least"] / SIMILAR <= megapixels <= SIMILAR * cost["largest"]
    if not near:
        cost |= {"time_s": np.nan, "memory_mib": np.nan}
    cost["time_s"] *= megapixels
    words = _in_words(cost, megapixels)
    lines.append(tell("route.here", restorer=used, cost=words))
    say("\n    ".join(lines))
    return {"chosen": chosen, "has_face": seen.has_face, **cost} | {
        "megapixels": megapixels
    }


def _in_words(cost: Mapping[str, float], megapixels: float) -> str:
    told = {"size": f"{megapixels:.2g}", "largest": f"{cost['largest']:.2g}"}
    if np.isnan(cost["time_s"]) and cost["least"] > 0:
        return tell("route.unmeasured", least=f"{cost['least']:.2g}", **told)
    if np.isnan(cost["time_s"]):
        return tell("route.no-cost")
    told |= {end: f"{megapixels * cost[end]:.3g}" for end in ("low", "high")}
    memory = f"{cost['memory_mib']:.0f}"
    return tell("route.cost", time=f"{cost['time_s']:.3g}", memory=memory, **told)


def _say_folder(folder: Path, rows: pd.DataFrame, say: Callable[[str], None]) -> None:
    if rows.empty:
        say(tell("route.nothing", folder=folder))
        return
    shares = rows["chosen"].value_counts(normalize=True)
    parts = ", ".join(f"{share:.0%} {chosen}" for chosen, share in shares.items())
    costs = rows.dropna(subset=["time_s"])
    cost = tell("route.known", n=len(costs), total=len(rows))
    if len(costs):
        sums = {
            end: f"{(costs['megapixels'] * costs[end]).sum():.3g}"
            for end in ("low", "high")
        }
        time, memory = costs["time_s"].sum(), costs["memory_mib"].max()
        cost += tell("route.sum", time=f"{time:.3g}", memory=f"{memory:.0f}", **sums)
    say(tell("route.shares", folder=folder, n=len(rows), parts=parts))
    share = float(rows["has_face"].mean())
    for name, comparison in published().items():
        if comparison.folder_route:
            route = comparison.folder_route(share)
            chosen = ROUTES[route] if route else tell("route.by-picture")
            say(f"    {tell('route.published', name=name, chosen=chosen)}")
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
