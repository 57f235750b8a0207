"""Verdicts on planted answers of simulated subjects."""

import json

import answers
import numpy as np
import pandas as pd
import pytest

from evalkit.article import load_claims

GPEN, X4PLUS = "gpen-512@runner=upstream", "realesrgan-x4plus@runner=upstream"
SOURCES = {
    "portrait-backlit": "portrait",
    "portrait-jpeg": "portrait",
    "portrait-highlights": "portrait",
    "building-glass-facade": "building",
    "building-pagoda": "building",
    "text-page": "text",
    **{f"group-{n}": "group" for n in range(4)},
}
NOTES = {"portrait": "backlit by us", "building": "a glass facade"}


def pictures(**more):
    """What the table of images has of `SOURCES`, notes included."""
    return [
        {"source": name, "kind": kind, "note": NOTES.get(kind), "original": name} | more
        for name, kind in SOURCES.items()
    ]


RATING = [claim.id for claim in load_claims() if claim.kind == "rating"]


@pytest.fixture
def rated(run):
    """``rated(scores=..., choices=...)``: as a ratings store shows them."""
    run.images(*pictures())

    def write(**views: pd.DataFrame):
        for name, frame in views.items():
            run.ratings(getattr(answers, name)(frame.reset_index(drop=True)))
        return run

    return write


def scores(source, condition, marks, tags=(), **columns) -> pd.DataFrame:
    """One subject a mark."""
    rows = {
        "subject": [f"s{i:02}" for i in range(len(marks))],
        "source": source,
        "condition": condition,
        "score": marks,
        "tags": json.dumps(tags),
    }
    return pd.DataFrame(rows | columns)


PORTRAITS = [name for name, kind in SOURCES.items() if kind == "portrait"]
NO_FACES = [name for name, kind in SOURCES.items() if kind in ("building", "text")]


def on(sources, condition, marks, **columns) -> pd.DataFrame:
    """The same marks on each of these pictures."""
    return pd.concat([scores(name, condition, marks, **columns) for name in sources])


def choices(one, other, n_won, n) -> pd.DataFrame:
    won = np.random.default_rng(0).permutation(n) < n_won
    rows = {
        "subject": [f"s{i % 10:02}" for i in range(n)],
        "source": [f"group-{i // 10 % 4}" for i in range(n)],
        "winner": np.where(won, one, other),
        "loser": np.where(won, other, one),
        "tied": 0,
    }
    return pd.DataFrame(rows)


@pytest.mark.parametrize("claim", RATING)
def test_without_scores_nothing_is_tested_whatever_metrics_say(run, gpu, claim):
    run.environment(gpu)
    run.metric(99.0)
    verdict, found, evidence = run.judge(claim)
    assert verdict == ("not testable here" if claim == "Q15" else "not yet tested")
    assert pd.isna(found)
    assert claim == "Q15" or "Nobody has" in evidence


@pytest.mark.parametrize(
    ("marks", "verdict"),
    [
        ([5, 5, 4, 5, 5, 4, 5, 5, 5, 4] * 2, "reproduced"),  # mean 4.7
        ([3, 2, 3, 4, 3, 2, 3, 3] * 2, "contradicted"),
        ([5, 2, 5, 4], "inconclusive"),
        ([5], "inconclusive"),
    ],
)
def test_a_mean_is_held_against_the_articles(rated, marks, verdict):
    run = rated(scores=on(PORTRAITS, GPEN, marks))
    found = run.judge("Q1")
    assert found[0] == verdict
    assert found[1].startswith(f"{np.mean(marks):.2f} ")
    assert "portrait-backlit" in found[2]
    assert run.judge("Q2")[0] == "not yet tested"


@pytest.mark.parametrize(
    ("sources", "marks"), [(PORTRAITS[:2], [5, 5, 5, 5, 5]), (PORTRAITS, [5, 5])]
)
def test_a_small_panel_decides_nothing_and_is_told_so(rated, sources, marks):
    verdict, _, evidence = rated(scores=on(sources, GPEN, marks)).judge("Q1")
    assert verdict == "inconclusive"
    assert "A verdict takes 3 subjects and 3 pictures at least." in evidence


