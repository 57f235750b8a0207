import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
import yaml
from skimage import data

from evalkit.images import write_image
from evalkit.records import RecordStore
from evalkit.report import FILES, write_report
from evalkit.tables import COST, IMAGES, VERDICTS

CONDITIONS = ["lanczos", "realesrgan-x4plus@runner=upstream", "realesrgan-x4plus"]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LAPTOP, PHONE = (1366, 768), (390, 844)
screens = pytest.mark.parametrize("screen", [LAPTOP, PHONE], ids=["laptop", "phone"])


def make_run(run: Path) -> Path:
    """A run folder with one portrait and one page, three conditions and a failure."""
    images, records, cost = [], [], []
    pictures = {"portrait": data.astronaut()[:256:2, 64:448:2], "page": data.page()}
    for source, picture in pictures.items():
        path = run / "sources" / f"{source}.png"
        write_image(path, np.ascontiguousarray(picture))
        sha256 = f"sha of {source}"
        images.append(
            {"source": source, "kind": source, "path": str(path), "sha256": sha256}
        )
        for condition in CONDITIONS:
            output = f"outputs/{condition}/{source}.png"
            write_image(run / output, picture.repeat(4, axis=0).repeat(4, axis=1))
            record = {
                "key": f"{condition} {source}",
                "experiment": "quality",
                "run": 1,
                "phase": "cold",
                "machine": "workshop-pc",
                "condition": condition,
                "source": source,
                "source_sha256": sha256,
                "weights_kind": "package",
                "outcome": "ok",
                "wall_time_s": 2.5,
                "output": output,
                "notes": ["bf16: this processor has units for it"],
            }
            records.append(record)
            cost.append(
                {key: record[key] for key in ("condition", "source", "machine")}
                | {"source_width_px": 192, "source_height_px": 128, "n_runs": 3}
                | {"wall_time_s": 2.5, "restorer": condition.partition("@")[0]}
            )
    records[-1] |= {"outcome": "oom", "error": "3.2 GiB wanted", "output": None}
    text = "a sentence that is long enough to fill a line of the table and then some"
    verdicts = [
        dict.fromkeys(VERDICTS.columns, text)
        | {"n_intervals": 0, "section": "4.3"}
        | {"claim": f"G{n}", "kind": ("measure", "rating")[n % 2], "verdict": verdict}
        for n, verdict in enumerate(["reproduced", "not yet tested", "contradicted"])
    ]
    for table, rows in ((IMAGES, images), (COST, cost), (VERDICTS, verdicts)):
        table.write(table.frame(rows), run / "tables")
    RecordStore(run).append(records)
    study = {"name": "default", "images": "quick", "conditions": CONDITIONS}
    (run / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    return write_report(run)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def browser() -> Iterator:
    program = shutil.which("chromium")
    if program is None:
        yield None
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser, page_file, need):
    """``open_page(screen)``: the report at a size; what went wrong is in ``.wrong``."""
    need(browser, "install chromium to test pages as a reader sees them")
    opened = []

    def note_request(page, url: str) -> None:
        if Path(url).name not in FILES.values() and not url.startswith("data:"):
            page.wrong.append(url)

    def at(screen: tuple[int, int], scheme: str = "light", name: str = FILES["en"]):
        width, height = screen
        page = browser.new_page(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        opened.append(page)
        page.wrong = []
        page.on("console", lambda message: page.wrong.append(message.text))
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("request", lambda request: note_request(page, request.url))
        page.goto(page_file.with_name(name).as_uri())
        return page

    yield at
    for page in opened:
        page.close()


@screens
def test_nothing_is_fetched_and_nothing_complains(open_page, screen):
    page = open_page(screen)
    page.wait_for_load_state("networkidle")
    assert page.wrong == []


@screens
def test_every_picture_is_there(open_page, screen):
    page = open_page(screen)
    widths = page.eval_on_selector_all(
        ".view img",
        "async images => (await Promise.all(images.map(i => i.decode())),"
        " images.map(i => i.naturalWidth))",
    )
    assert (
        len(widths) == 2 * (2 * 4) - 2
    )  # source and three outputs, one of them failed
    assert min(widths) > 0


@screens
def test_the_page_does_not_scroll_sideways(open_page, screen, tmp_path):
    page = open_page(screen)
    for summary in page.locator("summary").all():
        summary.click()
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= screen[0]
    page.screenshot(path=tmp_path / "report.png", full_page=True)
    assert (tmp_path / "report.png").stat().st_size > 20_000


@screens
def test_a_picture_has_one_displayed_size_under_every_condition(open_page, screen):
    page = open_page(screen)
    for section in page.locator(".picture").all():
        sizes = section.locator("img.whole").evaluate_all(
            "images => images.map(i => [i.clientWidth, i.clientHeight].join())"
        )
        assert len(sizes) >= 3
        assert len(set(sizes)) == 1


def test_every_condition_stands_in_one_row_of_one_viewer(open_page):
    page = open_page(LAPTOP)
    compare = page.locator(".compare").first
    panes = compare.locator(".pane")
    panes.nth(3).wait_for()
    tops = panes.evaluate_all("p => p.map(x => x.getBoundingClientRect().top)")
    assert len(tops) == 1 + len(CONDITIONS)
    assert len(set(tops)) == 1
    assert not page.locator(".picture").first.locator("img.whole").first.is_visible()
    phone = open_page(PHONE)  # where a finger scrolls: when it is asked for
    assert phone.locator(".picture img.whole").first.is_visible()
    phone.locator(".compare summary").first.click()
    phone.locator(".compare [data-mode=split] .over img").wait_for()


def test_pictures_are_compared_by_keyboard(open_page):
    page = open_page(LAPTOP)
    compare = page.locator(".compare").first
    stage = compare.locator(".stage")
    stage.wait_for()
    stage.press("x")
    over, under = compare.locator(".over img"), compare.locator(".under img")
    over.and_(compare.get_by_alt_text("portrait, the source", exact=True)).wait_for()
    assert under.get_attribute("alt") == f"portrait, restored by {CONDITIONS[0]}"
    compare.locator(".slider").press("ArrowRight")
    assert stage.evaluate("s => s.style.getPropertyValue('--at')") == "0.505"
    compare.locator("select").select_option("detail")
    detail = "portrait, the source: the detail"
    over.and_(compare.get_by_alt_text(detail, exact=True)).wait_for()
    assert over.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
    stage.press(" ")
    assert stage.get_attribute("data-mode") == "flip"
    stage.press("b")
    assert stage.get_attribute("data-mode") == "side"
    assert page.wrong == []


def test_the_split_is_dragged_on_the_picture(open_page):
    page = open_page(LAPTOP)
    compare = page.locator(".compare").first
    compare.locator(".stage").press("x")
    line = compare.locator(".line")
    line.wait_for()
    line.scroll_into_view_if_needed()
    box = line.bounding_box()
    x, y = box["x"] + 1, box["y"] + box["height"] / 3
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 150, y, steps=3)
    page.mouse.up()
    assert line.bounding_box()["x"] == pytest.approx(box["x"] + 150, abs=2)


