"""One viewer of pictures for every page: an ES module, without a build step."""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

from evalkit.texts import Language, text

OF_VIEWER = {
    "view": "view",
    "side": "side",
    "flip": "flip",
    "split": "split",
    "zoomIn": "zoom.in",
    "zoomOut": "zoom.out",
    "actual": "actual",
    "whole": "whole",
    "full": "full",
}
"""The viewer's texts, and those of the rating page that are the same."""


def texts_of_viewer(language: Language) -> dict[str, str]:
    """What ``mount`` takes as ``texts``."""
    return {name: text(f"rating.{key}", language) for name, key in OF_VIEWER.items()}


@cache
def with_viewer(script: str) -> str:
    """A page's module that calls ``mount``, behind the module that defines it.

    One text is what a notebook's widget, a server and a report in one file can all
    load; ``viewer.js`` says what ``mount`` takes and returns.
    """
    viewer, style = (
        (Path(__file__).parent / name).read_text(encoding="utf-8")
        for name in ("viewer.js", "viewer.css")
    )
    return f"const STYLE = {json.dumps(style)};\n{viewer}\n{script}"


def policy_of(script: str) -> str:
    """The content security policy of a page in one file whose only script that is.

    It loads nothing and sends nothing, wherever it is opened.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src blob: data:; base-uri 'none'; form-action 'none'"
    )
