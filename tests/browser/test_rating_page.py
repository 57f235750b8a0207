"""The served page, driven in Chromium as a subject drives it."""

import json
import time

import pytest

from evalkit.texts import texts_of


@pytest.fixture
def start(page, address, begin):
    """``start()``: open the page and show the first picture."""

    def open_page():
        page.goto(address)
        begin(page)
        return page

    return open_page


@pytest.fixture
def start_pairs(start, press):
    """``start_pairs()``: answer until the first pair is shown."""

    def begin():
        page = start()
        while page.locator(".screen.ab").count() == 0:
            press("3")
        return page

    return begin


def places(page) -> list[str]:
    """Where on the screen each visible picture lies, and how large."""
    return page.eval_on_selector_all(
        ".pane img",
        """images => images.filter(i => getComputedStyle(i).visibility === "visible")
        .map(i => JSON.stringify([i.getBoundingClientRect(), i.parentNode
        .getBoundingClientRect()]))""",
    )


def transforms(page) -> set[str]:
    return set(
        page.eval_on_selector_all(".pane img", "i => i.map(i => i.style.transform)")
    )


def test_nothing_leaks_in_a_whole_session(page, start, press, witness, rated):
    start()
    page.keyboard.press("+")
    press("2")
    press("Backspace")
    page.get_by_role("button", name="中文").click()
    page.get_by_role("button", name="English").click()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Go on").click()
    page.wait_for_selector(".stage")
    n_answers = witness.rate_on(press)
    page.get_by_role("button", name="Hand in my answers").click()
    page.get_by_role("button", name="Show what I rated").wait_for()
    witness.look()
    witness.assert_blind(rated)
    assert len(rated.store.scores()) + len(rated.store.choices()) == n_answers > 20


def test_keys_score_undo_give_reasons_and_pass(start, press, page, rated, ready):
    start()
    page.keyboard.press("5")
    page.get_by_role("button", name="colour off").click()
    first = page.locator(".tag").first.inner_text().partition("\n")[2]
    page.keyboard.press("q")
    page.get_by_role("button", name="Next", exact=True).click()
    page.locator(".count", has_text="1 /").wait_for()
    press("Backspace")
    assert page.locator(".chosen, .given").count() == 0  # what was said is not shown
    press("4")
    press("0")
    ready()
    page.keyboard.press("ArrowLeft")  # to the middle of the scale
    page.keyboard.press("ArrowLeft")
    press("Enter")
    scores = rated.store.scores()
    assert scores["score"].fillna(-1).tolist() == [4, -1, 2]
    assert list(scores["tags"]) == ["[]"] * 3
    assert scores["seconds"].between(0, 60).all()
    with rated.store.read() as connection:
        undone = connection.exec_driver_sql(
            "SELECT tags FROM answers WHERE undone_at IS NOT NULL"
        ).scalar()
    labels = {t["en"]: key for key, t in texts_of("rating").items() if "tag." in key}
    reasons = ["colour-off", labels[first].removeprefix("tag.")]  # in a drawn order
    assert json.loads(undone) == list(dict.fromkeys(reasons))


def test_arrows_choose_of_a_pair(start_pairs, press, page, rated):
    start_pairs()
    for key in ("ArrowLeft", "ArrowRight", "ArrowDown"):
        press(key)
    assert list(rated.store.choices()["choice"]) == ["left", "right", "same"]


def test_both_pictures_zoom_and_move_together(start_pairs, page):
    start_pairs()
    whole = transforms(page)
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)
    page.wait_for_function(
        "before => document.querySelector('.pane img').style.transform !== before",
        arg=min(whole),
    )
    zoomed = transforms(page)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] / 2 - 30)
    page.mouse.up()
    moved = transforms(page)
    assert len(whole) == len(zoomed) == len(moved) == 1
    assert len(whole | zoomed | moved) == 3
    page.keyboard.press("v")  # the whole, which at first was at 1:1
    page.keyboard.press("z")
    assert transforms(page) == whole


def test_what_is_under_the_pointer_stays_there_when_it_zooms(start, page):
    start()
    for _ in range(6):
        page.keyboard.press("+")
    box = page.locator(".pane img").bounding_box()
    stage = page.locator(".stage").bounding_box()
    x, y = stage["x"] + stage["width"] * 0.6, stage["y"] + stage["height"] * 0.4

    def share():
        box = page.locator(".pane img").bounding_box()
        return (x - box["x"]) / box["width"], (y - box["y"]) / box["height"]

    before = share()
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        "box => document.querySelector('.pane img').getBoundingClientRect().width >"
        " box.width + 1",
        arg=box,
    )
    assert share() == pytest.approx(before, abs=0.01)


