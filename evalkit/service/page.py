"""The page that the service serves, and the list of its addresses."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from markupsafe import Markup

from evalkit.daily.compare_page import LANGUAGES
from evalkit.daily.controls import NAMED, controls_of
from evalkit.service.offers import offered
from evalkit.texts import texts_of
from evalkit.viewer import policy_of, texts_of_viewer, with_viewer

_FOLDER = Path(__file__).parent
SCRIPT = with_viewer((_FOLDER / "page.js").read_text(encoding="utf-8"))
STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")

DRAWN = ("number", "choice")
"""Kinds of settings with a control; others, such as a part's condition, are JSON."""


def page(settings: Mapping[str, Any]) -> HTMLResponse:
    """A form for pictures, and each output beside its source, in both languages.

    Every restorer has its controls there, set to those settings or to its own; which
    weights are here is asked later, since that takes seconds.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True
    )
    texts = {
        language: texts_of_viewer(language)
        | {key: words[language] for key, words in texts_of("service").items()}
        for language in LANGUAGES
    }
    restorers = {
        spec.name: [each for each in controls_of(spec) if each.kind in DRAWN]
        for spec in offered()
    }
    html = environment.get_template("page.html.jinja").render(
        texts=json.dumps(texts),
        restorers=restorers,
        named=NAMED,
        settings=json.dumps(settings),
        script=Markup(SCRIPT),
        style=Markup(STYLE),
    )
    return _answer(html, f"{policy_of(SCRIPT)}; connect-src 'self'")


def docs_page(schema: Mapping[str, Any], query: str) -> HTMLResponse:
    """What OpenAPI says of each address, without a script; `query` has the token."""
    rows = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>"
        f"<p>{escape(what.get('description', ''))}</p>"
        + "".join(
            f"<p><code>{escape(status)}</code> {escape(answer['description'])}</p>"
            for status, answer in what["responses"].items()
        )
        for path, methods in schema["paths"].items()
        for method, what in methods.items()
    ]
    info = schema["info"]
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{STYLE}</style>"
        f"<main><h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>"
        f'<p><a href="openapi.json{escape(query)}">openapi.json</a></p>'
        f"{''.join(rows)}</main></html>"
    )
    return _answer(html, "default-src 'none'; style-src 'unsafe-inline'")


def _answer(html: str, policy: str) -> HTMLResponse:
    headers = {
        "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(html, headers=headers)