def test_only_the_claims_own_pictures_count_and_no_training_or_checks(rated):
    marks = [3, 4, 3]
    counted = on(PORTRAITS, X4PLUS, marks)
    others = [
        on(NO_FACES, X4PLUS, [1, 1, 1]),
        scores("portrait-backlit", X4PLUS, [1, 1, 1], is_training=1),
        scores("portrait-backlit", X4PLUS, [1, 1, 1], role="gold"),
    ]
    frames = pd.concat([*others, counted])
    run = rated(scores=frames.fillna({"role": "system", "is_training": 0}))
    assert run.judge("Q2")[1].startswith("3.33 ")
    run.images(*pictures(note="an ordinary picture"))
    verdict, _, evidence = run.judge("Q2")
    assert verdict == "not yet tested"
    assert "0 such pictures" in evidence
    assert "cannot be decided with it" in evidence


def test_pictures_of_one_face_count_once(rated):
    marks = [5, 5, 4, 5, 5, 4, 5, 5, 5, 4] * 2
    run = rated(scores=on(PORTRAITS, GPEN, marks))
    assert run.judge("Q1")[0] == "reproduced"
    run.images(*pictures(original="one face"))
    verdict, _, evidence = run.judge("Q1")
    assert verdict == "inconclusive"
    assert "20 subjects on 1 pictures" in evidence


def test_gpen_without_a_face_is_held_against_the_anchor(rated):
    marks = np.array([4, 3, 4, 4, 3, 4])
    worse = [
        on(NO_FACES, "bicubic", marks),
        on(NO_FACES, GPEN, marks - [2, 1, 2, 3, 2, 2]),
    ]
    assert rated(scores=pd.concat(worse)).judge("Q12")[0] == "reproduced"


def test_an_unchanged_picture_contradicts_that_gpen_degrades_it(rated):
    marks = [4, 3, 4, 4, 3, 4]
    alike = [on(NO_FACES, name, marks) for name in ("bicubic", GPEN)]
    assert rated(scores=pd.concat(alike)).judge("Q12")[0] == "contradicted"


@pytest.mark.parametrize(
    ("n_giving", "verdict"),
    [(18, "reproduced"), (2, "contradicted"), (10, "inconclusive")],
)
def test_reasons_are_counted_by_subject(rated, n_giving, verdict):
    given = on(PORTRAITS, X4PLUS, [3] * 20)
    gives = given["subject"].isin([f"s{i:02}" for i in range(n_giving)])
    given["tags"] = given["tags"].mask(gives, '["not-a-real-person", "plastic"]')
    found = rated(scores=given).judge("Q20")
    assert found[:2] == (verdict, f"{n_giving} of 20 subjects")


@pytest.mark.parametrize("n_pictures", [3, 10, 30])
def test_many_pictures_give_nobody_a_reason(rated, n_pictures):
    """Each picture is called so by one of 20: of 30 pictures most say it of some."""
    n_subjects = 60
    called = np.random.default_rng(0).random((n_pictures, n_subjects)) < 0.05
    tags = np.where(called, '["not-a-real-person"]', "[]")
    marks = [3] * n_subjects
    frames = [
        scores(f"p{i}", X4PLUS, marks).assign(tags=given)
        for i, given in enumerate(tags)
    ]
    run = rated(scores=pd.concat(frames))
    known = {"kind": "portrait", "note": NOTES["portrait"]}
    names = (f"p{i}" for i in range(n_pictures))
    run.images(*({"source": name, "original": name} | known for name in names))
    assert run.judge("Q20")[0] == "contradicted"


def test_a_reason_for_few_pictures_says_nothing_of_others(rated):
    """Two of three look fake to everybody: of other pictures perhaps a third."""
    given = on(PORTRAITS, X4PLUS, [3] * 12)
    fake = given["source"].isin(PORTRAITS[:2])
    given["tags"] = given["tags"].mask(fake, '["not-a-real-person"]')
    assert rated(scores=given).judge("Q20")[0] == "inconclusive"