def test_space_flips_at_the_same_place(start_pairs, page):
    start_pairs()
    page.keyboard.press("Space")
    (first,) = places(page)
    assert page.locator(".name:visible").inner_text() == "Left"
    page.keyboard.press("Space")
    (second,) = places(page)
    assert page.locator(".name:visible").inner_text() == "Right"
    assert first == second
    page.keyboard.press("b")
    assert len(set(places(page))) == 2


def test_the_split_follows_its_slider(start_pairs, page):
    start_pairs()
    page.keyboard.press("x")
    assert len(set(places(page))) == 1
    slider = page.get_by_role("slider", name="Split")
    slider.press("End")
    left, right = (
        page.locator(".line").bounding_box(),
        page.locator(".pane").first.bounding_box(),
    )
    assert left["x"] == pytest.approx(right["x"] + right["width"], abs=2)
    slider.press("ArrowLeft")
    assert (
        page.locator(".stage").evaluate("s => s.style.getPropertyValue('--at')")
        == "0.995"
    )
    assert page.locator(".screen.ab").count() == 1  # the arrow was the slider's


def test_a_tablet_taps_and_pinches(chromium, need, address, rated, begin):
    need(chromium, "install chromium to test the rating page as a subject sees it")
    context = chromium.new_context(
        viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True
    )
    page = context.new_page()
    page.goto(address)
    begin(page)
    wide = page.evaluate("document.documentElement.scrollWidth")
    before = page.locator(".pane img").bounding_box()
    touch = context.new_cdp_session(page)
    for kind, gap in (("touchStart", 40), ("touchMove", 80), ("touchMove", 120)):
        points = [
            {"x": 512 - gap, "y": 300, "id": 0},
            {"x": 512 + gap, "y": 300, "id": 1},
        ]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    after = page.locator(".pane img").bounding_box()
    assert after["width"] / before["width"] == pytest.approx(3, rel=0.02)
    page.wait_for_timeout(400)  # fingers are slower than this program
    assert page.locator(".scale kbd:visible").all_inner_texts() == [*"12345"]
    page.get_by_role("button", name="Good").tap()
    page.get_by_role("button", name="No particular reason").tap()
    page.locator(".count", has_text="1 /").wait_for()
    assert rated.store.scores()["score"].tolist() == [4]
    assert wide == 1024
    context.close()


def test_it_fills_the_screen_and_leaves_it(start, page):
    start()
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement")
    box = page.locator(".evalkit-rating").bounding_box()
    assert (box["x"], box["y"]) == (0, 0)
    page.keyboard.press("f")
    page.wait_for_function("() => !document.fullscreenElement")


def test_a_key_that_is_held_down_answers_once(start, page, rated):
    start()
    for _ in range(3):
        page.keyboard.down("4")  # again without up: a repeat
    page.keyboard.press("Enter")
    page.locator(".count", has_text="1 /").wait_for()
    page.keyboard.up("4")
    assert len(rated.store.scores()) == 1


def test_two_languages_from_one_table(start, page, ready):
    start()
    page.get_by_role("button", name="中文").click()
    page.get_by_role("button", name="优").wait_for()
    assert page.locator(".evalkit-rating").get_attribute("lang") == "zh-Hans"
    page.reload()
    ready()
    page.keyboard.press("3")
    page.get_by_role("button", name="塑料感").wait_for()
    text = page.locator(".evalkit-rating").inner_text().replace("English", "")
    keys = page.locator("kbd").all_inner_texts()
    assert [
        w for w in text.split() if w.isascii() and w.isalpha() and w not in keys
    ] == []


def test_everything_has_a_name_and_is_reached_by_tab(start_pairs, page):
    start_pairs()
    tree = page.locator(".evalkit-rating").aria_snapshot()
    assert "Which picture is better?" in tree
    assert '- progressbar "' in tree
    assert page.locator(".news").inner_text().endswith("done. Practice")
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.innerText"))
    names = page.locator("button:visible:enabled").all_inner_texts()
    assert all(names)
    assert set(names) <= reached


