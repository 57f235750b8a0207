"""Routers compared: with labels by eye, and by what their choices lose in scores."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import yaml

from evalkit import stats
from evalkit.imagesets import prepare
from evalkit.paths import data_file
from evalkit.restorers import settings_of
from evalkit.restorers._routing import FEATURES, ROUTES, decide, is_decided, routes_by
from evalkit.restorers.auto import FALLBACK
from evalkit.study.looks import look_at
from evalkit.study.published import published
from evalkit.study.run_folder import Run
from evalkit.tables import IMAGES, LOOKS, ROUTING, ROUTING_CONFUSION, ROUTING_REGRET

ORACLE = "oracle"


def assess_routing(
    run: Run, images: str = "photographs", *, say: Callable[[str], None] = print
) -> dict[str, pd.DataFrame]:
    """How often routers are right by eye, and what they lose where people scored.

    Parameters
    ----------
    run
        Gets the tables ``routing``, ``routing_confusion`` and ``routing_regret``, and
        ``looks``; a picture that this one has is not measured again.
    images
        The set with labels (``data/routes.yaml``). The run's own pictures, which may
        have scores, are measured, too.
    say
        Gets the share of right routes.

    Returns
    -------
    dict
        The three tables of `evalkit.tables`, by name.

    """
    labelled = prepare(images)
    # a picture of the run may have the name of another one of the set
    pictures = pd.concat([run.read(IMAGES), labelled]).drop_duplicates("source")
    frame = _looked_at(run, pictures[pictures["error"].isna()])
    # by what is seen alone: what a set says of its pictures would be told the answer
    decisions = [decide(values) for values in frame[[*FEATURES]].to_dict("records")]
    frame["rule"] = [decision.rule for decision in decisions]
    frame["scene"] = [decision.scene for decision in decisions]
    frame["route"] = [decision.route for decision in decisions]
    published_routes = _published_routes(frame)
    as_json = published_routes.apply(lambda row: json.dumps(row.to_dict()), axis=1)
    frame["published"] = as_json
    routers = ["route", *published_routes]
    labels = yaml.safe_load(data_file("routes.yaml").read_text(encoding="utf-8"))
    wanted = frame["source"].map(labels["sources"])
    wanted = wanted.fillna(frame["kind"].map(labels["kinds"]))
    frame["wanted"] = wanted.where(frame["sha256"].isin(labelled["sha256"]))
    routing = ROUTING.checked(frame[list(ROUTING.columns)])
    _say_literally(frame.dropna(subset=["wanted"]), say)
    frame = frame.join(published_routes)
    confusion = _confusion(frame.dropna(subset=["wanted"]), routers, say)
    tables = (ROUTING, ROUTING_CONFUSION, ROUTING_REGRET)
    frames = (routing, confusion, _regret(run, frame, routers))
    for table, rows in zip(tables, frames, strict=True):
        run.write(table, rows)
    return {table.name: rows for table, rows in zip(tables, frames, strict=True)}


def _looked_at(run: Run, images: pd.DataFrame) -> pd.DataFrame:
    """The features of pictures; those that the run has are not measured again."""
    looks = look_at(images, run.read(LOOKS))
    run.write(LOOKS, looks)
    features = looks.astype(dict.fromkeys(FEATURES, float))
    return images[["source", "kind", "path", "sha256"]].merge(features, on="sha256")


def _published_routes(frame: pd.DataFrame) -> pd.DataFrame:
    """The routes of published rules, a column for each comparison.

    A second column has its routes as if all pictures of a kind were a folder.
    """
    routes = pd.DataFrame(index=frame.index)
    shares = (frame["n_faces"] > 0).groupby(frame["kind"]).transform("mean")
    for name, comparison in published().items():
        if comparison.rules:
            routes[name] = routes_by(comparison.rules, frame)
        if comparison.rules and comparison.folder_route:
            for_folder = shares.map(comparison.folder_route)
            routes[f"{name}, by folder"] = for_folder.fillna(routes[name])
    return routes


def _say_literally(labelled: pd.DataFrame, say: Callable[[str], None]) -> None:
    """What published rules do where they are read word by word."""
    is_jpg = labelled["path"].map(lambda path: Path(path).suffix.lower() == ".jpg")
    values = labelled.assign(is_jpg=is_jpg)
    for name, comparison in published().items():
        if rules := comparison.literal_rules:
            decided = is_decided(rules, values)
            right = (routes_by(rules, values) == values["wanted"]) & decided
            say(
                f"{name}, read literally: {decided.sum()} of {len(values)} pictures "
                f"have a route, {right.sum()} of them as wanted by eye"
            )


def _confusion(
    labelled: pd.DataFrame, routers: list[str], say: Callable[[str], None]
) -> pd.DataFrame:
    rows = labelled.melt(["kind", "wanted"], routers, "router", "made")
    rows = rows.rename(columns={"made": "route"})
    rows = pd.concat([rows, rows.assign(kind="all")])
    for router, part in rows[rows["kind"] == "all"].groupby("router", sort=False):
        right = (part["route"] == part["wanted"]).sum()
        say(f"{router}: {right} of {len(part)} pictures as wanted by eye")
    sizes = rows.groupby(list(ROUTING_CONFUSION.key), sort=False).size()
    return ROUTING_CONFUSION.checked(sizes.reset_index(name="n_sources"))


def _regret(run: Run, frame: pd.DataFrame, routers: list[str]) -> pd.DataFrame:
    """What each router's choices lose, on the pictures that were scored under all.

    The oracle takes the condition with the best mean of each picture. The scores' noise
    raises that mean, so a regret is, if anything, too large.
    """
    scores = run.answers().scores.dropna(subset=["score"]).astype({"score": float})
    conditions = sorted(
        scores["condition"].unique(),
        key=lambda c: settings_of(c).get("runner") != "upstream",
    )
    rated = {
        route: next((c for c in conditions if settings_of(c).get("name") == name), None)
        for route, name in ROUTES.items()
    }
    available = {route: condition for route, condition in rated.items() if condition}
    missing = [ROUTES[route] for route in rated if route not in available]
    if len(available) < 2 or FALLBACK not in available:
        return ROUTING_REGRET.frame([])
    scores = scores[scores["condition"].isin(available.values())]
    means = scores.pivot_table(index="source", columns="condition", values="score")
    means = means.dropna()
    routed = frame.set_index("source").reindex(means.index)
    routed = routed.dropna(subset=["route"])
    means = means.loc[routed.index]
    choices = {ORACLE: means.idxmax(axis=1)}
    for router in routers:
        choices[router] = routed[router].map(available).fillna(available[FALLBACK])
    for condition in available.values():
        choices[f"always {condition}"] = pd.Series(condition, means.index)
    obtained = pd.concat(
        scores[scores["condition"] == scores["source"].map(chosen)].assign(
            condition=policy
        )
        for policy, chosen in choices.items()
    )
    kinds = obtained["source"].map(routed["kind"])
    parts = {"all": obtained} | dict(iter(obtained.groupby(kinds)))
    note = f"no scores of {', '.join(missing)}: {available[FALLBACK]} instead"
    rows = [_of_policies(part).assign(kind=kind) for kind, part in parts.items()]
    regret = pd.concat(rows).assign(note=note if missing else None)
    return ROUTING_REGRET.checked(regret[list(ROUTING_REGRET.columns)])


def _of_policies(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean and regret of each policy, with intervals over subjects and sources."""
    gains = stats.compare_with(scores, ORACLE)
    regret = gains[["difference", "ci_low", "ci_high"]]
    regret.columns = ["regret", "regret_low", "regret_high"]
    policies = stats.mean_opinion_scores(scores).join(regret)
    return policies.rename_axis("policy").reset_index()
