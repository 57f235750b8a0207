"""How well the router's limits fit: those that do best on the labelled photographs.

`python benchmarks/router.py` looks at every picture of the set ``photographs``, and
prints how many go where an eye wants them (``data/routes.yaml``): by the rules as they
stand, and by limits fitted to all pictures but the one in question; then the limits
that fit all pictures best.
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
    ("text", "text_density"): (0.1, 0.2, 0.3, 0.4, 0.5),
    ("crowd", "n_faces"): (10, 20, 40, 80),
    ("tiny faces", "largest_face_px"): (24, 32, 40, 48, 64),
    ("built scene", "straight_edges"): (0.3, 0.35, 0.4, 0.45, 0.5),
    ("built scene", "face_share"): (0.005, 0.01, 0.02, 0.05),
    ("portrait", "face_share"): (0.05, 0.08, 0.1, 0.12, 0.15),
}
"""Limits to choose from, by rule and feature."""

Limits = Mapping[tuple[str, str], float]


def fit(
    values: pd.DataFrame, wanted: NDArray[Any]
) -> tuple[NDArray[Any], dict[str, float]]:
    """Find the limits that send most pictures where they are wanted.

    Parameters
    ----------
    values
        Columns `FEATURES`, a row a picture.
    wanted
        Their routes by eye.

    Returns
    -------
    tuple
        The route of each picture under the limits fitted to all others; the limits
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

    left_out = [best(n_right - right) for right in is_right.T]
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
        routing = assess_routing(open_run(folder), say=lambda _: None)["routing"]
    labelled = routing.dropna(subset=["wanted"])
    wanted = labelled["wanted"].to_numpy()
    fitted, limits = fit(labelled, wanted)
    print("limits,as wanted,pictures")
    for name, routes in (("ours", labelled["route"]), ("fitted", fitted)):
        print(f"{name},{(routes == wanted).sum()},{len(wanted)}")
    print(limits)


if __name__ == "__main__":
    main()
