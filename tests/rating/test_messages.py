"""What page and session say to each other: one description, which both keep."""

import itertools
import re
from pathlib import Path

import pytest

import evalkit.rating
from evalkit.comparisons.scores import _viewing
from evalkit.errors import StudyError
from evalkit.rating import Session
from evalkit.rating._messages import MESSAGES, ScreenCheck, Seen
from evalkit.rating.session import Answer, Command
from evalkit.texts import texts_of

MODELS = {"answer": Answer, "command": Command, "seen": Seen, "screen": ScreenCheck}
SCRIPT = (Path(evalkit.rating.__file__).parent / "widget.js").read_text("utf-8")


def names(kind: str) -> tuple[set[str], set[str]]:
    """Those that are always there, and all that may be."""
    always = set(MESSAGES[kind]["always"])
    return always, always | set(MESSAGES[kind]["sometimes"])


def assert_is(kind: str, message) -> None:
    always, allowed = names(kind)
    assert always <= set(message) <= allowed


@pytest.mark.parametrize("kind", MODELS)
def test_a_session_takes_what_the_page_may_say(kind):
    always, allowed = names(kind)
    fields = MODELS[kind].model_fields
    assert set(fields) == allowed
    assert {n for n, f in fields.items() if f.is_required()} <= always


def test_a_session_says_what_the_page_may_read(store, panel, answer):
    session = Session(store, "s01", panel(store))
    view = session.view()
    assert_is("view", view)
    view = session.handle({"type": "start"})
    while view["state"] == "rate":
        assert_is("view", view)
        assert_is("item", view["item"])
        view = session.handle(answer(view))
    session.handle({"type": "finish"})
    view = session.handle({"type": "reveal"})
    assert_is("view", view)
    rows = view["reveal"]["rows"]
    assert len(rows) > 2
    for row in rows:
        assert_is("row", row)


def test_the_page_reads_and_writes_by_the_description():
    used = set(re.findall(r"messages\.(\w+)", SCRIPT))
    assert used - {"json"} | {"answer", "command"} == {*MESSAGES}


def test_every_reason_has_its_words():
    tags = {key.removeprefix("tag.") for key in texts_of("rating") if "tag." in key}
    assert tags == {*MESSAGES["reasons"]}
    for reason in MESSAGES["reasons"].values():
        assert reason["content"] in ("any", "face", "text")


SEEN = {
    "window_width_px": 1280,
    "window_height_px": 720,
    "pixel_ratio": 1.25,
    "scale": 1,
    "least_scale": 0.8,
    "most_scale": 1.0,
    "zoom_used": True,
    "source_opened": False,
    "full_screen": False,
}


def test_how_an_answer_was_seen_is_kept_with_it(store, panel, answer):
    session = Session(store, "s01", panel(store, mode="both", minutes=20))
    view = session.handle({"type": "start"})
    session.handle(answer(view) | {"seen": SEEN})
    (kept,) = store.scores()["seen"]
    assert Seen.model_validate_json(kept).model_dump() == SEEN
    assert 0 <= store.scores()["server_seconds"][0] < 60


def test_how_a_panel_saw_is_counted(store, panel, answer):
    session = Session(store, "s01", panel(store))
    view, scales = session.handle({"type": "start"}), itertools.cycle([1, 0.5])
    while view["state"] == "rate":
        scale = next(scales)
        seen = SEEN | {"least_scale": scale, "most_scale": scale}
        view = session.handle(answer(view) | {"seen": seen})
    answers = store.answers()
    assert list(answers.seen()["subject"]) == ["s01"] * len(answers.scores)
    assert {*answers.seen()["least_scale"]} == {1, 0.5}
    rows = {row["quantity"]: row["value"] for row in _viewing(answers)}
    assert 0.3 < rows["seen at 1:1 only, share"] < 0.7
    assert rows["smallest scale seen"] == 0.5
    assert rows["zoomed, share"] == 1
    assert rows["source seen, share"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scale", 0),
        ("scale", "1"),
        ("scale", True),
        ("scale", float("nan")),
        ("pixel_ratio", float("inf")),
        ("window_width_px", 12.5),
        ("window_width_px", -1),
        ("zoom_used", 1),
        ("browser", "Chromium"),
    ],
)
def test_an_impossible_way_of_seeing_is_refused(store, panel, answer, name, value):
    session = Session(store, "s01", panel(store))
    event = answer(session.handle({"type": "start"})) | {"seen": SEEN | {name: value}}
    with pytest.raises(StudyError, match="expected an event"):
        session.handle(event)
    assert store.scores().empty


def test_what_a_subject_agreed_to_is_kept(store, panel):
    session = Session(store, "s01", panel(store))
    screen = {"dark_steps": 4, "bright_steps": 6, "width_px": 1920, "height_px": 1080}
    start = {"type": "start", "has_agreed": True, "may_publish": False}
    session.handle(start | {"screen": screen})
    with store.read() as connection:
        query = "SELECT agreed_at, may_publish, screen FROM subjects"
        agreed_at, may_publish, kept = connection.exec_driver_sql(query).one()
    assert agreed_at > "2026"
    assert may_publish in (False, 0)
    assert ScreenCheck.model_validate_json(kept).model_dump() == screen
