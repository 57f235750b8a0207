"""The rating page everywhere: nothing cut, true pixels, slow lines, every button."""

import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from evalkit.rating import Item, Store, name_stimuli, write_stimuli
from evalkit.rating._messages import MESSAGES, Seen

LARGE = 1024, 768


@pytest.fixture
def open_at(chromium, need, address):
    """``open_at(width, height, ratio, **context)``: a page of the session."""
    need(chromium, "install chromium to test the rating page as a subject sees it")
    contexts = []

    def page(width, height, ratio=1.0, **settings):
        size = {"width": width, "height": height}
        context = chromium.new_context(
            viewport=size, device_scale_factor=ratio, **settings
        )
        contexts.append(context)
        opened = context.new_page()
        opened.wrong = []
        opened.on("pageerror", lambda error: opened.wrong.append(str(error)))
        opened.goto(address)
        opened.wait_for_selector(".card, .stage")
        return opened

    yield page
    for context in contexts:
        context.close()


@pytest.fixture
def go(rated, address):
    """``go(n)``: begin, and answer n items, without the page."""

    def answer(n):
        session = rated.session()
        view = session.handle({"type": "start"})
        for number in range(n):
            is_pair = view["item"]["kind"] == "ab"
            event = {"type": "answer", "item": view["item"]["id"], "seconds": 1.0}
            value = "left" if is_pair else 3
            view = session.handle(event | {"attempt": f"{number}", "value": value})
        return view

    return answer


def first_pair(rated) -> int:
    return next(n for n, item in enumerate(rated.items) if item.right)


CUT = """() => {
  const root = document.querySelector(".evalkit-rating");
  const cut = [];
  if (root.scrollWidth > root.clientWidth) cut.push("the page scrolls sideways");
  const things = "button, label, select, p:not(.news), h2, h3, li, td, th, .percent";
  for (const node of root.querySelectorAll(things)) {
    const box = node.getBoundingClientRect();
    if (!node.checkVisibility() || !box.width) continue;
    const isOut = box.left < -0.5 || box.right > innerWidth + 0.5;
    if (isOut || node.scrollWidth > node.clientWidth + 1) cut.push(node.outerHTML);
    node.scrollIntoView({ block: "nearest" });
    const { top, bottom } = node.getBoundingClientRect();
    if (bottom < 1 || top > innerHeight - 1) cut.push(`below: ${node.outerHTML}`);
  }
  for (const image of root.querySelectorAll(".pane > img:first-child")) {
    const [box, pane] = [image, image.parentNode].map((n) => n.getBoundingClientRect());
    if (box.left < pane.left - 1 || box.right > pane.right + 1) cut.push("a picture");
    if (pane.right > innerWidth || pane.width < 100) cut.push("a pane");
  }
  return cut;
}"""

SCREENS = [
    (320, 568, 2),
    (360, 740, 3),
    (390, 844, 3),
    (844, 390, 3),
    (450, 800, 1),
    (768, 1024, 2),
    (1180, 820, 2),
    (1440, 900, 1.25),
    (2560, 1440, 1),
    (3840, 2160, 1),
]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(("width", "height", "ratio"), SCREENS)
def test_nothing_is_cut(open_at, rated, go, width, height, ratio, language):
    is_touch = ratio >= 2
    locale = {"en": "en-GB", "zh": "zh-CN"}[language]
    page = open_at(width, height, ratio, has_touch=is_touch, locale=locale)
    agree = page.locator("[name=agree]")
    agree.wait_for()
    page.wait_for_function(
        "zh => document.documentElement.lang.startsWith('zh') === zh",
        arg=language == "zh",
    )
    assert page.evaluate(CUT) == []
    agree.check()
    page.locator(".main").click()
    assert page.evaluate(CUT) == []
    rated.session().handle({"type": "language", "language": language})
    go(first_pair(rated) - 1)
    for kind in ("acr", "ab"):
        page.reload()
        page.wait_for_selector(f".evalkit-rating:not(.waiting):not(.fresh) .{kind}")
        assert page.evaluate(CUT) == []
        page.locator(".scale button").first.click()
        page.wait_for_selector(".reasons")
        assert page.evaluate(CUT) == []
        page.locator(".on").click()
        page.wait_for_selector(".screen.ab")
    assert page.wrong == []


