"""The page of the service, in a browser: every control, and no file left out."""

import io

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def files(tmp_path):
    """A picture and a file that is none."""
    stream = io.BytesIO()
    chance = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    Image.fromarray(chance).save(stream, "png")
    return [
        {"name": "a picture.png", "mimeType": "image/png", "buffer": stream.getvalue()},
        {"name": "<b>none.png", "mimeType": "image/png", "buffer": b"no picture"},
    ]


@pytest.mark.parametrize(("width", "language"), [(1280, "en-GB"), (390, "zh-CN")])
def test_pictures_are_sent_shown_and_saved(
    served, chromium, need, files, width, language
):
    need(chromium, "install chromium to test the service's page")
    context = chromium.new_context(
        viewport={"width": width, "height": 800}, locale=language
    )
    page = context.new_page()
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text))
    page.goto(f"{served.address}/")
    page.select_option("select[name=name]", "gpen-512")
    assert "accept gpen" in page.inner_text(".lacks")
    page.select_option("select[name=name]", "bicubic")
    page.select_option("select[name=scale]", "3")
    page.fill("input[name=settings]", "{")
    page.set_input_files("input[type=file]", files)
    page.click(".go")
    assert "JSON" in page.inner_text(".said")
    page.fill("input[name=settings]", "")
    page.click(".go")
    page.wait_for_selector(".pictures li:nth-child(2)")
    page.wait_for_selector(".stop:disabled")
    first, second = page.locator(".pictures li").all()
    assert "a picture.png" in first.inner_text()
    assert "bicubic@scale=3" in first.inner_text()
    assert "<b>none.png" in second.inner_text()
    assert "1" in page.inner_text(".said")
    with page.expect_download() as saved:
        first.locator("a").click()
    assert Image.open(saved.value.path()).size == (180, 120)
    first.locator("button").click()
    assert page.locator(".viewer img").count() == 2
    title = page.inner_text("h1")
    page.click("[data-speak=zh]" if language == "en-GB" else "[data-speak=en]")
    assert page.inner_text("h1") != title
    is_wider = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(f"() => {is_wider}")
    assert faults == []
    context.close()


def test_the_work_is_stopped(start, chromium, need, files):
    need(chromium, "install chromium to test the service's page")
    served = start("--with", "realesrgan-x4plus@tile=64")
    page = chromium.new_page()
    page.goto(f"{served.address}/")
    page.wait_for_selector("select[name=name] option", state="attached")
    large = io.BytesIO()
    Image.new("RGB", (900, 900)).save(large, "png")
    page.set_input_files("input[type=file]", [{**files[0], "buffer": large.getvalue()}])
    page.click(".go")
    page.wait_for_selector(".pictures li progress")
    page.click(".stop")
    page.wait_for_selector(".stop:disabled", timeout=60_000)
    assert "not restored" in page.inner_text(".pictures li")
    page.close()


def test_what_is_stopped_while_it_is_sent_is_not_worked_on(
    served, chromium, need, files
):
    need(chromium, "install chromium to test the service's page")
    page = chromium.new_page()
    held = []
    page.goto(f"{served.address}/")
    page.wait_for_selector("select[name=name] option", state="attached")
    page.route("**/api/upscale?async=1", lambda route: held.append(route))
    page.set_input_files("input[type=file]", files[:1])
    page.click(".go")
    page.wait_for_selector(".pictures li progress")
    page.click(".stop")
    with page.expect_request(lambda request: request.method == "DELETE"):
        held[0].continue_()
    page.wait_for_selector(".stop:disabled")
    page.close()
