"""One viewer of pictures for every page: an ES module, without a build step."""

from functools import cache
from pathlib import Path


@cache
def with_viewer(script: str) -> str:
    """A page's module that calls ``mount``, behind the module that defines it.

    One text is what a notebook's widget, a server and a report in one file can all
    load; ``viewer.js`` says what ``mount`` takes and returns.
    """
    viewer = (Path(__file__).parent / "viewer.js").read_text(encoding="utf-8")
    return f"{viewer}\n{script}"