@pytest.mark.parametrize("width", [320, 360, 768, 2560])
def test_nothing_of_the_owners_page_is_cut(open_at, rated, go, address, width):
    go(2)
    page = open_at(width, 740)  # and so s01 has been seen
    page.goto(re.sub("/r/.*", f"/o/{rated.store.secret('owner')}/", address))
    page.get_by_text("0 of 1 planned sessions are complete: 1 more.").wait_for()
    wide = "[document.body, document.querySelector('.table')]"
    assert page.evaluate(f"{wide}.every((n) => n.scrollWidth <= n.clientWidth)")


def test_text_of_twice_the_size_is_all_there(open_at, rated, go):
    go(first_pair(rated))
    # a browser's zoom of 200 %: half of the CSS pixels, twice the ratio
    page = open_at(640, 360, 2)
    page.wait_for_selector(".stage")
    assert page.evaluate(CUT) == []


def test_a_screen_too_small_is_told_so(open_at, rated, go):
    page = open_at(360, 640, 3, screen={"width": 360, "height": 640})
    page.get_by_text("This screen is too small").wait_for()
    go(first_pair(rated))
    page.reload()
    page.wait_for_selector(".stage")
    page.locator(".notice").get_by_text("too small for a fair judgement").wait_for()
    wide = open_at(1280, 720)
    wide.wait_for_selector(".evalkit-rating:not(.waiting) .stage")
    assert wide.locator(".notice").inner_text() == ""


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 1.75, 2, 3])
def test_at_first_a_pixel_is_a_pixel(open_at, rated, go, ratio):
    go(first_pair(rated) - 1)
    page = open_at(1283, 731, ratio)
    page.wait_for_selector(".evalkit-rating:not(.waiting) .stage")
    assert page.locator(".percent").inner_text() == "100 %"
    assert_exact(page, rated, ratio)
    for key in ("+", "+", "z"):
        page.keyboard.press(key)
    page.mouse.move(600, 300)
    page.mouse.down()
    page.mouse.move(613, 307)  # which no pixel of the screen may come to lie between
    page.mouse.up()
    assert page.locator(".percent").inner_text() == "100 %"
    assert_exact(page, rated, ratio)


def assert_exact(page, rated, ratio: float) -> None:
    with rated.store.read() as connection:
        n_done = connection.exec_driver_sql("SELECT COUNT(*) FROM answers").scalar()
        name = connection.exec_driver_sql(
            f"SELECT left_stimulus FROM items WHERE position = {n_done}"
        ).scalar()
    file = rated.folder / "stimuli" / f"{name}.webp"
    stimulus = np.asarray(Image.open(file).convert("RGB")).astype(int)
    box = page.locator(".pane img").evaluate("i => i.getBoundingClientRect().toJSON()")
    left, top = (round(box[side] * ratio) for side in ("left", "top"))
    shot = Image.open(io.BytesIO(page.screenshot(scale="device"))).convert("RGB")
    height, width, _ = stimulus.shape
    shown = np.asarray(shot.crop((left, top, left + width, top + height))).astype(int)
    assert np.abs(shown - stimulus).max() == 0


def test_how_it_was_seen_is_kept(open_at, rated, go, begin):
    page = open_at(1000, 700, 1.5)
    begin(page)
    page.get_by_role("button", name="Zoom in").click()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    page.locator(".count", has_text="1 /").wait_for()
    (kept,) = rated.store.scores()["seen"]
    seen = Seen.model_validate_json(kept)
    assert (seen.window_width_px, seen.window_height_px) == (1000, 700)
    assert seen.pixel_ratio == 1.5
    assert (seen.least_scale, seen.scale) == (1, 1.25)
    assert (seen.zoom_used, seen.source_opened, seen.full_screen) == (
        True,
        False,
        False,
    )
    assert 0.5 < rated.store.scores()["server_seconds"][0] < 60


def test_a_keyboard_alone_is_enough(open_at, rated):
    page = open_at(1280, 720)
    page.wait_for_selector("[name=agree]")
    ready = ".evalkit-rating:not(.waiting):not(.fresh) .stage"
    for key in ("Space", "Enter"):  # agree, start
        page.keyboard.press(key)
    page.get_by_text("A quick look at your screen").wait_for()
    page.keyboard.press("Enter")
    for key in ("4", "Backspace", "2", "q", "Enter"):
        page.wait_for_selector(ready)
        page.keyboard.press(key)
    page.locator(".count", has_text="1 /").wait_for()
    scores = rated.store.scores()
    assert scores["score"].tolist() == [2]
    assert len(json.loads(scores["tags"][0])) == 1


