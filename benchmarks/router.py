"""How well the router's limits fit: those that do best on the labelled photographs.

`python benchmarks/router.py` looks at every picture of the set ``photographs``, and
prints how many go where an eye wants them (``data/routes.yaml``): by the rules as they
stand, by limits fitted to all pictures but the one in question, and by limits fitted to
all classes of pictures but its own; then the limits that fit all pictures best, and how
many pictures of each class are taken for an ID photo, a camera's frame or a product on
white. Nobody has scored outputs: none of this says that a route is right.
"""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalkit.comparisons import assess_routing
from evalkit.restorers._routing import FEATURES, RULES, Rule, routes_by
from evalkit.study import open_run

TRIED = {
    ("text", "text_density"): (0.08, 0.12, 0.2, 0.3, 0.4),
    ("crowd", "n_faces"): (10, 20, 40, 80),
    ("tiny faces", "largest_face_px"): (20, 24, 28, 32, 40),
    ("built scene", "straight_edges"): (0.3, 0.35, 0.4, 0.45, 0.5),
    ("built scene", "face_share"): (0.005, 0.01, 0.02, 0.05),
    ("portrait", "face_share"): (0.05, 0.08, 0.1, 0.12, 0.15),
}
"""Limits to choose from, by rule and feature."""

Limits = Mapping[tuple[str, str], float]


def fit(
    values: pd.DataFrame, wanted: NDArray[Any], classes: NDArray[Any] | None = None
) -> tuple[NDArray[Any], dict[str, float]]:
    """Find the limits that send most pictures where they are wanted.

    Parameters
    ----------
    values
        Columns `FEATURES`, a row a picture.
    wanted
        Their routes by eye.
    classes
        Their classes. Those of a picture's own have no say in its limits; None for the
        picture alone.

    Returns
    -------
    tuple
        The route of each picture under the limits fitted to the others; the limits
        fitted to all, by rule and feature. Of limits that do equally well, those
        nearest to their middle are taken. The rules themselves were written with
        these pictures in sight: other pictures will be routed worse than these say.

    """
    points = np.array([*itertools.product(*(range(len(t)) for t in TRIED.values()))])
    limits = [
        dict(zip(TRIED, chosen, strict=True))
        for chosen in itertools.product(*TRIED.values())
    ]
    arrays = {name: values[name].to_numpy(float) for name in FEATURES}
    routes = np.array([routes_by(_with(chosen), arrays) for chosen in limits])
    is_right = routes == wanted
    n_right = is_right.sum(axis=1)

    def best(n_right: NDArray[Any]) -> int:
        tied = np.flatnonzero(n_right == n_right.max())
        away = points[tied] - points[tied].mean(axis=0)
        return int(tied[np.argmin(np.square(away).sum(axis=1))])

    groups = np.arange(len(wanted)) if classes is None else classes
    by_group = {
        group: best(n_right - is_right[:, groups == group].sum(axis=1))
        for group in np.unique(groups)
    }
    left_out = [by_group[group] for group in groups]
    chosen = limits[best(n_right)]
    return (
        routes[left_out, np.arange(len(wanted))],
        {": ".join(names): limit for names, limit in chosen.items()},
    )


def _with(limits: Limits) -> list[Rule]:
    """The rules with other limits."""
    return [
        replace(
            rule,
            tests=tuple(
                t._replace(limit=limits.get((rule.name, t.feature), t.limit))
                for t in rule.tests
            ),
        )
        for rule in RULES
    ]


def main() -> None:
    with TemporaryDirectory() as folder:
        routing = assess_routing(open_run(folder))["routing"]
    labelled = routing.dropna(subset=["wanted"])
    wanted = labelled["wanted"].to_numpy()
    kinds = labelled["kind"].to_numpy(str)
    fitted, limits = fit(labelled, wanted)
    by_class, _ = fit(labelled, wanted, kinds)
    routers = {"ours": labelled["route"].to_numpy(str), "fitted": fitted}
    routers["fitted to other classes"] = by_class
    print("limits,class,as wanted,pictures")
    for name, routes in routers.items():
        for kind in ["all", *np.unique(kinds)]:
            here = (kinds == kind) | (kind == "all")
            print(f"{name},{kind},{(routes == wanted)[here].sum()},{here.sum()}")
    print(limits)
    print(labelled.groupby(["kind", "scene"]).size().to_string())


if __name__ == "__main__":
    main()
