"""Draw the report's screen of the READMEs: ``figures/report.png``.

`python docs/screen.py RUN` shows the report of a finished run of the set ``quick``,
whose licences allow it: the first picture under every condition, and the charts. What
run that was stands in ``figures/report.json``.
"""

import hashlib
import io
import json
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

CHROMIUM = "/usr/bin/chromium"
WIDTH, MOST_BYTES = 1280, 300_000
SHOWN = ("article.picture", ".scroll:has(table.chart)")
"""What of the page stands below each other."""

STILL = """nav { position: static !important }
article.picture ~ article.picture { display: none !important }"""
"""No bar lies over a part, and no other picture between them grows when it is seen."""


def parts(report):
    """A picture of each part of the page."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport={"width": WIDTH, "height": 3200})
        page.goto(report.as_uri())
        page.add_style_tag(content=STILL)
        page.wait_for_timeout(2000)
        for selector in SHOWN:
            yield Image.open(io.BytesIO(page.locator(selector).first.screenshot()))
        chromium.close()


def main(run):
    """Write the picture in as few colours as its limit asks for, and its origin."""
    figures = Path(__file__).resolve().parent.parent / "figures"
    report = run / "report.html"
    shown = list(parts(report))
    screen = Image.new("RGB", (WIDTH, sum(part.height for part in shown)), "white")
    top = 0
    for part in shown:
        screen.paste(part, ((WIDTH - part.width) // 2, top))
        top += part.height
    for n_colours in (256, 192, 128, 96, 64):
        screen.quantize(n_colours).save(figures / "report.png", optimize=True)
        if (figures / "report.png").stat().st_size < MOST_BYTES:
            break
    environment = json.loads((run / "environment.json").read_text(encoding="utf-8"))
    origin = {
        "made_by": "python docs/screen.py RUN",
        "run": "default, of the set quick",
        "commit": environment["commit"]["commit"],
        "machine": environment["machine"]["machine"],
        "report_sha256": hashlib.sha256(report.read_bytes()).hexdigest(),
    }
    text = json.dumps(origin, indent=1) + "\n"
    (figures / "report.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