@pytest.mark.filterwarnings("error")
def test_who_saw_one_picture_only_is_counted_where_it_is_drawn(rated):
    """Everybody calls every picture fake: whatever is drawn, all who saw it do."""
    given = on(PORTRAITS, X4PLUS, [3] * 12).assign(tags='["not-a-real-person"]')
    alone = given["subject"].isin(["s00", "s01"]) & (given["source"] != PORTRAITS[0])
    assert rated(scores=given[~alone]).judge("Q20")[0] == "reproduced"


def test_versions_of_one_picture_are_one_picture(rated):
    names = ["portrait-backlit", *(f"copy-{n}" for n in range(9))]
    given = on([*names, *PORTRAITS[1:]], X4PLUS, [3] * 12)
    given["tags"] = given["tags"].mask(
        given["source"].isin(names), '["not-a-real-person"]'
    )
    copies = [
        {"source": name, "kind": "portrait", "note": NOTES["portrait"]}
        for name in names
    ]
    run = rated(scores=given)
    rows = [row for row in pictures() if row["source"] != names[0]]
    run.images(*rows, *(copy | {"original": "one"} for copy in copies))
    assert run.judge("Q20")[1] == "0 of 12 subjects"


def test_no_mean_lies_beyond_the_scale(rated):
    found = rated(scores=on(PORTRAITS, GPEN, [5, 5, 4])).judge("Q1")[1]
    assert found.endswith(", 5.00]")


def test_what_has_no_interval_is_said_without_one(rated):
    run = rated(scores=scores("portrait-backlit", GPEN, [3]))
    assert run.judge("Q1")[1] == "3.00 of 5 (of too few for an interval)"


def test_a_choice_alone_is_told_without_nan(rated):
    conditions = (
        f"realesrgan-x4plus@precision={p},runner=upstream" for p in ("fp32", "fp16")
    )
    verdict, _, evidence = rated(choices=choices(*conditions, 1, 1)).judge("Q14")
    assert verdict == "inconclusive"
    assert "(of too few for an interval)" in evidence


def test_another_programs_switch_stays_open_and_eyes_cannot_be_tested(rated):
    switched_on = "gpen-512@skin_protection=true"
    run = rated(scores=scores("portrait-jpeg", GPEN, [3, 4], ["wax-figure"]))
    assert run.judge("Q11")[0] == "not yet tested"  # the switch was off
    more = scores("portrait-jpeg", switched_on, [3, 4], ["wax-figure"])
    (run.path / "ratings.sqlite").unlink()
    run.ratings(answers.scores(more))
    assert run.judge("Q11")[:2] == (
        "inconclusive",
        "2 of 2 subjects call a face of ours fake",
    )
    assert run.judge("Q15")[0] == "not testable here"


@pytest.mark.parametrize(
    ("n_won", "verdict"),
    [(160, "contradicted"), (100, "reproduced"), (112, "inconclusive")],
)
def test_precision_is_judged_on_blind_choices(rated, n_won, verdict):
    single, half = (
        f"realesrgan-x4plus@precision={p},runner=upstream" for p in ("fp32", "fp16")
    )
    run = rated(choices=choices(single, half, n_won, 200))
    assert run.judge("Q14")[0] == verdict


@pytest.mark.parametrize(
    ("n_won", "verdict"),
    [(90, "reproduced"), (10, "contradicted"), (52, "inconclusive")],
)
def test_the_hybrid_must_win_against_each_alone(rated, n_won, verdict):
    both = [choices("hybrid", GPEN, 90, 100), choices("hybrid", X4PLUS, n_won, 100)]
    assert rated(choices=pd.concat(both)).judge("G24")[0] == verdict


def test_the_hybrid_against_one_only_is_not_tested(rated):
    run = rated(choices=choices("hybrid", GPEN, 90, 100))
    assert run.judge("G24")[0] == "not yet tested"