AT_ONCE = """() => {
  window.pressedAtOnce = new Promise(done => {
    const look = () => {
      const root = document.querySelector(".fresh");
      const count = document.querySelector(".count")?.innerText ?? "";
      if (!root || !count.includes("1 /")) return setTimeout(look, 5);
      root.dispatchEvent(new KeyboardEvent("keydown", { key: "2", bubbles: true }));
      [...root.querySelectorAll("button")].find(b => /Bad/.test(b.innerText)).click();
      done(root.classList.contains("fresh"));
    };
    look();
  });
}"""
"""A key and a click in the moment in which the next picture is shown."""


def test_nothing_counts_in_the_first_half_second(open_at, rated, begin):
    page = open_at(1280, 720)
    begin(page)
    page.evaluate(AT_ONCE)
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    assert page.evaluate("() => window.pressedAtOnce")
    assert page.locator(".reasons").count() == 0
    page.wait_for_selector(".evalkit-rating:not(.fresh)")
    assert rated.store.scores()["score"].tolist() == [4]


NAME = "b => b.ariaLabel ?? b.lastElementChild?.innerText ?? b.innerText"


def test_every_button_does_what_it_says(open_at, rated, go, begin):
    """Each is pressed once; what is left over at the end has no test."""
    page = open_at(1280, 720)
    left: set[str] = set()
    done: set[str] = set()

    def look() -> None:
        left.update(page.locator("button:visible").evaluate_all(f"b => b.map({NAME})"))

    def press(name: str, *, looks: bool = True) -> None:
        if looks:
            look()
        button = page.get_by_role("button", name=name, exact=True).first
        done.add(button.evaluate(NAME))
        button.click()

    page.get_by_role("checkbox", name="I have read this").check()
    page.get_by_role("checkbox", name="My answers may be published").check()
    press("Start")
    page.get_by_label("Squares seen on black").select_option("5")
    page.get_by_label("Squares seen on white").select_option("6")
    press("Show the first picture")
    ready = ".evalkit-rating:not(.waiting):not(.fresh) .stage"
    page.wait_for_selector(ready)
    with rated.store.read() as connection:
        query = "SELECT may_publish, screen FROM subjects"
        may_publish, screen = connection.exec_driver_sql(query).one()
    assert may_publish
    assert json.loads(screen)["dark_steps"] == 5
    width = "document.querySelector('.pane img').getBoundingClientRect().width"
    for name, factor in (
        ("+ Zoom in", 1.25),
        ("− Zoom out", 1.0),
        ("+ Zoom in", 1.25),
        ("1:1 Actual pixels", 1.0),
    ):
        press(name)
        assert page.evaluate(width) == pytest.approx(factor * 320)
    press("Whole")
    assert page.evaluate(width) > 2 * 320
    press("1:1 Actual pixels")
    press("Source")
    page.locator(".name:visible", has_text="Source").wait_for()
    press("Source")
    page.locator(".name", has_text="Source").wait_for(state="detached")
    press("Full screen")
    page.wait_for_function("document.fullscreenElement")
    press("Full screen")
    page.wait_for_function("!document.fullscreenElement")
    press("Pause")
    press("Go on")
    page.wait_for_selector(ready)
    press("中文")
    press("English", looks=False)
    page.get_by_role("button", name="Excellent").wait_for()
    page.wait_for_selector(ready)
    scores = ["Bad", "Poor", "Fair", "Good", "Excellent"]
    for number, name in enumerate(scores, 1):
        press(name)
        page.get_by_text("Why? (if you like)").wait_for()
        if number == 1:
            press("Change the answer")
            press(name)
        if number == 2:
            for tag in page.locator(".tag").all():
                look()
                done.add(tag.evaluate(NAME))
                tag.click()
            press("Next")
        else:
            press("No particular reason: next")
        page.locator(".count", has_text=f"{number} /").wait_for()
        page.wait_for_selector(ready)
    press("Can't tell")
    page.locator(".count", has_text="6 /").wait_for()
    page.wait_for_selector(ready)
    assert rated.store.scores()["score"].fillna(0).tolist() == [1, 2, 3, 4, 5, 0]
    assert (
        len(json.loads(rated.store.scores()["tags"][1]))
        == len(MESSAGES["reasons"]) - 11
    )
    press("Undo")
    page.locator(".count", has_text="5 /").wait_for()
    go(first_pair(rated) - 5)
    page.reload()
    page.wait_for_selector(ready)
    for name, mode in (("Flip", "flip"), ("Split", "split"), ("Side by side", "side")):
        press(name)
        assert page.locator(".stage").get_attribute("data-mode") == mode
    n_done = first_pair(rated)
    for name in ("Left is better", "No difference", "Right is better"):
        press(name)
        look()
        page.locator(".tags").nth(1).get_by_role("button").first.click()
        press("Next")
        n_done += 1
        page.locator(".count", has_text=f"{n_done} /").wait_for()
        page.wait_for_selector(ready)
    choices = rated.store.choices()
    assert list(choices["choice"])[-3:] == ["left", "same", "right"]
    assert [*json.loads(choices["sides"].iloc[-1]).values()] == ["right"]
    go(len(rated.items) - n_done)
    page.reload()
    press("Hand in my answers")
    press("Show what I rated")
    page.get_by_role("table").first.wait_for()
    rows = page.get_by_role("row").all_inner_texts()
    assert any("gpen-512" in row and "." in row for row in rows)
    assert left - done == {"Skip"}  # which other tests press
    assert page.wrong == []


