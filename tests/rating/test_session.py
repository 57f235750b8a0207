"""One subject's session, step by step, on SQLite and on PostgreSQL."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from evalkit.errors import StudyError, UnknownNameError
from evalkit.rating import Session, export_csv, freeze

START = {"type": "start"}


@pytest.fixture
def session(store, panel):
    return Session(store, "s01", panel(store), published={"sharp-x4": "portrait 3.4"})


@pytest.fixture
def finish(answer):
    """Answer everything that is left, by a rule; return what was answered."""

    def run(session, value=lambda n: 1 + n % 5):
        view, given = session.handle(START), []
        while view["state"] == "rate":
            given.append(value(len(given)))
            view = session.handle(answer(view, given[-1]))
        return given

    return run


def test_a_session_from_welcome_to_the_reveal(store, session, answer):
    assert session.view()["state"] == "welcome"
    assert session.view()["item"] is None
    view = session.handle(START)
    total, values = view["progress"]["total"], []
    while view["state"] == "rate":
        assert view["progress"] == {"done": len(values), "total": total}
        values.append(1 + len(values) % 5)
        view = session.handle(answer(view, values[-1]))
        assert list(store.scores()["score"]) == values
    assert (view["state"], view["reveal"]) == ("finished", None)
    assert session.handle({"type": "reveal"})["reveal"] is None
    assert session.handle({"type": "finish"})["state"] == "closed"
    scores = store.scores()
    mine = scores[~scores["is_training"] & (scores["condition"] == "sharp-x4")]
    rows = session.handle({"type": "reveal"})["reveal"]["rows"]
    (row,) = [row for row in rows if row["condition"] == "sharp-x4"]
    assert float(row["own"]) == pytest.approx(mine["score"].mean())
    assert row["panel"] is None  # of nobody else
    assert row.keys() == {
        "kind",
        "condition",
        "n_subjects",
        "own",
        "panel",
        "published",
    }
    assert row["published"] == "portrait 3.4"
    assert json.dumps(rows)
    assert {row["condition"] for row in rows} == {
        "sharp-x4",
        "soft-x2",
        "bicubic",
        "reference",
    }


@pytest.mark.parametrize("n_subjects", [3, 4])
def test_nobody_sees_the_mean_of_others_before_all_are_done_or_of_few(
    store, panel, finish, n_subjects
):
    folder = panel(store, n_subjects)
    sessions = [Session(store, f"s{n + 1:02}", folder) for n in range(n_subjects)]

    def panel_means(session) -> list:
        rows = session.handle({"type": "reveal"})["reveal"]["rows"]
        return [row["panel"] for row in rows]

    for number, session in enumerate(sessions):
        assert (
            all(mean is None for mean in panel_means(sessions[0])) if number else True
        )
        finish(session, lambda n, number=number: 1 + (n + number) % 5)
        session.handle({"type": "finish"})
    means = panel_means(sessions[0])
    if n_subjects == 3:
        assert means == [None] * len(means)
        return
    scores = store.answers().scores
    expected = scores.groupby("condition")["score"].mean().astype(float)
    assert [float(mean) for mean in means] == pytest.approx(expected.to_list())


def test_a_view_tells_no_condition_no_source_and_no_role(outputs, store, panel, answer):
    session = Session(store, "s01", panel(store, mode="both", minutes=60))
    told = []
    view = session.handle(START)
    while view["state"] == "rate":
        told.append(json.dumps(view))
        is_acr = view["item"]["kind"] == "acr"
        view = session.handle(answer(view, 3 if is_acr else "left"))
    text = "\n".join(told)
    for word in {*outputs["condition"], *outputs["source"], "gold", "trap", "repeat"}:
        assert f'"{word}"' not in text.replace('"source":', ""), word
    scores, choices = store.scores(), store.choices()
    assert len(scores) + len(choices) == len(told)
    assert set(choices["role"]) == {"system", "gold", "trap"}


def test_stimuli_are_given_by_the_names_in_the_view_only(session, outputs):
    view = session.handle(START)
    names = [*view["item"]["stimuli"], view["item"]["source"], *view["preload"]]
    assert len({len(session.stimulus(name)) for name in names[:2]}) == 1
    for name in ("", "a", "f" * 33, names[0][:-1] + "b", "../../ratings.sqlite"):
        with pytest.raises(UnknownNameError):
            session.stimulus(name)


def test_the_stimuli_to_come_are_named_before_they_are_due(session, answer):
    view = session.handle(START)
    for _ in range(5):
        named = view["preload"]
        view = session.handle(answer(view))
        assert view["item"]["stimuli"][0] in named


@pytest.mark.parametrize("question", ["quality", "fidelity", "How restful?"])
def test_the_source_is_opened_or_stands_beside(store, session, question):
    freeze(store, {"question": question, "organiser": "Ana, ana@example.org"})
    view = session.handle({"type": "start"})
    is_beside = question == "fidelity"
    assert view["may_open_source"] is not is_beside
    assert view["organiser"] == "Ana, ana@example.org"
    # what stands beside must be there when the next picture is, and else is asked for
    kinds = {address[-1] for address in view["preload"]}
    assert kinds == ({"a", "c"} if is_beside else {"a"})


def test_a_double_click_and_a_retry_are_one_score(store, session, answer):
    view = session.handle(START)
    event = answer(view, 4)
    after = session.handle(event)
    assert session.handle(event) == after
    assert session.handle(answer(view, 1)) == after  # another attempt at the same item
    assert list(store.scores()["score"]) == [4]


def test_many_clicks_at_once_from_many_places_are_one_score(
    database, panel, answer, tmp_path
):
    stores = [database() for _ in range(4)]
    folder = panel(stores[0])
    view = Session(stores[0], "s01", folder).handle(START)
    clicks = [
        (Session(stores[n % 4], "s01", folder), answer(view, 1 + n % 5))
        for n in range(40)
    ]
    with ThreadPoolExecutor(16) as pool:
        views = list(pool.map(lambda click: click[0].handle(click[1]), clicks))
    assert {v["progress"]["done"] for v in views} == {1}
    assert len(stores[0].scores()) == 1


def test_undo_goes_back_and_keeps_what_was_said(store, session, answer, tmp_path):
    view = session.handle(START)
    first = answer(view, 2, tags=["plastic"])
    assert session.handle(first)["can_undo"]
    back = session.handle({"type": "undo"})
    assert back["item"]["id"] == view["item"]["id"]
    assert back["item"]["given"] == {"value": 2, "tags": ["plastic"]}
    assert not back["can_undo"]
    assert store.scores().empty
    # the first attempt, sent again by a slow network, does not come back
    assert session.handle(first) == back
    session.handle(answer(back, 5))
    assert list(store.scores()["score"]) == [5]
    assert export_csv(store, tmp_path / "all.csv") == 2


def test_an_undo_that_is_sent_twice_undoes_once(session, answer):
    view = session.handle(START)
    second = session.handle(answer(view))
    third = session.handle(answer(second))
    undo = {"type": "undo", "item": third["item"]["id"]}
    assert session.handle(undo)["item"]["id"] == second["item"]["id"]
    assert session.handle(undo)["item"]["id"] == second["item"]["id"]


def test_the_last_answer_can_be_undone_until_the_session_is_closed(session, finish):
    finish(session)
    undo = {"type": "undo", "item": ""}
    assert session.handle(undo)["state"] == "rate"
    assert (
        session.handle(undo)["progress"]["done"] == session.view()["progress"]["done"]
    )
    finish(session)
    session.handle({"type": "finish"})
    assert session.handle(undo)["state"] == "closed"


def test_nothing_can_be_changed_after_the_end(store, session, finish, answer):
    view = session.handle(START)
    finish(session)
    session.handle({"type": "finish"})
    before = store.scores()
    for event in (answer(view, 1), {"type": "undo"}, START, {"type": "resume"}):
        after = session.handle(event)
        assert (after["state"], after["item"], after["preload"]) == ("closed", None, [])
    assert store.scores().equals(before)
    with pytest.raises(UnknownNameError):
        session.stimulus(view["item"]["stimuli"][0])


def test_it_cannot_be_finished_or_answered_before_its_time(store, session, answer):
    assert session.handle({"type": "finish"})["state"] == "welcome"
    view = session.handle(START)
    assert session.handle({"type": "finish"})["state"] == "rate"
    assert session.handle({"type": "pause"})["state"] == "paused"
    assert session.handle(answer(view))["state"] == "paused"
    assert store.scores().empty


def test_another_computer_goes_on_where_this_one_stopped(database, panel, answer):
    here = database()
    folder = panel(here)
    session = Session(here, "s01", folder)
    view = session.handle(answer(session.handle(START)))
    session.handle({"type": "pause"})
    elsewhere = Session(database(), "s01", folder)
    assert elsewhere.view()["state"] == "paused"
    assert elsewhere.handle({"type": "resume"}) == view


def test_cannot_tell_is_an_answer_without_a_score(store, session, answer):
    view = session.handle(answer(session.handle(START), None))
    assert view["progress"]["done"] == 1
    assert list(store.scores()["score"].isna()) == [True]


def test_the_server_keeps_how_long_an_item_was_in_sight(
    store, session, answer, monkeypatch
):
    clock = datetime(2026, 1, 1, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return clock

    monkeypatch.setattr("evalkit.rating.store.datetime", Clock)
    view = session.handle(START)
    for seconds in (2.0, 0.25):
        clock += timedelta(seconds=seconds)
        view = session.handle(answer(view, seconds=99.0))
    clock += timedelta(seconds=5)
    session.handle({"type": "pause"})
    clock += timedelta(hours=3)
    view = session.handle({"type": "resume"})
    clock += timedelta(seconds=4)
    session.handle(answer(view, seconds=99.0))
    assert list(store.scores()["server_seconds"]) == [2.0, 0.25, 4.0]
    clock += timedelta(seconds=60)
    back = session.handle({"type": "undo"})
    clock -= timedelta(seconds=9)  # set back
    session.handle(answer(back))
    assert list(store.scores()["server_seconds"]) == [2.0, 0.25, 0.0]


def test_the_language_is_kept(database, panel):
    store = database()
    folder = panel(store)
    Session(store, "s01", folder).handle({"type": "language", "language": "zh"})
    assert Session(database(), "s01", folder).view()["language"] == "zh"


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 6},
        {"value": "left"},
        {"tags": ["<script>"]},
        {"tags": ["made-up"]},
        {"tags": ["plastic", "plastic"]},
        {"value": True},
        {"value": 1.0},
        {"value": "3"},
        {"seconds": -1},
        {"seconds": 1e308},
        {"seconds": True},
        {"seconds": "1"},
        {"attempt": "\ud800"},
        {"attempt": "a\0"},
        {"attempt": ""},
        {"condition": "x"},
        {"type": "vote"},
    ],
)
def test_what_is_no_answer_is_refused(store, session, answer, wrong):
    view = session.handle(START)
    with pytest.raises(StudyError):
        session.handle(answer(view) | wrong)
    assert store.scores().empty
    assert session.view() == view
