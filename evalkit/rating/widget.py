"""The rating screen in a notebook: a thin view of a session."""

from pathlib import Path
from typing import Any

import anywidget
import traitlets

from evalkit.errors import UnknownNameError
from evalkit.rating._messages import MESSAGES
from evalkit.rating.session import Session
from evalkit.texts import texts_of
from evalkit.viewer import with_viewer

FOLDER = Path(__file__).parent


class RatingWidget(anywidget.AnyWidget):
    """Shows a session in a notebook and hands its answers on.

    The browser gets pixels, opaque names and a counter. Neither they nor the synced
    state, which is the page's code, its labels and what its messages hold, tell a
    condition or a source.
    """

    _esm = with_viewer((FOLDER / "widget.js").read_text(encoding="utf-8"))
    _css = FOLDER / "widget.css"
    labels = traitlets.Dict().tag(sync=True)
    messages = traitlets.Dict().tag(sync=True)

    def __init__(self, session: Session) -> None:
        super().__init__(labels=texts_of("rating"), messages=MESSAGES)
        self._session = session
        self.on_msg(self._reply)

    def _reply(self, _: object, message: dict[str, Any], __: list[memoryview]) -> None:
        """Answer one question of the browser: ``view``, ``handle`` or ``stimulus``."""
        reply: dict[str, Any] = {"id": message["id"]}
        buffers = []
        try:
            if message["ask"] == "stimulus":
                buffers = [self._session.stimulus(message["name"])]
            elif message["ask"] == "handle":
                reply["view"] = self._session.handle(message["event"])
            else:
                reply["view"] = self._session.view()
        except UnknownNameError:  # the session has been closed elsewhere
            reply["gone"] = True
        self.send(reply, buffers)
