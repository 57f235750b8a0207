"""Draw the rating screens of the README.

`python tests/browser/draw_screens.py RUN FOLDER` shows pictures of a run of the set
`quick`, whose licences allow it, and writes one PNG a screen.
"""

import shutil
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
from playwright.sync_api import sync_playwright

from evalkit.rating import (
    Item,
    Session,
    Store,
    name_stimuli,
    rating_app,
    write_stimuli,
)
from evalkit.study import open_run
from evalkit.study.rating import rated_outputs

PORT = 8768
READY = ".evalkit-rating:not(.waiting):not(.fresh) .stage"
PLAIN, SHARP = "lanczos", "realesrgan-x4plus"
N_BEFORE, N_AFTER = 11, 9
"""Items that are not shown, so that the progress is somewhere."""


def item(source: str, left: str, right: str | None = None) -> Item:
    kind = "ab" if right else "acr"
    return Item(kind=kind, role="system", source=source, left=left, right=right)


ITEMS = [
    item("portrait-jpeg", SHARP),
    item("building-pagoda", PLAIN, SHARP),
    item("portrait-highlights", SHARP, PLAIN),
    item("text-page", PLAIN, SHARP),
]


def plan(run: str, folder: Path) -> str:
    """Plan and serve one session; the address of its page."""
    outputs = rated_outputs(open_run(run), [PLAIN, SHARP])
    stimuli = name_stimuli(outputs, seed=0)
    store = Store(folder / "ratings.sqlite")
    store.add_subject("s01")
    more = [ITEMS[0]] * N_BEFORE, [ITEMS[0]] * N_AFTER
    store.set_plan("s01", [*more[0], *ITEMS, *more[1]], stimuli)
    write_stimuli(ITEMS, outputs, stimuli, folder / "stimuli")
    session = Session(store, "s01", folder / "stimuli")
    session.handle({"type": "start"})
    answer(session, N_BEFORE)
    app = rating_app(store, folder / "stimuli")
    config = uvicorn.Config(app, port=PORT, log_level="warning")
    threading.Thread(target=uvicorn.Server(config).run, daemon=True).start()
    return f"http://127.0.0.1:{PORT}/r/{store.link('s01', days=1)}/"


def answer(session: Session, n: int) -> None:
    """Answer `n` items as nobody would, for a picture of what comes after them."""
    for number in range(n):
        item = session.view()["item"]
        value = 3 if item["kind"] == "acr" else "same"
        event = {"type": "answer", "item": item["id"], "attempt": f"{number}"}
        session.handle(event | {"value": value, "seconds": 1.0})


def main(run: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as temporary, sync_playwright() as playwright:
        address = plan(run, Path(temporary))
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 720})
        page.goto(address)
        page.wait_for_selector(READY)

        def draw(name: str, *keys: str) -> None:
            for key in keys:
                page.keyboard.press(key)
                page.wait_for_timeout(400)
            page.wait_for_timeout(600)
            page.screenshot(path=folder / f"{name}.png")

        draw("acr")
        tablet = browser.new_context(
            viewport={"width": 1024, "height": 768}, has_touch=True, is_mobile=True
        ).new_page()
        tablet.goto(address)
        tablet.wait_for_selector(READY)
        tablet.screenshot(path=folder / "tablet.png")
        for key in ("4", "Enter"):
            page.keyboard.press(key)
            page.wait_for_timeout(1500)
        draw("ab")
        draw("split", "x")
        for key in ("ArrowRight", "Enter"):
            page.keyboard.press(key)
            page.wait_for_timeout(1500)
        box = page.locator(".pane").first.bounding_box() or {}
        page.mouse.move(box["x"] + 0.43 * box["width"], box["y"] + 0.2 * box["height"])
        page.mouse.wheel(0, -500)
        page.mouse.down()
        page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.45 * box["height"])
        page.mouse.up()
        draw("zoomed")
        for key in ("ArrowLeft", "Enter"):
            page.keyboard.press(key)
            page.wait_for_timeout(1500)
        page.get_by_role("button", name="中文").click()
        page.wait_for_timeout(600)
        draw("chinese", "ArrowRight", "w")
        page.get_by_role("button", name="English").click()
        page.wait_for_timeout(400)
        store = Store(Path(temporary) / "ratings.sqlite")
        answer(Session(store, "s01", Path(temporary) / "stimuli"), N_AFTER + 1)
        page.reload()
        page.get_by_role("button", name="Hand in my answers").wait_for()
        draw("finished")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
