"""The analysis of a run's ratings. All subjects here are simulated."""

import runpy

import numpy as np
import pandas as pd
import pytest
from answers import fill

from evalkit import stats
from evalkit.comparisons import analyse_scores, draw_scores
from evalkit.comparisons.scores import TABLES, _with_claims
from evalkit.paths import SHIPPED
from evalkit.study import open_run
from evalkit.study.rating import ratings_store
from evalkit.tables import IMAGES, METRICS

SIMULATED = runpy.run_path(str(SHIPPED / "benchmarks" / "coverage.py"))
NAMES = {
    "c0": "bicubic",
    "c1": "gpen-512@runner=upstream",
    "c2": "realesrgan-x4plus@runner=upstream",
    "c3": "reference",
}
KINDS = ["portrait", "building", "text", "portrait", "building"]


@pytest.fixture
def run(tmp_path):
    found = open_run(str(tmp_path / "run"))
    images = [
        {"source": f"p{i:03}", "kind": kind, "is_synthetic": False}
        for i, kind in enumerate(KINDS)
    ]
    found.write(IMAGES, IMAGES.frame(images))
    return found


def simulated(n_subjects=4):
    """Scores with training, repeats, checks and null; choices with ties."""
    panel = SIMULATED["SimulatedPanel"](
        seed=1, n_subjects=n_subjects, n_sources=len(KINDS)
    )
    scores = panel.ratings.assign(kind="acr", role="system", expected=None)
    scores["left"] = scores["condition"].map(NAMES)
    scores["value"] = scores["score"].astype(int).astype(str)
    once = scores.groupby("subject").head(1)
    checks = [
        once.assign(role=role, left=role, expected="5", value="5")
        for role in ("gold", "trap")
    ]
    for frame in checks:
        frame.loc[frame["subject"] == "s001", "value"] = "2"
    parts = [
        scores,
        once.assign(is_training=True, value="1"),
        scores.groupby("subject").head(2).assign(is_repeat=True),
        scores.groupby("subject").tail(1).assign(value=None, is_repeat=True),
        *checks,
    ]
    choices = SIMULATED["simulated_choices"](
        1, n_subjects, len(KINDS), (0.0, 0.7, 1.0), tied=0.2
    )
    sides = {f"c{i}": NAMES[f"c{i}"] for i in range(3)}
    pairs = pd.DataFrame(
        {
            "subject": choices["subject"].map("s{:03}".format),
            "source": choices["source"].map("p{:03}".format),
            "left": choices["winner"].map("c{}".format).map(sides),
            "right": choices["loser"].map("c{}".format).map(sides),
            "value": np.where(choices["tied"], "same", "left"),
        }
    ).assign(kind="ab", role="system", expected=None)
    return pd.concat([*parts, pairs], ignore_index=True)


def test_without_any_score_every_table_is_there_and_empty(run):
    told = []
    found = analyse_scores(run, say=told.append)
    assert "Nobody has rated yet" in told[0]
    assert all(frame.empty for frame in found.values())
    for table in TABLES:
        assert run.read(table).empty
        assert (run.path / "tables" / f"{table.name}.md").is_file()
    assert draw_scores(run, found) == []


def test_training_checks_and_cannot_tell_are_kept_apart(run):
    fill(ratings_store(run), simulated())
    answers = run.answers()
    n = 4 * len(KINDS) * len(NAMES)
    assert answers.scores["score"].notna().sum() == n + 4 * 2
    assert answers.scores["score"].isna().sum() == 4
    missed = answers.checks.groupby("subject")["is_missed"].sum()
    assert missed.to_dict() == {"s000": 0, "s001": 2, "s002": 0, "s003": 0}


