"""An album whose names, texts and profiles are code: no notebook, no report runs it."""

from pathlib import Path

import pytest
from strangers import BROKEN_CODE, CODE

pytestmark = pytest.mark.slow

NOTEBOOKS = ("10_images", "20_restore-lanczos", "60_compare", "70_rate", "90_verdict")


def html_of(run: Path, notebook: str) -> str:
    """An executed notebook as ``jupyter nbconvert --to html`` shows its cells."""
    from nbconvert import HTMLExporter

    # without the frame, which fetches its scripts from elsewhere
    exporter = HTMLExporter(template_name="basic")
    body, _ = exporter.from_filename(run / "notebooks" / f"{notebook}.ipynb")
    return f"<!doctype html><meta charset=utf-8><title>quiet</title>{body}"


def wrongs_of(page, file: Path) -> list[str]:
    """What happens in a page that should not, also when all of it is touched."""
    wrong: list[str] = []
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: wrong.append(request.url))
    page.goto(file.as_uri())
    title = page.title()
    page.evaluate(
        "document.querySelectorAll('*').forEach(e => "
        "e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true})))"
    )
    page.wait_for_timeout(300)
    if "hacked" in page.title() or page.title() != title:
        wrong.append(page.title())
    bad = page.eval_on_selector_all(
        "a[href]", "links => links.map(l => l.href).filter(h => /^javascript:/.test(h))"
    )
    handlers = page.eval_on_selector_all(
        "*",
        "all => all.flatMap(e => e.getAttributeNames()).filter(n => /^on/.test(n))",
    )
    wrong = [w for w in wrong if w != file.as_uri() and not w.startswith("data:")]
    return [*wrong, *bad, *handlers]


@pytest.mark.parametrize("name", CODE[:4])
def test_a_name_that_is_not_escaped_would_be_noticed(name, page, tmp_path):
    file = tmp_path / "raw.html"
    link = name.replace("[a](", '<a href="').rstrip(")") + '">'
    file.write_text(f"<title>quiet</title><p title='{name}'>{link}", encoding="utf-8")
    assert wrongs_of(page, file)


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_an_executed_notebook_runs_no_name(strangers, notebook, page, tmp_path):
    file = tmp_path / "notebook.html"
    file.write_text(html_of(strangers, notebook), encoding="utf-8")
    assert wrongs_of(page, file) == []
    assert page.title() == "quiet"


def test_the_report_runs_no_name(strangers, page):
    assert wrongs_of(page, strangers / "report.html") == []
    shown = page.inner_text("body")
    for name in [*CODE, BROKEN_CODE]:
        assert name in shown


def test_the_notebooks_show_the_names_as_they_are(strangers, page, tmp_path):
    file = tmp_path / "notebook.html"
    file.write_text(html_of(strangers, "10_images"), encoding="utf-8")
    page.goto(file.as_uri())
    cells = page.eval_on_selector_all("td", "cells => cells.map(c => c.textContent)")
    for name in [*CODE, BROKEN_CODE]:
        assert name in cells


def test_the_markdown_tables_keep_their_columns(strangers):
    import markdown_it

    files = {*(strangers / "tables").glob("*.md")}
    for file in files - {strangers / "tables" / "article.md"}:  # of our own words
        parser = markdown_it.MarkdownIt("commonmark").enable("table")
        tokens = parser.parse(file.read_text(encoding="utf-8"))
        inline = [child for t in tokens if t.type == "inline" for child in t.children]
        assert {child.type for child in inline} <= {"text", "text_special"}, file
        assert tokens[0].type == "table_open"
        assert tokens[-1].type == "table_close"


def test_no_name_ran_in_a_shell(strangers):
    assert not list(strangers.parents[1].rglob("hacked"))
