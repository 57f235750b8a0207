"""The notebook's view of a session: what it says, and what it does not."""

import re
from pathlib import Path

import pytest

import evalkit.rating.widget
from evalkit.rating import Session, Store
from evalkit.rating._messages import MESSAGES
from evalkit.rating.widget import RatingWidget
from evalkit.texts import texts_of

FOLDER = Path(evalkit.rating.widget.__file__).parent
LABELS = texts_of("rating")


@pytest.fixture
def session(tmp_path, panel):
    store = Store(tmp_path / "ratings.sqlite")
    return Session(store, "s01", panel(store))


@pytest.fixture
def ask(session, monkeypatch):
    """``ask(message)``: what the widget sends back to the browser, with its bytes."""
    widget, sent = RatingWidget(session), []
    monkeypatch.setattr(widget, "send", lambda *reply: sent.append(reply))

    def question(**message):
        widget._handle_custom_msg({"id": "7", **message}, [])
        return sent.pop()

    return question


def test_it_answers_as_the_session_does(ask, session):
    assert ask(ask="view") == ({"id": "7", "view": session.view()}, [])
    reply, _ = ask(ask="handle", event={"type": "start"})
    assert reply["view"] == session.view()
    (name,) = reply["view"]["item"]["stimuli"]
    assert ask(ask="stimulus", name=name) == ({"id": "7"}, [session.stimulus(name)])


def test_a_picture_that_is_not_of_this_session_is_gone(ask):
    assert ask(ask="stimulus", name="0" * 33) == ({"id": "7", "gone": True}, [])


def test_the_synced_state_is_code_and_labels_only(session):
    widget = RatingWidget(session)
    state = widget.get_state()
    told = {name: value for name, value in state.items() if not name.startswith("_")}
    assert told.pop("labels") == LABELS
    assert told.pop("messages") == MESSAGES
    assert set(told) == {"layout", "tabbable", "tooltip"}
    text = repr(state) + repr(widget) + repr(widget._repr_mimebundle_())
    assert not any(
        word in text for word in ("sharp-x4", "soft-x2", "bicubic", "photo-")
    )


@pytest.mark.parametrize("name", ["widget.js", "page.js", "widget.css", "page.html"])
def test_the_page_asks_nobody_else(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"')]*|//[a-z]+\.[a-z]+\S*", text))
    assert addresses <= {"http://www.w3.org/2000/svg"}