@pytest.fixture
def say(address):
    """``say(page, **fields)``: let every view that the server sends have these, too."""

    def rewrite(page, **fields):
        def fulfil(route):
            response = route.fetch()
            route.fulfill(response=response, json=response.json() | fields)

        page.route("**/view", fulfil)
        page.route("**/event", fulfil)
        page.reload()

    return rewrite


@pytest.mark.parametrize("kind", ["fidelity", "identity"])
def test_the_source_stands_beside_what_is_to_be_like_it(open_at, go, rated, say, kind):
    go(first_pair(rated) - 1)
    page = open_at(1280, 720)
    say(page, question={"kind": kind, "text": None})
    page.wait_for_selector(".evalkit-rating:not(.waiting):not(.fresh) .stage")
    assert page.locator(".name:visible").all_inner_texts() == ["Source", "To rate"]
    page.get_by_role("button", name="Perceptible but not annoying").click()
    page.get_by_role("button", name="true to the source").click()
    page.get_by_role("button", name="Next", exact=True).click()
    page.wait_for_selector(".evalkit-rating:not(.waiting):not(.fresh) .screen.ab")
    names = ["Source", "Left", "Right"]
    assert page.locator(".name:visible").all_inner_texts() == names
    for _ in range(3):
        page.keyboard.press("Space")
        assert page.locator(".name:visible").inner_text() == names.pop(0)
    kept = rated.store.scores().iloc[-1]
    assert (kept["score"], kept["tags"]) == (4, '["same-as-source"]')
    assert Seen.model_validate_json(kept["seen"]).source_opened


def test_a_question_of_ones_own_is_asked(open_at, go, say):
    go(0)
    page = open_at(1280, 720)
    say(page, question={"kind": "own", "text": "How restful is it?"})
    page.get_by_role("group", name="How restful is it?").wait_for()


def test_the_source_is_opened_by_a_step_that_is_kept(open_at, go, rated, say):
    go(0)
    page = open_at(1280, 720)
    asked_for = []
    page.on("request", lambda request: asked_for.append(request.url))
    say(page, may_open_source=False)
    page.wait_for_selector(".evalkit-rating:not(.waiting):not(.fresh) .stage")
    assert page.get_by_role("button", name="Source").count() == 0
    page.keyboard.press("s")
    page.unroute_all()
    page.reload()
    page.wait_for_selector(".evalkit-rating:not(.waiting):not(.fresh) .stage")
    page.wait_for_load_state("networkidle")
    pictures = [url for url in asked_for if "/stimulus/" in url]
    assert pictures
    assert not [url for url in pictures if url.endswith("c")]  # not asked for ahead
    page.get_by_role("button", name="Source").click()
    page.locator(".name:visible", has_text="Source").wait_for()
    page.keyboard.press("s")
    page.wait_for_function("!document.querySelector('.source')")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    page.locator(".count", has_text="1 /").wait_for()
    assert Seen.model_validate_json(rated.store.scores()["seen"][0]).source_opened


def test_the_first_page_says_who_asks(open_at, say):
    page = open_at(1280, 720)
    page.get_by_text("Who asks: whoever sent you this link.").wait_for()
    say(page, organiser="Ana Ruiz, ana@example.org")
    page.get_by_text("Who asks: Ana Ruiz, ana@example.org. What for:").wait_for()
    page.get_by_text("tell Ana Ruiz, ana@example.org; no reason").wait_for()


def test_a_break_is_offered_after_ten_minutes(open_at, rated, begin):
    page = open_at(1280, 720)
    page.clock.install()
    page.reload()
    page.wait_for_selector("[name=agree]")
    page.get_by_role("checkbox", name="I have read this").check()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Skip").click()
    page.clock.run_for(1000)
    page.wait_for_selector(".evalkit-rating:not(.waiting) .stage")
    page.clock.fast_forward("10:01")
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    for _ in range(20):
        page.clock.run_for(500)
        if page.get_by_text("Time for a short break?").count():
            break
    page.get_by_role("button", name="Go on").click()
    page.clock.run_for(1000)
    page.wait_for_selector(".evalkit-rating:not(.waiting) .stage")
    assert page.locator(".count").inner_text().startswith("1 /")


