"""A comparison in a notebook, and a link that saves what was made."""

from collections.abc import Sequence
from pathlib import Path

import anywidget
import traitlets

from evalkit.daily.compare import Comparison
from evalkit.daily.compare_page import SCRIPT, STYLE, as_html
from evalkit.texts import Language


class CompareWidget(anywidget.AnyWidget):
    """Shows what the page of ``evalkit compare`` shows, by the same script and style.

    Attributes
    ----------
    comparisons
        What is shown, for who wants the numbers.

    """

    _esm = SCRIPT
    _css = STYLE
    html = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, comparisons: Sequence[Comparison], language: Language | None = None
    ) -> None:
        """`language` as in `as_html`."""
        super().__init__(html=as_html(comparisons, language))
        self.comparisons = comparisons


class SaveWidget(anywidget.AnyWidget):
    """A link that saves a file; none while there is nothing in it."""

    _esm = Path(__file__).parent / "save.js"
    name = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    content = traitlets.Bytes().tag(sync=True)
