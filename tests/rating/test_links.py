"""Who has come how far, and links that end; on SQLite and on PostgreSQL."""

from datetime import timedelta

import pytest

from evalkit.errors import UnknownNameError
from evalkit.rating import Session, Store, pack_session
from evalkit.rating.links import (
    expiry,
    language_of,
    note_visit,
    places,
    revoke,
)
from evalkit.rating.store import now


def test_a_place_tells_how_far_a_subject_is_and_no_score(store: Store, panel, answer):
    session = Session(store, "s01", panel(store, 2))
    view = session.handle({"type": "start"})
    before = now()
    for value in (5, 4):
        view = session.handle(answer(view, value))
    first, second = places(store)
    assert (first.subject, first.state, first.answered) == ("s01", "rate", 2)
    assert before <= first.seen_at <= now()
    assert (second.state, second.answered, second.seen_at) == ("welcome", 0, None)
    assert first.items == second.items == view["progress"]["total"]
    assert not first.is_complete


def test_a_visit_is_seen_and_the_first_one_sets_the_language(store: Store, panel):
    panel(store, 2)
    assert language_of(store, "s01", "zh") == "zh"
    note_visit(store, "s01", "zh")
    note_visit(store, "s01", "en")
    assert language_of(store, "s01", "en") == "zh"
    first, second = places(store)
    assert first.seen_at
    assert not second.seen_at
    store.delete_subject("s01")  # with their visits
    assert [place.subject for place in places(store)] == ["s02"]


def test_whoever_has_begun_keeps_the_language(store: Store, panel):
    session = Session(store, "s01", panel(store))
    session.handle({"type": "start"})
    note_visit(store, "s01", "zh")  # with a link, after a notebook
    assert session.view()["language"] == "en"


def test_a_revoked_link_is_dead_until_another_is_made(store: Store, panel):
    panel(store, 2)
    secret = store.link("s01", days=3)
    assert expiry(store, "s01") == now_in(3)
    revoke(store, "s01")
    assert store.subject_of(secret) is None
    assert [place.state for place in places(store)] == ["revoked", "welcome"]
    other = store.link("s01", days=3)
    assert other != secret
    assert store.subject_of(other) == "s01"
    assert places(store)[0].state == "welcome"
    with pytest.raises(UnknownNameError):
        revoke(store, "s09")


def now_in(days: int) -> str:
    return now(timedelta(days=days))[:10]


def test_a_secret_is_drawn_once(database):
    first = database().secret("owner")
    assert len(first) == 43
    assert database().secret("owner") == first
    assert database().secret("packs") != first


def test_packs_are_kept_on_either_database(store: Store, panel, tmp_path):
    session = Session(store, "s01", panel(store))
    pack_session(store, "s01", session, tmp_path)
    pack_session(store, "s01", session, tmp_path)  # again: the same seal
    assert places(store)[0].state == "packed"
    store.delete_subject("s01")
    assert places(store) == []
