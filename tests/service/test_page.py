"""The page of the service, in a browser: every control, and no file left out."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from PIL import Image

from evalkit import load_restorer, write_image
from evalkit.daily.controls import controls_of
from evalkit.service.offers import offered
from evalkit.service.page import DRAWN

UNPROCESSABLE = "the server responded with a status of 422 (Unprocessable Entity)"


@pytest.fixture
def files():
    """Two pictures of one name, and a file that is none."""

    def png(seed: int) -> bytes:
        stream = io.BytesIO()
        chance = np.random.default_rng(seed).integers(0, 255, (40, 60, 3), np.uint8)
        Image.fromarray(chance).save(stream, "png")
        return stream.getvalue()

    kind = {"mimeType": "image/png"}
    return [
        {"name": "a picture.png", "buffer": png(0), **kind},
        {"name": "<b>none.png", "buffer": b"no picture", **kind},
        {"name": "A PICTURE.png", "buffer": png(1), **kind},
    ]


@pytest.fixture
def opened(served, chromium, need):
    """``opened(width, language)``: the page, which has no fault but those to be."""
    need(chromium, "install chromium to test the service's page")
    contexts, faults, expected = [], [], []

    def begin(width: int = 1280, language: str = "en-GB", faults_to_be=()):
        expected.extend(faults_to_be)
        context = chromium.new_context(
            viewport={"width": width, "height": 800}, locale=language
        )
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text))
        with page.expect_response("**/api/restorers"):
            page.goto(f"{served.address}/")
        return page

    yield begin
    for context in contexts:
        context.close()
    assert faults == expected


def settings_of(page) -> dict:
    return json.loads(page.input_value("[name=settings]"))


@pytest.mark.parametrize(("width", "language"), [(1280, "en-GB"), (390, "zh-CN")])
def test_pictures_are_sent_shown_and_saved(opened, files, width, language):
    page = opened(width, language)
    page.select_option("select[name=name]", "gpen-512")
    page.wait_for_selector(".lacks:not(:empty)")
    assert "accept gpen" in page.inner_text(".lacks")
    page.select_option("select[name=name]", "bicubic")
    page.fill("#of-bicubic [name=scale]", "3")
    page.fill("[name=settings]", "{")
    page.set_input_files("input[type=file]", files)
    page.click(".go")
    assert "JSON" in page.inner_text(".said")
    page.fill("[name=settings]", '{"name": "bicubic", "scale": 3}')
    page.click(".go")
    page.wait_for_selector(".pictures li:nth-child(3)")
    page.wait_for_selector(".stop:disabled")
    first, second, third = page.locator(".pictures li").all()
    assert "a picture.png" in first.inner_text()
    assert "bicubic@scale=3" in first.inner_text()
    first.locator("summary").click()
    assert '{"name": "bicubic", "scale": 3}' in first.inner_text()
    assert "<b>none.png" in second.inner_text()
    assert "<b>none.png" in page.inner_text(".said")
    with page.expect_download() as saved:
        third.locator("a").click()
    assert Image.open(saved.value.path()).size == (180, 120)
    with page.expect_download() as saved:
        page.click(".said a")
    with zipfile.ZipFile(saved.value.path()) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a picture.png", "A PICTURE-2.png"]
        for name, file in zip(archive.namelist(), files[::2], strict=True):
            made = Image.open(io.BytesIO(archive.read(name)))
            source = np.asarray(Image.open(io.BytesIO(file["buffer"])))
            restored = load_restorer("bicubic", scale=3).restore(source).image
            assert np.array_equal(np.asarray(made), restored)
    first.locator("button").click()
    assert page.locator(".viewer img").count() == 2
    title = page.inner_text("h1")
    page.click("[data-speak=zh]" if language == "en-GB" else "[data-speak=en]")
    assert page.inner_text("h1") != title
    is_wider = "document.documentElement.scrollWidth > innerWidth"
    assert not page.evaluate(f"() => {is_wider}")


def test_every_control_writes_into_the_json(opened):
    page = opened()
    for spec in offered():
        page.select_option("select[name=name]", spec.name)
        expected = {"name": spec.name}
        for more in page.locator(f"#of-{spec.name} details:not([open])").all():
            more.locator("summary").click()
        page.fill("[name=settings]", json.dumps(expected))
        page.dispatch_event("[name=settings]", "change")
        drawn = page.locator(f"#of-{spec.name} [name]")
        assert drawn.count() == len([c for c in controls_of(spec) if c.kind in DRAWN])
        for control in controls_of(spec):
            place = f"#of-{spec.name} [name={control.name}]"
            if control.kind == "number":
                expected[control.name] = control.option.high
                page.fill(place, str(control.option.high))
                page.dispatch_event(place, "change")
            elif control.kind == "choice":
                expected[control.name] = control.choices[-1]
                page.select_option(place, json.dumps(control.choices[-1]))
        assert settings_of(page) == expected
        for name, value in expected.items():
            control = spec.all_options.get(name)
            assert control is None or control.check(name, value) is None


def test_json_sets_the_controls_and_another_restorer_keeps_what_it_has(opened):
    page = opened()
    given = {"name": "gpen-512", "tile": 256, "strength": 40, "skin_protection": True}
    page.fill("[name=settings]", json.dumps(given | {"device": "cuda:7"}))
    page.dispatch_event("[name=settings]", "change")
    assert page.input_value("select[name=name]") == "gpen-512"
    values = [
        page.input_value(f"#of-gpen-512 [name={name}]")
        for name in ("tile", "strength", "skin_protection", "precision", "device")
    ]
    assert values == ["256", "40", "true", '"auto"', ""]
    page.fill("#of-gpen-512 [name=tile]", "")
    page.dispatch_event("#of-gpen-512 [name=tile]", "change")
    del given["tile"]
    assert settings_of(page) == given | {"device": "cuda:7"}
    page.select_option("select[name=name]", "realesrgan-x4plus")
    assert settings_of(page) == {"name": "realesrgan-x4plus", "device": "cuda:7"}


def test_what_is_hidden_stops_nothing_and_everything_said_changes_its_language(
    opened, files
):
    page = opened()
    page.click(".go")
    page.click(".ask")
    for place in (".said", ".advice"):
        assert "choose some first" in page.inner_text(place)
    for given in ('{"name": "gpen-512", "confidence": 2}', "{", '{"name": "lanczos"}'):
        page.fill("[name=settings]", given)
        page.dispatch_event("[name=settings]", "change")
        assert ("JSON" in page.inner_text(".said")) == (given == "{")
    page.fill("#of-lanczos [name=scale]", "03.0")
    page.dispatch_event("#of-lanczos [name=scale]", "change")
    assert settings_of(page) == {"name": "lanczos", "scale": 3}
    page.set_input_files("input[type=file]", files[::2])
    page.click(".go")
    page.wait_for_selector(".said a")
    page.click("[data-speak=zh]")
    for place in (".said", ".said a", ".pictures button", ".pictures summary"):
        assert re.search("[\u4e00-\u9fff]", page.locator(place).first.inner_text())


@pytest.mark.slow
def test_the_router_says_on_the_page_what_the_command_says(
    opened, astronaut, tmp_path, told
):
    """Also that a picture is longer than GPEN is recommended for."""
    names = ("someone.png", "long.png", "none.png")
    someone, long, none = (tmp_path / name for name in names)
    write_image(someone, astronaut[:256, 96:352])
    write_image(long, np.tile(astronaut[300:364], (1, 3, 1)))
    none.write_bytes(b"no picture")
    page = opened(faults_to_be=[f"Failed to load resource: {UNPROCESSABLE}"])
    page.set_default_timeout(60_000)
    page.set_input_files("input[type=file]", [none, someone, long])
    page.click(".ask")
    page.wait_for_selector(".advice p:nth-child(3) button")
    refused, *advised = page.locator(".advice p").all()
    assert "the file is not a picture" in refused.inner_text()
    _, printed, _ = told("route", someone, long)
    lines = [line for line in printed.splitlines() if line.startswith(str(tmp_path))]
    for said, line in zip(advised, lines, strict=True):
        chosen = line.rpartition(": ")[2]
        assert f"{chosen} is advised" in said.inner_text()
    assert "1536 px; for GPEN at most 1200" in advised[1].inner_text()
    assert "1200" not in advised[0].inner_text()
    advised[1].locator("button").click()
    assert settings_of(page)["name"] == "realesrgan-x4plus"
    assert page.input_value("select[name=name]") == "realesrgan-x4plus"


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
    page.wait_for_selector(".stop:disabled", timeout=120_000)
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