def test_tables_hold_what_the_statistics_say(run):
    fill(ratings_store(run), simulated())
    METRICS.write(
        METRICS.frame(
            [
                {"condition": name, "source": f"p{i:03}", "metric": "psnr", "value": i}
                for name in NAMES.values()
                for i in range(5)
            ]
        ),
        run.path / "tables",
    )
    told = []
    found = analyse_scores(run, say=told.append)
    assert told == []
    scores = run.answers().scores.dropna(subset=["score"])
    mos = found["scores_mos"].set_index(["method", "kind", "condition"]).sort_index()
    expected = stats.mean_opinion_scores(scores[scores["source"] == "p002"])
    assert mos.loc[("none", "text"), "mos"].to_dict() == pytest.approx(
        expected["mos"].to_dict()
    )
    assert mos.loc[("none", "building", NAMES["c2"]), "claimed"] == 4.8
    assert mos.loc[("none", "portrait", NAMES["c1"]), "claimed"] == 4.7
    assert mos.loc[("none", "all"), "claimed"].isna().all()
    assert mos.loc[("p910", "all"), "n_subjects"].eq(3).all()
    subjects = found["scores_subjects"].set_index("subject")
    assert subjects.loc["s001", "rejected_by"] == "p910"
    assert (subjects["n_pairs"] == 2).all()
    assert (subjects["same"] == 1).all()
    true_coverage = stats.simulated_coverage(4, 5, "difference")
    assert (found["scores_pairs"]["coverage"] == true_coverage).all()
    one_picture = found["scores_kinds"].query("n_sources == 1")
    assert one_picture[["ci_low", "coverage"]].isna().all(axis=None)
    panel = found["scores_panel"].set_index("quantity")
    assert panel.loc["subjects", "value"] == 4
    assert "cannot reject" in panel.loc["subjects", "note"]
    assert panel.loc["smallest detectable difference", "value"] > 0
    assert len(found["scores_pairs"]) == 6
    assert found["scores_strengths"]["condition"].tolist() == sorted(sides())
    assert found["scores_metrics"]["metric"].tolist() == ["psnr"]
    for table in TABLES:
        pd.testing.assert_frame_equal(run.read(table), found[table.name])


def test_the_articles_scores_stand_beside_the_same_network_only():
    names = [
        "realesrgan-x4plus@runner=upstream",
        "realesrgan-x4plus",
        "realesrgan-x4plus-anime",
        "realesrgan-animevideo-x4",
        "gpen-1024",
    ]
    index = pd.MultiIndex.from_tuples([("none", "text", name) for name in names])
    claimed = _with_claims(pd.DataFrame({"mos": 4.0}, index))["claimed"]
    assert claimed.notna().tolist() == [True, True, False, False, False]


def sides() -> list[str]:
    return [NAMES[f"c{i}"] for i in range(3)]


def test_too_few_answers_for_one_statistic_withhold_no_other(run):
    apart = pd.DataFrame(
        {
            "subject": ["s000", "s001"],
            "source": ["p000", "p001"],
            "left": ["bicubic", "gpen-512@runner=upstream"],
            "value": ["3", "4"],
        }
    ).assign(kind="acr", role="system", expected=None)
    fill(ratings_store(run), apart)
    told = []
    found = analyse_scores(run, say=told.append)
    assert any("P.910" in line and "2 groups" in line for line in told)
    assert len(found["scores_mos"]) > 0
    assert len(found["scores_subjects"]) == 2
    assert {"bt500", "correlation"} <= set(found["scores_screening"]["rule"])
    note = found["scores_panel"].set_index("quantity").loc["subjects", "note"]
    assert "2 of 2 subjects scored fewer than 3 conditions" in note
    assert {path.stem for path in draw_scores(run, found)} == {
        "80_scores",
        "80_mos",
        "80_agreement",
    }


@pytest.mark.slow
def test_every_figure_is_drawn(run, monkeypatch):
    monkeypatch.setenv("EVALKIT_PDF", "1")
    fill(ratings_store(run), simulated())
    files = draw_scores(run, analyse_scores(run))
    assert {path.stem for path in files} == {
        "80_scores",
        "80_mos",
        "80_agreement",
        "80_subjects",
        "80_wins",
    }
    assert all(path.with_suffix(".pdf").is_file() for path in files)
