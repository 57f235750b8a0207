"""Routers on planted features, labels and scores. All subjects here are simulated."""

import json

import numpy as np
import pandas as pd
import pytest

from evalkit.comparisons import assess_routing
from evalkit.comparisons import routers as _routers
from evalkit.comparisons.scores import Answers
from evalkit.images import write_image
from evalkit.restorers._routing import FEATURES, kind_of
from evalkit.study import Run, open_run
from evalkit.study import looks as _looks
from evalkit.tables import IMAGES, ROUTING

GPEN, X4PLUS = "gpen-512@runner=upstream", "realesrgan-x4plus@runner=upstream"


def planted(shares, n_faces=1):
    rows = dict.fromkeys(FEATURES, 0.0) | {"n_faces": n_faces, "largest_face_px": 300}
    return pd.DataFrame([rows | {"face_share": share} for share in shares])


@pytest.fixture
def run(tmp_path, astronaut, monkeypatch):
    """A run with one face and one cloth; the labelled set is the same two."""
    rows = []
    for name, kind, image in (
        ("face", "portrait", astronaut[:256, 100:356]),
        ("cloth", "product", astronaut[400:450, 300:400]),
    ):
        path = tmp_path / f"{name}.png"
        write_image(path, image)
        row = {"source": name, "kind": kind, "path": str(path), "sha256": name}
        rows.append(row | {"is_synthetic": False})
    rows.append({"source": "lost", "kind": "text", "error": "cannot be had"})
    images = IMAGES.frame(rows)
    monkeypatch.setattr(_routers, "prepare", lambda _: images)
    found = open_run(str(tmp_path / "run"))
    found.write(IMAGES, images)
    return found


def scored(means: dict[tuple[str, str], float], n_subjects=8) -> Answers:
    rng = np.random.default_rng(0)
    rows = [
        {"subject": f"s{i}", "source": source, "condition": condition}
        | {"score": mean + rng.normal(0, 0.01)}
        for (source, condition), mean in means.items()
        for i in range(n_subjects)
    ]
    return Answers(pd.DataFrame(rows), pd.DataFrame(), pd.DataFrame())


def test_routes_are_counted_against_labels_for_every_router(run):
    said: list[str] = []
    found = assess_routing(run, "photographs", say=said.append)
    routing = found["routing"].set_index("source")
    assert routing.loc["face", ["wanted", "route", "rule"]].tolist() == [
        "gpen",
        "gpen",
        "portrait",
    ]
    published = json.loads(routing.loc["cloth", "published"])
    assert published == {"article": "realesrgan", "article, by folder": "realesrgan"}
    confusion = found["routing_confusion"]
    assert confusion.loc[confusion["kind"] == "all", "n_sources"].sum() == 3 * 2
    assert "route: 2 of 2 pictures as wanted by eye" in said
    assert found["routing_regret"].empty


def test_pictures_are_looked_at_once(run, monkeypatch):
    first = assess_routing(run, say=lambda _: None)["routing"]
    monkeypatch.setattr(_looks, "look", None)
    again = assess_routing(run, say=lambda _: None)["routing"]
    pd.testing.assert_frame_equal(first, again)
    assert len(run.read(ROUTING)) == 2


def regret_of(run, monkeypatch, means):
    """The table where people gave these mean scores."""
    monkeypatch.setattr(Run, "answers", lambda _: scored(means))
    return assess_routing(run, say=lambda _: None)["routing_regret"]


def test_regret_is_the_oracles_mean_less_the_choices(run, monkeypatch):
    means = {("face", GPEN): 4.5, ("face", X4PLUS): 3.5}
    means |= {("cloth", GPEN): 2.0, ("cloth", X4PLUS): 4.0}
    regret = regret_of(run, monkeypatch, means)
    every = regret[regret["kind"] == "all"].set_index("policy")
    assert every.loc["oracle", "mos"] == pytest.approx(4.25, abs=0.02)
    assert every.loc["route", "regret"] == pytest.approx(0, abs=0.02)
    assert every.loc[f"always {GPEN}", "regret"] == pytest.approx(1.0, abs=0.02)
    assert every.loc[f"always {X4PLUS}", "regret"] == pytest.approx(0.5, abs=0.02)
    assert (every["regret_low"] <= every["regret"]).dropna().all()
    assert every["note"].str.contains("no scores of hybrid").all()
    product = regret[regret["kind"] == "product"].set_index("policy")
    assert product.loc[f"always {GPEN}", "regret"] == pytest.approx(2.0, abs=0.02)


def test_a_wrong_route_costs_what_it_costs(run, monkeypatch):
    means = {("face", GPEN): 3.0, ("face", X4PLUS): 4.0}
    means |= {("cloth", GPEN): 2.0, ("cloth", X4PLUS): 4.0}
    regret = regret_of(run, monkeypatch, means)
    every = regret[regret["kind"] == "all"].set_index("policy")
    assert every.loc["route", "regret"] == pytest.approx(0.5, abs=0.02)
    assert every.loc["route", "regret_low"] < 0.5 < every.loc["route", "regret_high"]


@pytest.fixture
def portraits(tmp_path, astronaut):
    """A folder of a portrait, told of as such, one that is not, and a cloth."""
    write_image(tmp_path / "pictures" / "told.png", astronaut[:255, 100:356])
    write_image(tmp_path / "pictures" / "face.png", astronaut[:256, 100:356])
    write_image(tmp_path / "pictures" / "cloth.png", astronaut[400:450, 300:400])
    (tmp_path / "pictures" / "broken.png").touch()
    kinds = "file,kind\ntold,surveillance\n"
    (tmp_path / "pictures" / "kinds.csv").write_text(kinds, encoding="utf-8")
    return str(tmp_path / "pictures")


def test_the_router_tells_the_kinds_that_nobody_told(portraits, tmp_path, monkeypatch):
    run = open_run(str(tmp_path / "run"))
    images = run.images(portraits).set_index("source")
    assert images["kind"].drop("broken").to_dict() == {
        "cloth": "other",
        "face": "portrait",
        "told": "surveillance",
    }
    assert images["kind_from"].drop("broken").to_dict() == {
        "cloth": "router",
        "face": "router",
        "told": "kinds.csv",
    }
    monkeypatch.setattr(_looks, "look", None)
    pd.testing.assert_frame_equal(run.images(portraits).set_index("source"), images)
    pd.testing.assert_frame_equal(run.read(IMAGES).set_index("source"), images)


@pytest.mark.parametrize(
    ("n_faces", "share", "text", "kind"),
    [
        *((0, 0, 0, "other"), (0, 0, 0.9, "text"), (1, 0.3, 0, "portrait")),
        *((1, 0.05, 0, "mixed"), (3, 0.3, 0, "group"), (60, 0.3, 0, "group")),
    ],
)
def test_the_kind_is_the_rules_or_by_the_number_of_faces(n_faces, share, text, kind):
    values = planted([share], n_faces).assign(text_density=text).iloc[0]
    assert kind_of(values) == kind
