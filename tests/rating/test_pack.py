"""Sessions as files: what a file holds, and what is taken back into the store."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from evalkit.errors import StudyError
from evalkit.rating import (
    Session,
    Store,
    import_session,
    name_stimuli,
    pack,
    pack_session,
    plan_session,
)

SEED = 7


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "ratings.sqlite")


@pytest.fixture
def session(store, panel):
    return Session(store, "s01", panel(store, 2, mode="both", minutes=8))


@pytest.fixture
def packed(store, session, tmp_path):
    """``packed()``: what each file that was written holds for its script."""

    def write() -> list[dict]:
        paths = pack_session(store, "s01", session, tmp_path / "packs")
        return [content(path) for path in paths]

    return write


def content(path) -> dict:
    html = path.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="pack">(.*?)</s', html)
    return json.loads(data)


BEGAN = datetime(2026, 11, 27, 9, tzinfo=UTC)


def answers_to(items, value=3):
    """The events of a simulated subject who answers these items, from a start on."""
    yield {"type": "start", "item": ""}
    for item in items:
        yield {
            "type": "answer",
            "item": item["id"],
            "attempt": f"a-{item['id']}",
            "value": value if item["kind"] == "acr" else "left",
            "tags": [],
            "seconds": 2,
        }


@pytest.fixture
def saved(tmp_path):
    """``saved(pack, events, **changes)``: the file that a pack's page saves."""

    def write(pack, events, **changes):
        times = (BEGAN + timedelta(seconds=n) for n in range(10_000))
        lines = [
            json.dumps({"at": at.isoformat(), "event": event})
            for at, event in zip(times, events, strict=False)
        ]
        text = "\n".join([pack["seal"], *lines])
        record = {key: pack[key] for key in ("subject", "part", "parts", "seal")}
        record |= {"evalkit": pack["format"], "events": lines}
        record["items"] = [item["id"] for item in pack["items"]]
        record["digest"] = hashlib.sha256(text.encode()).hexdigest()
        path = tmp_path / "s01.json"
        path.write_text(json.dumps(record | changes), encoding="utf-8")
        return path

    return write


def test_what_was_answered_elsewhere_is_here_as_if_it_had_been_served(
    store, session, packed, saved
):
    (pack,) = packed()
    events = [*answers_to(pack["items"]), {"type": "finish", "item": ""}]
    assert import_session(store, saved(pack, events)) == len(pack["items"])
    progress = store.progress().loc["s01"]
    assert progress["state"] == "closed"
    assert progress["answered"] == progress["items"] == len(pack["items"])
    scores = store.scores()
    assert (scores["score"] == 3).all()
    assert scores["answered_at"].min() == "2026-11-27T09:00:01.000+00:00"
    assert (store.choices()["choice"] == "left").all()


def test_the_same_file_again_adds_nothing_and_a_later_one_what_came_since(
    store, packed, saved
):
    (pack,) = packed()
    events = list(answers_to(pack["items"]))
    # the third answer is taken back and given anew
    again = [{"type": "undo", "item": events[4]["item"]}]
    again += [{**events[3], "attempt": "second", "value": 5}]
    first, later = events[:4] + again, events[:4] + again + events[4:8]
    assert import_session(store, saved(pack, first)) == 4
    assert import_session(store, saved(pack, first)) == 0
    assert import_session(store, saved(pack, later)) == 4
    with pytest.raises(StudyError, match="or more of them, are here already"):
        import_session(store, saved(pack, first))
    assert list(store.scores()["score"]) == [3, 3, 5, 3, 3, 3, 3]


def test_the_order_and_the_run_are_sealed(store, packed, saved, tmp_path):
    (pack,) = packed()
    ids = [item["id"] for item in pack["items"]]
    events = list(answers_to(pack["items"][:3]))
    for change in (
        {"items": [*ids[1:], ids[0]]},
        {"items": ids[:-1]},
        {"subject": "s02"},
        {"part": 2},
        {"seal": "0" * 64},
    ):
        with pytest.raises(StudyError, match="expected a session that this run packed"):
            import_session(store, saved(pack, events, **change))
    other = Store(tmp_path / "other.sqlite")
    with pytest.raises(StudyError, match="expected a session that this run packed"):
        import_session(other, saved(pack, events))
    assert store.scores().empty


def test_answers_that_were_changed_are_refused(store, packed, saved):
    (pack,) = packed()
    path = saved(pack, answers_to(pack["items"][:3]))
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('value\\": 3', 'value\\": 5', 1), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    with pytest.raises(StudyError, match="was changed since it was saved"):
        import_session(store, path)
    assert store.scores().empty