@pytest.mark.parametrize("where", ["welcome", "rate"])
def test_text_has_enough_contrast(start, page, address, where):
    page.goto(address) if where == "welcome" else start()
    page.wait_for_selector(".screen")
    worst = page.evaluate(CONTRAST)
    assert worst >= 4.5  # WCAG 2.2, 1.4.3, level AA


CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [0.2126 * r, 0.7152 * g, 0.0722 * b];
  const linear = (c) => ((c /= 255) <= 0.04045 ? c / 12.92
    : ((c + 0.055) / 1.055) ** 2.4);
  const luminance = (rgb) => light(rgb.map(linear)).reduce((a, b) => a + b);
  const ground = (node) => {
    const colour = parse(getComputedStyle(node).backgroundColor);
    return colour.length > 3 && colour[3] < 0.5 ? ground(node.parentElement) : colour;
  };
  const ratios = [...document.querySelectorAll(".screen *")]
    .filter((n) => n.checkVisibility() && !n.closest(":disabled, .name") &&
      [...n.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
    .map((n) => [parse(getComputedStyle(n).color), ground(n)].map(
      (c) => luminance(c.slice(0, 3)) + 0.05))
    .map(([a, b]) => Math.max(a, b) / Math.min(a, b));
  return Math.min(...ratios);
}"""


def test_it_cleans_up_after_itself(page, address):
    page.goto(address)
    page.wait_for_load_state("networkidle")  # its own pictures are loaded
    left = page.evaluate(CLEAN_UP)
    assert left == {"handlers": 0, "urls": 0, "sent": 0}


CLEAN_UP = """async () => {
  const { default: widget } = await import("./widget.js");
  const labels = await (await fetch("labels.json")).json();
  const messages = await (await fetch("messages.json")).json();
  const canvas = new OffscreenCanvas(8, 8);
  canvas.getContext("2d").fillRect(0, 0, 8, 8);
  const png = new DataView(await (await canvas.convertToBlob()).arrayBuffer());
  const handlers = new Set(), urls = new Set();
  const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
  URL.createObjectURL = (blob) => (urls.add(create.call(URL, blob)), [...urls].at(-1));
  URL.revokeObjectURL = (url) => (urls.delete(url), revoke.call(URL, url));
  const item = { id: "0", kind: "ab", content: null, is_training: false,
    stimuli: ["1a", "1b"], source: "1c", width: 8, height: 8, given: null };
  const view = { state: "rate", language: "en", progress: { done: 0, total: 1 }, item,
    kinds: ["ab"], preload: ["2a"], can_undo: false, reveal: null };
  let sent = 0;
  const model = {
    get: (name) => ({ labels, messages })[name],
    on: (_, handler) => handlers.add(handler),
    off: (_, handler) => handlers.delete(handler),
    send({ id, ask }) {
      sent += 1;
      const reply = ask === "stimulus" ? [{ id }, [png]] : [{ id, view }, []];
      setTimeout(() => handlers.forEach((handler) => handler(...reply)));
    },
  };
  const el = document.body.appendChild(document.createElement("div"));
  const stop = widget.render({ model, el });
  await new Promise((resolve) => setTimeout(resolve, 500));
  if (urls.size < 3) return "no picture was shown";
  stop();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = sent;
  el.querySelector(".scale button").click();
  el.querySelector(".evalkit-rating").dispatchEvent(
    new KeyboardEvent("keydown", { key: "ArrowLeft", bubbles: true }));
  return { handlers: handlers.size, urls: urls.size, sent: sent - before };
}"""


def test_an_answer_waits_for_the_connection(start, page, server, press, rated):
    start()
    server.kill()
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    alarm = page.get_by_role("alert")
    alarm.get_by_text("No connection").wait_for()
    page.keyboard.press("2")  # is not taken: there is one on its way
    server.start()
    page.locator(".count", has_text="1 /").wait_for()
    assert rated.store.scores()["score"].tolist() == [4]
    alarm.wait_for(state="hidden")


def test_the_next_picture_is_there_soon_after_the_key(start, press, page, ready):
    start()
    waits = []
    for _ in range(11):
        ready()
        began = time.perf_counter()
        press("3")
        waits.append(time.perf_counter() - began)
    # of which 0.3 s are grey; benchmarks/rating_latency.py measures
    assert sorted(waits)[5] < 1.05
