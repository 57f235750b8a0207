"""How soon after the key the next stimulus is on the screen, in Chromium.

``python benchmarks/rating_latency.py`` serves a session of pictures of 1280x960 px on
localhost, answers every item by its key as soon as the next ones are loaded, and prints
the time from the key to the frame in which the next picture is painted, in ms: median,
95th percentile and worst, for single pictures and for pairs. 300 ms of it are grey, so
that no two pictures flicker; at most 450 is the aim.
"""

import asyncio
import os
import shutil
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import uvicorn
from playwright.async_api import Page, async_playwright
from skimage import data, transform

from evalkit.images import write_image
from evalkit.rating import (
    Store,
    name_stimuli,
    plan_session,
    rating_app,
    write_stimuli,
)

PORT = 8767

# The second callback comes in the frame after the one in which the picture appeared.
MEASURE = """key => new Promise((resolve) => {
  const stage = document.querySelector(".stage");
  const seen = new MutationObserver(() => {
    const next = document.querySelector(".stage");
    if (next === stage || !(next || document.querySelector(".main"))) return;
    seen.disconnect();
    requestAnimationFrame(() => requestAnimationFrame((at) => resolve(at - pressed)));
  });
  seen.observe(document.querySelector(".evalkit-rating"), { childList: true });
  stage.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const pressed = performance.now();
  stage.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
})"""


def plan(folder: Path) -> str:
    """Plan a session of both kinds; its link's secret."""
    rows = []
    pictures = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    for number, picture in enumerate(pictures):
        large = transform.resize(picture[:300, :400], (960, 1280))
        noise = np.random.default_rng(number).normal(0, 0.02, large.shape)
        path = folder / f"{number}.png"
        write_image(path, (255 * np.clip(large + noise, 0, 1)).astype(np.uint8))
        for name in ("source", "bicubic", "simulated-1", "simulated-2"):
            role = {"source": "source", "bicubic": "anchor"}.get(name, "system")
            rows.append((f"{number}", name, role, "none", str(path), f"{number}"))
    columns = ["source", "condition", "role", "weights_kind", "path", "picture"]
    outputs = pd.DataFrame(rows, columns=columns).assign(width_px=1280, height_px=960)
    stimuli = name_stimuli(outputs, 0)
    store = Store(folder / "ratings.sqlite")
    number = store.add_subject("simulated")
    items = plan_session(outputs, number=number, seed=0, mode="both", minutes=12)
    store.set_plan("simulated", items, stimuli)
    write_stimuli(items, outputs, stimuli, folder / "stimuli")
    serve(store, folder / "stimuli")
    return store.link("simulated", days=1)


def serve(store: Store, stimuli: Path) -> None:
    config = uvicorn.Config(rating_app(store, stimuli), port=PORT, log_level="warning")
    threading.Thread(target=uvicorn.Server(config).run, daemon=True).start()


async def rate(page: Page) -> dict[str, list[float]]:
    """Answer every item; by kind of the item before, how long the next one took."""
    waited_ms: dict[str, list[float]] = {"acr": [], "ab": []}
    await page.get_by_role("checkbox", name="I have read this").check()
    await page.get_by_role("button", name="Start", exact=True).click()
    await page.get_by_role("button", name="Skip").click()
    while True:
        await page.wait_for_load_state("networkidle")
        await page.wait_for_timeout(1200)  # the next ones are loaded and decoded
        if not await page.locator(".stage").count():
            return waited_ms
        took = await page.evaluate(MEASURE, "3")  # of a pair: the right one
        is_pair = await page.locator(".screen.ab").count()
        waited_ms["ab" if is_pair else "acr"].append(took)


async def main() -> None:
    with TemporaryDirectory() as folder:
        secret = plan(Path(folder))
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = await browser.new_page(viewport={"width": 1280, "height": 720})
            await page.goto(f"http://127.0.0.1:{PORT}/r/{secret}/")
            waited_ms = await rate(page)
            await browser.close()
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    print("next is, n, median_ms, p95_ms, worst_ms")
    for kind, times in waited_ms.items():
        p50, p95 = np.quantile(times, [0.5, 0.95])
        print(f"{kind}, {len(times)}, {p50:.0f}, {p95:.0f}, {max(times):.0f}")


if __name__ == "__main__":
    asyncio.run(main())