@pytest.mark.parametrize(
    ("value", "said"),
    [(99, "expected an event"), (True, "expected an event"), ("left", "1 to 5")],
)
def test_values_are_held_to_the_rules_of_the_page(store, packed, saved, value, said):
    (pack,) = packed()
    events = list(answers_to(pack["items"][:3]))
    events[3]["value"] = value
    with pytest.raises(StudyError, match=said):
        import_session(store, saved(pack, events))
    assert store.scores().empty  # the first two neither


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "[" * 50_000, "\0"])
def test_another_file_is_told_as_such(store, tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(StudyError, match="expected a saved session"):
        import_session(store, path)


@pytest.mark.slow
def test_two_copies_that_were_both_answered_are_not_mixed(store, packed, saved):
    (pack,) = packed()
    import_session(store, saved(pack, answers_to(pack["items"][:3])))
    with pytest.raises(StudyError, match="other answers from the same pack"):
        import_session(store, saved(pack, answers_to(pack["items"][:5], value=1)))
    assert list(store.scores()["score"]) == [3, 3, 3]


@pytest.mark.slow
def test_a_link_that_was_used_as_well_is_told(store, session, packed, saved, answer):
    (pack,) = packed()
    view = session.handle({"type": "start"})
    session.handle(answer(view, 5))
    with pytest.raises(StudyError, match="a pack takes the place of a link"):
        import_session(store, saved(pack, answers_to(pack["items"][:3])))
    assert list(store.scores()["score"]) == [5]


def test_what_is_left_of_a_session_is_packed(store, session, packed, saved, answer):
    view = session.handle({"type": "start"})
    total = view["progress"]["total"]
    session.handle(answer(view, 4))
    session.handle({"type": "pause"})
    (pack,) = packed()
    assert len(pack["items"]) == total - 1
    import_session(store, saved(pack, answers_to(pack["items"])))
    assert store.progress().loc["s01", "answered"] == total


@pytest.mark.slow
def test_parts_are_small_hold_all_and_come_back_in_their_order(
    store, session, packed, saved, monkeypatch, tmp_path
):
    (whole,) = packed()
    monkeypatch.setattr(pack, "LARGEST_BYTES", 250_000)
    parts = packed()
    assert len(parts) > 1
    for path in (tmp_path / "packs").glob("s01-part-*"):
        assert path.stat().st_size <= 250_000
    assert [item for part in parts for item in part["items"]] == whole["items"]
    assert parts[0]["file"] == f"s01-part-1-of-{len(parts)}"
    first, second = (list(answers_to(part["items"])) for part in parts[:2])
    finish = {"type": "finish", "item": ""}
    with pytest.raises(StudyError, match="in their order"):
        import_session(store, saved(parts[1], second))
    undo = [{"type": "undo", "item": ""}, {**first[-1], "attempt": "second"}]
    import_session(store, saved(parts[0], [*first, *undo, finish]))
    assert store.progress().loc["s01", "state"] == "rate"
    import_session(store, saved(parts[1], [*second, finish]))
    n = len(parts[0]["items"]) + len(parts[1]["items"])
    assert store.progress().loc["s01", "answered"] == n


@pytest.mark.slow
def test_one_item_that_is_too_large_is_told(packed, monkeypatch):
    packed()
    monkeypatch.setattr(pack, "LARGEST_BYTES", 100_000)
    with pytest.raises(StudyError, match="take more"):
        packed()


@pytest.mark.slow
def test_a_pack_that_was_given_away_keeps_its_order(store, session, packed, outputs):
    (before,) = packed()
    stimuli = name_stimuli(outputs, SEED)
    items = plan_session(outputs, number=1, seed=SEED)
    store.set_plan("s01", items, stimuli)
    (after,) = packed()
    assert [i["id"] for i in after["items"]] == [i["id"] for i in before["items"]]
    assert after["seal"] == before["seal"]


def test_whoever_was_deleted_stays_so(store, packed, saved):
    (pack,) = packed()
    path = saved(pack, answers_to(pack["items"][:3]))
    store.delete_subject("s01")
    with pytest.raises(StudyError, match="was deleted"):
        import_session(store, path)


def test_nothing_left_is_nothing_to_pack(store, packed, saved):
    (pack,) = packed()
    import_session(store, saved(pack, answers_to(pack["items"])))
    with pytest.raises(StudyError, match="something left to rate"):
        packed()


def test_a_trap_says_what_to_choose_in_either_language(store, packed):
    (pack,) = packed()
    with store.read() as connection:
        rows = connection.exec_driver_sql("SELECT item FROM items WHERE role = 'trap'")
        traps = {row[0] for row in rows}
    both = {address: {*names.values()} for address, names in pack["names"].items()}
    of_traps = {address for address in both if address[:-1] in traps}
    told_apart = {address for address in both if len(both[address]) == 2}
    assert told_apart <= of_traps
    assert {address[:-1] for address in told_apart} >= {
        item["id"] for item in pack["items"] if item["id"] in traps
    }
