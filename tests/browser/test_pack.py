"""A session as one file, opened without a server: rated, closed, saved, imported."""

import io
import json
import re

import pandas as pd
import pytest
from PIL import Image

from evalkit.images import write_image
from evalkit.rating import import_session, pack_session
from evalkit.rating.trial import N_PAIRS, write_trial


@pytest.fixture
def file(rated, tmp_path):
    """The session of subject s01 as one file."""
    (path,) = pack_session(rated.store, "s01", rated.session(), tmp_path)
    return path


@pytest.fixture
def start(page, file, begin):
    """``start()``: open the file and show the first picture."""

    def open_file():
        page.goto(file.as_uri())
        begin(page)

    return open_file


def save(page, name: str, folder):
    """Press a button that saves; where the file lies then."""
    with page.expect_download() as download:
        page.get_by_role("button", name=name).click()
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_session_is_rated_without_a_server_saved_and_imported(
    page, start, press, rated, tmp_path
):
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    start()
    press("2")
    press("Backspace")
    given = []
    ready = page.get_by_role("button", name="Go on to saving")
    while not ready.count():
        is_pair = page.locator(".screen.ab").count()
        keys = ["ArrowLeft", "ArrowRight", "ArrowDown"] if is_pair else "14253"
        given.append(keys[len(given) % len(keys)])
        press(given[-1])
    ready.click()
    page.get_by_role("button", name="Save my answers").wait_for()
    path = save(page, "Save my answers", tmp_path)
    assert path.name == "s01.json"
    n_answers = len(given)
    assert n_answers > 20
    assert import_session(rated.store, path) == n_answers + 1  # and the one taken back
    progress = rated.store.progress().loc["s01"]
    assert (progress["state"], progress["answered"]) == ("closed", n_answers)
    scores = rated.store.scores().set_index("position")["score"]
    choices = rated.store.choices().set_index("position")["choice"]
    arrows = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "same"}
    for position, key in enumerate(given):
        if key in arrows:
            assert choices[position] == arrows[key]
        else:
            assert scores[position] == int(key)
    assert all(url.startswith(("file:", "blob:", "data:")) for url in requests)


def test_the_file_names_no_condition_no_source_and_no_file(file, rated):
    html = file.read_text(encoding="utf-8")
    text = re.sub(r"base64,[A-Za-z0-9+/=]+", "", html).lower()
    assert [word for word in rated.secrets if word in text] == []
    names = {stimulus.name for stimulus in rated.stimuli.values()}
    assert not [name for name in names if name in text]
    (data,) = re.findall(r'type="application/json" id="pack">(.*?)</script>', html)
    pack = json.loads(data)
    assert '"role"' not in data
    lengths = {}
    for item in pack["items"]:
        for address in (*item["stimuli"], item["source"]):
            for name in pack["names"][address].values():
                uri = pack["pictures"][name]
                lengths.setdefault((item["width"], item["height"]), set()).add(len(uri))
    assert len(lengths) == 1  # the sources of this session have one size
    assert len(*lengths.values()) <= 3  # one length a source


def test_the_pictures_are_those_of_the_served_page_to_the_bit(page, start, rated):
    start()
    session = rated.session()
    item = session.coming()[0]
    served = Image.open(io.BytesIO(session.stimulus(item["stimuli"][0])))
    shown = page.evaluate(
        """async () => {
          const image = document.querySelector(".pane img");
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
          const context = canvas.getContext("2d");
          context.drawImage(image, 0, 0);
          const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
          return Array.from(data).filter((_, index) => index % 4 < 3);
        }"""
    )
    assert bytes(shown) == served.convert("RGB").tobytes()


def test_answers_stay_in_the_browser_when_the_file_is_closed(
    page, start, press, file, rated, tmp_path
):
    start()
    for key in ("1", "5", "2"):
        press(key)
    other = page.context.new_page()
    page.close()
    other.goto(file.as_uri())
    other.wait_for_selector(".stage")
    assert other.locator(".count").inner_text().startswith("3 /")
    other.get_by_role("button", name="Pause").click()
    path = save(other, "Save my answers so far", tmp_path)
    assert import_session(rated.store, path) == 3
    assert list(rated.store.scores()["score"]) == [1, 5, 2]


def test_a_tab_that_was_left_behind_goes_on_where_the_other_is(
    page, start, press, file
):
    start()
    press("3")
    second = page.context.new_page()
    second.goto(file.as_uri())
    second.wait_for_selector(".stage")
    second.wait_for_selector(".evalkit-rating:not(.waiting):not(.fresh)")
    second.keyboard.press("4")
    second.keyboard.press("Enter")
    second.locator(".count", has_text="2 /").wait_for()
    page.bring_to_front()
    press("5")  # of an item that has an answer: is not taken, and the page moves on
    assert page.locator(".count").inner_text().startswith("2 /")


def test_a_browser_that_keeps_nothing_says_so(page, file, press, begin):
    page.add_init_script(
        """Object.defineProperty(window, "localStorage", {
          get() { throw new DOMException("refused", "SecurityError"); } });"""
    )
    page.goto(file.as_uri())
    page.get_by_role("alert").get_by_text("keeps nothing").wait_for()
    begin(page)
    press("3")
    assert page.locator(".count").inner_text().startswith("1 /")


def test_the_file_begins_in_the_browsers_language(chromium, need, file):
    need(chromium, "install chromium to test a session as one file")
    context = chromium.new_context(locale="zh-CN")
    page = context.new_page()
    page.goto(file.as_uri())
    page.get_by_role("button", name="开始").wait_for()
    context.close()


def test_a_blind_test_of_two_minutes_tells_at_once_what_was_what(
    page, press, tmp_path, astronaut
):
    rows, requests = [], []
    for name, pixels in (("one", astronaut[:64, :64]), ("two", astronaut[64:128, :64])):
        for condition, role in (("source", "source"), ("a", "system"), ("b", "system")):
            file = tmp_path / f"{name}-{condition}.png"
            write_image(file, pixels if condition != "b" else 255 - pixels)
            cell = {"source": name, "condition": condition, "role": role}
            cell |= {"path": str(file), "picture": f"{name}{condition}"}
            rows.append(
                cell | {"width_px": 64, "height_px": 64, "weights_kind": "none"}
            )
    trial, told = tmp_path / "trial.html", {"a": "portrait 3.7"}
    write_trial(pd.DataFrame(rows), ("a", "b"), trial, published=told)
    page.on("request", lambda request: requests.append(request.url))
    page.goto(trial.as_uri())
    page.wait_for_selector(".stage")
    for _ in range(N_PAIRS):
        press("ArrowLeft")  # of each source once the one, once the other
    cells = page.locator("table td").all_inner_texts()
    assert sorted(cells[::3]) == ["a", "b"]
    assert cells[1::3] == ["50 %", "50 %"]
    assert sorted(cells[2::3]) == ["portrait 3.7", "–"]
    assert not page.get_by_role("button").filter(has_text="ave my answers").count()
    assert all(url.startswith(("file:", "blob:", "data:")) for url in requests)
    assert page.evaluate("localStorage.length") == 0