@pytest.mark.parametrize("size", ["A4", "Letter"])
def test_paper_holds_every_word_and_cuts_none(open_page, tmp_path, size):
    page = open_page(LAPTOP)
    wanted = page.evaluate(
        """() => {
        const skipped = "script, style, nav, .compare, .controls, .top, .language";
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const texts = [];
        while (walker.nextNode()) {
          const parent = walker.currentNode.parentElement;
          const isHidden = parent.closest(skipped + ", .cards thead, .cards caption");
          if (!isHidden) texts.push(walker.currentNode.data.replace(/\\s/g, ""));
        }
        return texts; }"""
    )
    page.pdf(path=tmp_path / "report.pdf", format=size)
    document = pypdfium2.PdfDocument(tmp_path / "report.pdf")
    width = document[0].get_width()
    texts = [sheet.get_textpage() for sheet in document]
    paper = "".join(text.get_text_range() for text in texts)
    paper = re.sub(r"[\s\ufffe\u00ad]", "", paper)
    assert len(wanted) > 100
    assert [text for text in wanted if text not in paper] == []
    for text in texts:
        boxes = [text.get_charbox(n) for n in range(text.count_chars())]
        assert [box for box in boxes if box[0] < 0 or box[2] > width] == []


@pytest.mark.parametrize("language", ["en", "zh"])
@screens
def test_axe_finds_nothing(open_page, need, screen, language):
    need(find_spec("axe_playwright_python"), "uv pip install axe-playwright-python")
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        page = open_page(screen, scheme, FILES[language])
        for summary in page.locator("summary:visible").all():
            if summary.locator("..").get_attribute("open") is None:
                summary.click()
        found = Axe().run(page).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found] == []


def test_the_chinese_report_has_no_english_sentence(open_page):
    page = open_page(LAPTOP, "light", FILES["zh"])
    page.locator("pre, code").evaluate_all("found => found.forEach(e => e.remove())")
    words = page.locator("body").inner_text()
    # names, units and files are left; a sentence has words that are none of these
    prose = re.findall(r"\b(?:the|of|and|is|are|was|with|not|from|this|for)\b", words)
    assert prose == [], words
    assert page.locator("html").get_attribute("lang") == "zh"
    page.locator(".language a").click()
    assert page.locator("h1").inner_text() == "Study default"


def test_claims_are_filtered(open_page):
    page = open_page(LAPTOP)
    page.locator("#filters select[name=kind]").select_option("measure")
    assert page.locator("#claims tbody tr:visible").count() == 2
    page.locator("#filters select[name=verdict]").select_option("contradicted")
    assert page.locator("#claims tbody tr:visible").count() == 1
    assert page.locator("#filters output").inner_text() == "1 of 3"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(open_page, scheme):
    page = open_page(LAPTOP, scheme)
    colours = page.evaluate(
        """() => ["--ink", "--soft", "--link", "--warn", "--ground", "--panel"].map(
        name => getComputedStyle(document.documentElement).getPropertyValue(name))"""
    )
    *inks, ground, panel = [luminance(colour.strip()) for colour in colours]
    for ink in inks:
        for behind in (ground, panel):
            low, high = sorted([ink, behind])
            assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2.2, 1.4.3, level AA


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb``, as WCAG 2.2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_the_page_is_whole_without_its_script(browser, page_file, need):
    need(browser, "install chromium to test pages as a reader sees them")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_file.as_uri())
    assert page.locator(".view img").count() == 14
    assert page.locator("#claims tbody tr").count() == 3
    assert not page.locator(".compare").first.is_visible()
    context.close()