def plan_large(folder) -> Store:
    """Two pictures of about a megabyte each."""
    rows, random = [], np.random.default_rng(5)
    for number in range(2):
        noise = random.integers(96, 160, (LARGE[1], LARGE[0], 3), dtype=np.uint8)
        for condition in ("source", "noise"):
            path = folder / f"{number}-{condition}.png"
            Image.fromarray(noise).save(path)
            role = "source" if condition == "source" else "system"
            cell = {"source": f"n{number}", "condition": condition, "role": role}
            cell |= {"path": str(path), "picture": f"{number}", "weights_kind": "none"}
            rows.append(cell | {"width_px": 256, "height_px": 192})
    outputs = pd.DataFrame(rows)
    items = [
        Item(kind="acr", role="system", source=f"n{number}", left="noise")
        for number in range(2)
    ]
    stimuli = name_stimuli(outputs, 0)
    write_stimuli(items, outputs, stimuli, folder / "stimuli")
    store = Store(folder / "ratings.sqlite")
    store.add_subject("s01")
    store.set_plan("s01", items, stimuli)
    return store


@pytest.mark.slow
@pytest.mark.parametrize(
    "megabits_per_s", [pytest.param(0.4, marks=pytest.mark.soak), 1.5]
)
def test_a_slow_line_is_waited_for(page, tmp_path, serve_folder, begin, megabits_per_s):
    store = plan_large(tmp_path)
    server = serve_folder(tmp_path)
    alarms, asked, said = [], [], []
    page.on("request", lambda request: asked.append(request.url))
    client = page.context.new_cdp_session(page)
    page.goto(f"http://127.0.0.1:{server.port}/r/{store.link('s01', days=1)}/")
    client.send("Network.enable")
    bytes_per_s = megabits_per_s * 1e6 / 8
    limits = {"downloadThroughput": bytes_per_s, "uploadThroughput": bytes_per_s}
    client.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 60, **limits},
    )
    page.get_by_role("checkbox", name="I have read this").check()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Skip").click()
    for _ in range(240):
        page.wait_for_timeout(250)
        alarms.append(page.locator(".alarm").inner_text())
        said.append(page.locator(".transit").inner_text())
        if page.locator(".evalkit-rating:not(.waiting) .stage").count():
            break
    page.wait_for_timeout(9000)  # the next one is on its way: nobody waits for it
    alarms.append(page.locator(".alarm").inner_text())
    assert {*alarms} == {""}
    assert any(" kB, " in text and not text.endswith(" 0 %") for text in said)
    pictures = [url for url in asked if "/stimulus/" in url]
    assert len(pictures) == len(set(pictures)) >= 1
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    page.locator(".count", has_text="1 /").wait_for(timeout=60_000)
    assert store.scores()["score"].tolist() == [3]


def test_forced_colours_keep_the_grey_ground(open_at, go, rated):
    go(first_pair(rated))
    page = open_at(1280, 720, forced_colors="active")
    page.wait_for_selector(".evalkit-rating:not(.waiting) .stage")
    ground = "getComputedStyle(document.querySelector('{}')).backgroundColor"
    assert page.evaluate(ground.format(".stage")) == "rgb(119, 119, 119)"
    on, off = (
        page.evaluate(ground.format(f".tool[aria-pressed={state}]"))
        for state in ("true", "false")
    )
    assert on != off


def test_edges_can_be_seen(open_at, go, rated):
    go(first_pair(rated))
    page = open_at(1280, 720)
    page.wait_for_selector(".stage")
    worst = page.evaluate(EDGES)
    assert worst >= 3  # WCAG 2.2, 1.4.11, level AA


EDGES = """() => {
  const linear = (c) => ((c /= 255) <= 0.04045 ? c / 12.92
    : ((c + 0.055) / 1.055) ** 2.4);
  const light = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(linear);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const ratio = (a, b) => Math.max(a, b) / Math.min(a, b);
  const bar = light(getComputedStyle(document.querySelector("header")).backgroundColor);
  const edges = [...document.querySelectorAll(".tool, .score")].filter(
    (n) => n.checkVisibility()).map((n) => light(getComputedStyle(n).borderTopColor));
  return Math.min(...edges.map((edge) => ratio(edge, bar)));
}"""
