"""The page of `evalkit compare` as a reader uses it: every control, once."""

from pathlib import Path

import numpy as np
import pytest
from skimage import data

from evalkit.daily.compare import Comparison, View, shown_as
from evalkit.daily.compare_page import write_page
from evalkit.daily.compare_widget import CompareWidget


def comparisons() -> list[Comparison]:
    face = np.ascontiguousarray(data.astronaut()[:128, 160:288])
    large = face.repeat(4, axis=0).repeat(4, axis=1)
    made = {"source": face, "lanczos": large, "bicubic": large // 2, "hybrid": face}
    views = [
        shown_as(View(name, wall_time_s=0.5, load_time_s=0, memory_mib=99), picture)
        for name, picture in made.items()
    ]
    views.append(View("gpen-512", reason="absent", command="evalkit weights fetch x"))
    return [Comparison(name=name, views=views) for name in ("me", "you")]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    page = tmp_path_factory.mktemp("page") / "page.html"
    write_page(comparisons(), page)
    return page


@pytest.fixture
def open_page(chromium, page_file, need):
    need(chromium, "install chromium to test pages as a reader sees them")
    contexts = []

    def opened(width, height, **how):
        contexts.append(
            chromium.new_context(viewport={"width": width, "height": height}, **how)
        )
        page = contexts[-1].new_page()
        page.wrong = []
        page.on("console", lambda message: page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on(
            "request", lambda r: page.wrong.extend([r.url] * r.url.startswith("http"))
        )
        page.goto(page_file.as_uri())
        page.locator(".stage").first.wait_for()
        return page

    yield opened
    for context in contexts:
        context.close()


def test_every_control_is_used(open_page):
    page = open_page(1366, 768, locale="en-US")
    me, you = page.locator(".picture").all()
    stage, panes = me.locator(".stage"), me.locator(".pane")
    assert panes.count() == 4  # the one without a picture is a card alone
    assert "evalkit weights fetch x" in me.locator(".view").last.inner_text()

    # one zoom for all
    me.get_by_role("button", name="1:1").click()
    assert me.locator(".percent").inner_text() == "100 %"
    moved = {i.evaluate("i => i.style.transform") for i in panes.locator("img").all()}
    assert len(moved) == 1
    me.get_by_role("button", name="+", exact=False).first.click()
    assert me.locator(".percent").inner_text() == "125 %"
    me.get_by_role("button", name="Whole").click()

    me.get_by_role("button", name="Flip").click()
    assert stage.get_attribute("data-mode") == "flip"
    assert panes.locator("visible=true").count() == 1
    me.get_by_role("button", name="Split").click()
    assert stage.get_attribute("data-mode") == "split"
    me.get_by_role("button", name="Side by side").click()

    # who is shown; never nobody
    boxes = me.get_by_role("checkbox")
    boxes.nth(3).uncheck()
    assert me.locator(".pane").count() == 3
    for number in (0, 1):
        boxes.nth(number).uncheck()
    boxes.nth(2).click()
    assert boxes.nth(2).is_checked()
    assert me.locator(".pane .name").all_inner_texts() == ["bicubic"]

    # differences: of equal size, of another one, and off again
    me.get_by_role("button", name="Map the differences").click()
    me.locator("output:not(:empty)").wait_for()
    names = ["lanczos", "bicubic", "lanczos \N{MINUS SIGN} bicubic"]
    assert me.locator(".pane .name").all_inner_texts() == names
    mean = (data.astronaut()[:128, 160:288].max(axis=2) + 1) // 2
    said = me.locator("output").inner_text()
    assert float(said.split(";")[1].split()[0]) == pytest.approx(mean.mean(), rel=0.05)
    me.locator("select").nth(1).select_option("lanczos")
    me.locator("output", has_text="0.0 levels").wait_for()
    me.get_by_role("button", name="Map the differences").click()
    assert me.locator(".pane .name").all_inner_texts() == ["bicubic"]
    assert me.locator("output").inner_text() == ""

    # the next picture, and the other language
    you.locator("summary").first.click()
    you.locator(".stage").wait_for()
    page.get_by_role("button", name="中文").click()
    assert page.locator("main").get_attribute("lang") == "zh"
    assert you.get_by_role("button", name="并排").is_visible()
    assert you.locator(".pane .name").first.inner_text() == "原图"
    assert not page.get_by_text("generated").is_visible()
    page.get_by_role("button", name="English").click()
    assert page.get_by_text("generated").is_visible()
    assert page.wrong == []


def test_on_a_phone_four_pictures_stand_in_two_rows(open_page):
    page = open_page(390, 844, locale="zh-CN", has_touch=True)
    tops = {box.bounding_box()["y"] for box in page.locator(".pane").all()}
    assert len(tops) == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_by_text("修复图片中的细节是生成的").is_visible()
    # what is under a finger of the second row stays there
    stage = page.locator(".stage")
    box = page.locator(".pane").nth(2).bounding_box()
    stage.focus()
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
    where = """([x, y]) => {
      const shown = document.querySelectorAll(".pane img")[2];
      const image = shown.getBoundingClientRect();
      return [(x - image.left) / image.width, (y - image.top) / image.height];
    }"""
    before = page.evaluate(where, [x, y])
    small = page.locator(".percent").inner_text()
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    page.locator(".percent", has_not_text=small).wait_for()
    assert page.evaluate(where, [x, y]) == pytest.approx(before, abs=0.02)
    assert page.wrong == []


def test_a_notebook_shows_the_same_by_the_same_script(chromium, need):
    need(chromium, "install chromium to test pages as a reader sees them")
    widget = CompareWidget(comparisons())
    page = chromium.new_page(locale="zh-CN")
    page.set_content("<div id='cell' style='width: 900px'></div>")
    page.add_style_tag(content=widget._css)
    render = """async ([script, html]) => {
      const blob = new Blob([script], { type: "text/javascript" });
      const module = await import(URL.createObjectURL(blob));
      const el = document.querySelector("#cell");
      module.default.render({ model: { get: () => html }, el });
    }"""
    page.evaluate(render, [widget._esm, widget.html])
    first = page.locator(".picture").first
    assert first.locator(".pane").count() == 4
    assert first.get_by_role("button", name="显示差异图").is_visible()
    first.get_by_role("button", name="切换").click()
    assert first.locator(".stage").get_attribute("data-mode") == "flip"
    page.close()
