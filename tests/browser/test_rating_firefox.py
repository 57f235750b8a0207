"""A smoke test in Firefox, which Playwright would only drive as a build of its own."""

import itertools
import json
import shutil
import subprocess

import pytest
from websockets.sync.client import connect

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
SHOWN = ".evalkit-rating:not(.waiting):not(.fresh) .stage img"


class BiDi:
    """Commands to Firefox and their results, by the protocol WebDriver BiDi."""

    def __init__(self, socket) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self("session.new", capabilities={})
        (tab,) = self("browsingContext.getTree")["contexts"]
        self._tab = tab["context"]

    def __call__(self, method: str, **params) -> dict:
        number = next(self._numbers)
        self._socket.send(
            json.dumps({"id": number, "method": method, "params": params})
        )
        while (reply := json.loads(self._socket.recv(60))).get("id") != number:
            pass  # an event
        assert reply["type"] == "success", reply
        return reply["result"]

    def open(self, url: str) -> None:
        self("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def says(self, expression: str):
        """The value of an expression of JavaScript, a string or a truth."""
        target = {"context": self._tab}
        run = {"expression": expression, "target": target, "awaitPromise": True}
        return self("script.evaluate", **run)["result"].get("value")

    def press(self, *keys: str) -> None:
        kinds = ("keyDown", "keyUp")
        strokes = [{"type": kind, "value": key} for key in keys for kind in kinds]
        source = {"type": "key", "id": "keys", "actions": strokes}
        self("input.performActions", context=self._tab, actions=[source])


@pytest.fixture
def firefox(need, tmp_path, free_port, wait_for_port):
    need(FIREFOX, "install Firefox (Debian: apt install firefox-esr)")
    command = [FIREFOX, "--headless", "--no-remote", "--profile", str(tmp_path)]
    command += ["--remote-debugging-port", str(free_port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:
        try:
            wait_for_port(free_port)
            address = f"ws://127.0.0.1:{free_port}/session"
            with connect(address, max_size=None) as socket:
                yield BiDi(socket)
        finally:
            process.terminate()


def test_it_loads_takes_a_key_and_shows_the_next_picture(
    firefox, address, rated, wait_until
):
    rated.session().handle({"type": "start"})
    firefox.open(address)
    picture = f"document.querySelector('{SHOWN}')?.src ?? ''"
    wait_until(lambda: firefox.says(picture), "the first picture shows")
    first = firefox.says(picture)
    assert firefox.says("document.querySelector('.stage img').naturalWidth > 0")
    firefox.press("3")
    wait_until(
        lambda: firefox.says("document.querySelector('.reasons') !== null"), "why?"
    )
    firefox.press("\ue007")  # Enter
    wait_until(lambda: firefox.says(picture) not in ("", first), "the next one shows")
    assert firefox.says("document.querySelector('.count').textContent")[:3] == "1 /"
    assert rated.store.scores()["score"].tolist() == [3]
