"""Routers compared: with labels by eye, and by what their choices lose in scores."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray

from evalkit import stats
from evalkit.article.rule import DIFFERENCE, against
from evalkit.comparisons.routing import folder_route
from evalkit.comparisons.scores import read_answers
from evalkit.imagesets import prepare
from evalkit.paths import data_file
from evalkit.restorers import settings_of
from evalkit.restorers._routing import (
    ARTICLE_RULES,
    FEATURES,
    ROUTES,
    RULES,
    Rule,
    Values,
    first_rule,
)
from evalkit.restorers.auto import FALLBACK
from evalkit.study.looks import look_at
from evalkit.study.run_folder import Run
from evalkit.tables import IMAGES, LOOKS, ROUTING, ROUTING_CONFUSION, ROUTING_REGRET

ROUTERS = ("route", "route_fitted", "route_article", "route_folder")
"""Columns of `ROUTING`: a rule list, or a way to use it, each."""

ORACLE = "oracle"


def assess_routing(
    run: Run, images: str = "photographs", *, say: Callable[[str], None] = print
) -> dict[str, pd.DataFrame]:
    """How often routers are right by eye, and what they lose where people scored.

    Parameters
    ----------
    run
        Gets the tables ``routing``, ``routing_confusion`` and ``routing_regret``, and
        ``looks``: what that knows of a picture is not measured again.
    images
        The set with labels (``data/routes.yaml``). The run's own pictures, which may
        have scores, are looked at, too.
    say
        Told the share of right routes, and the limits that fit best.

    Returns
    -------
    dict
        The three tables of `evalkit.tables`, by name.

    """
    labelled = prepare(images)
    # a picture of the run may have the name of another one of the set
    shown = pd.concat([run.read(IMAGES), labelled]).drop_duplicates("source")
    frame = _looked_at(run, shown[shown["error"].isna()])
    places = first_rule(frame)
    frame["rule"] = [RULES[place].name for place in places]
    frame["route"] = _routes(frame, RULES)
    frame["route_article"] = _routes(frame, ARTICLE_RULES)
    shares = (frame["n_faces"] > 0).groupby(frame["kind"]).transform("mean")
    frame["route_folder"] = shares.map(folder_route).fillna(frame["route_article"])
    labels = yaml.safe_load(data_file("routes.yaml").read_text(encoding="utf-8"))
    wanted = frame["source"].map(labels["sources"])
    wanted = wanted.fillna(frame["kind"].map(labels["kinds"]))
    frame["wanted"] = wanted.where(frame["sha256"].isin(labelled["sha256"]))
    frame["route_fitted"] = None
    known = frame[frame["wanted"].notna()]
    if len(known) > 1:
        routes, limits = fit(known, known["wanted"].to_numpy())
        frame.loc[known.index, "route_fitted"] = routes
        say(f"limits that fit all {len(known)} pictures best: {limits}")
    confusion = _confusion(frame.dropna(subset=["wanted"]), say)
    routing = ROUTING.checked(frame[list(ROUTING.columns)])
    tables = (ROUTING, ROUTING_CONFUSION, ROUTING_REGRET)
    frames = (routing, confusion, _regret(run, frame))
    for table, rows in zip(tables, frames, strict=True):
        run.write(table, rows)
    return {table.name: rows for table, rows in zip(tables, frames, strict=True)}


def _looked_at(run: Run, images: pd.DataFrame) -> pd.DataFrame:
    """The features of pictures; what the run knows of them is not measured again."""
    looks = look_at(images, run.read(LOOKS))
    run.write(LOOKS, looks)
    seen = looks.astype(dict.fromkeys(FEATURES, float))
    return images[["source", "kind", "sha256"]].merge(seen, on="sha256")


def _routes(values: Values, rules: Sequence[Rule]) -> NDArray[Any]:
    return np.array([rule.route for rule in rules])[first_rule(values, rules)]


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
    of_rule = {test: rule.name for rule in RULES for test in rule.tests if test.tried}
    points = np.array(list(itertools.product(*(range(len(t.tried)) for t in of_rule))))
    limits = [
        {test: test.tried[k] for test, k in zip(of_rule, point, strict=True)}
        for point in points
    ]
    arrays = {name: values[name].to_numpy() for name in FEATURES}
    routes = np.array([_routes(arrays, _with(given)) for given in limits])
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
        {f"{of_rule[test]}: {test.feature}": limit for test, limit in chosen.items()},
    )


def _with(limits: Mapping[Any, float]) -> list[Rule]:
    """The rules with other limits."""
    return [
        replace(
            rule,
            tests=tuple(t._replace(limit=limits.get(t, t.limit)) for t in rule.tests),
        )
        for rule in RULES
    ]


def _confusion(known: pd.DataFrame, say: Callable[[str], None]) -> pd.DataFrame:
    rows = known.melt(["kind", "wanted"], list(ROUTERS), "router", "made")
    rows = rows.rename(columns={"made": "route"})
    rows = pd.concat([rows, rows.assign(kind="all")])
    for router, part in rows[rows["kind"] == "all"].groupby("router", sort=False):
        right = (part["route"] == part["wanted"]).sum()
        say(f"{router}: {right} of {len(part)} pictures as wanted by eye")
    sizes = rows.groupby(list(ROUTING_CONFUSION.key), sort=False).size()
    return ROUTING_CONFUSION.checked(sizes.reset_index(name="n_sources"))


def _regret(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    """What each router's choices lose, on the pictures that were scored under all.

    The oracle takes the condition with the best mean of each picture. It profits from
    the scores' noise, so a regret is, if anything, too large.
    """
    scores = read_answers(run).scores.dropna(subset=["score"]).astype({"score": float})
    conditions = sorted(
        scores["condition"].unique(),
        key=lambda c: settings_of(c).get("runner") != "upstream",
    )
    rated = {
        route: next((c for c in conditions if settings_of(c).get("name") == name), None)
        for route, name in ROUTES.items()
    }
    known = {route: condition for route, condition in rated.items() if condition}
    missing = [ROUTES[route] for route in rated if route not in known]
    if len(known) < 2 or FALLBACK not in known:
        return ROUTING_REGRET.frame([])
    scores = scores[scores["condition"].isin(known.values())]
    means = scores.pivot_table(index="source", columns="condition", values="score")
    means = means.dropna()
    routed = frame.set_index("source").reindex(means.index)
    routed = routed.dropna(subset=["route"])
    means = means.loc[routed.index]
    choices = {ORACLE: means.idxmax(axis=1)}
    for router in ROUTERS:
        if routed[router].notna().all():
            choices[router] = routed[router].map(known).fillna(known[FALLBACK])
    for condition in known.values():
        choices[f"always {condition}"] = pd.Series(condition, means.index)
    made = pd.concat(
        scores[scores["condition"] == scores["source"].map(chosen)].assign(
            condition=policy
        )
        for policy, chosen in choices.items()
    )
    kinds = made["source"].map(routed["kind"])
    parts = {"all": made} | dict(iter(made.groupby(kinds)))
    note = f"no scores of {', '.join(missing)}: {known[FALLBACK]} instead"
    rows = [_of_policies(part).assign(kind=kind) for kind, part in parts.items()]
    regret = pd.concat(rows).assign(note=note if missing else None)
    return ROUTING_REGRET.checked(regret[list(ROUTING_REGRET.columns)])


def _of_policies(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and regret of each policy, with intervals over subjects and sources."""
    regret = against(scores, ORACLE)[DIFFERENCE]
    regret.columns = ["regret", "regret_low", "regret_high"]
    policies = stats.mean_opinion_scores(scores).join(regret)
    return policies.rename_axis("policy").reset_index()
