"""Nothing that was acknowledged is lost, whenever the browser dies."""

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import NoReturn

import pandas as pd
import pytest


class Browser:
    """A Chromium that can be killed, on the page, and the answers it knows are safe."""

    def __init__(self, playwright, command: list[str], folder: Path) -> None:
        port_file = folder / "DevToolsActivePort"
        options = [
            "--headless",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
        ]
        self.process = subprocess.Popen(
            [*command, *options, "about:blank"],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        while not (
            port_file.is_file() and port_file.read_text(encoding="utf-8").count("\n")
        ):
            time.sleep(0.05)
        port = port_file.read_text(encoding="utf-8").split()[0]
        self.client = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}")
        self.page = self.client.contexts[0].pages[0]
        self.acknowledged: list[str] = []
        self.page.on("response", self._note)

    def _note(self, response) -> None:
        event = response.request.post_data_json
        if response.url.endswith("/event") and event["type"] == "answer":
            self.acknowledged.append(event["attempt"])

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def rate(page, chance: random.Random) -> NoReturn:
    """Answer, and take back now and then, as fast as it goes."""
    page.wait_for_selector(".evalkit-rating:not(.waiting) .screen")
    while True:
        done, total = page.locator(".count").inner_text().split(" / ")
        keys = ["1", "2", "3"] if chance.random() < 0.85 else ["Backspace"]
        if done == total:
            keys = ["Backspace"]
        page.keyboard.press(chance.choice(keys))  # of pairs: left, same, right
        page.keyboard.press("Enter")  # without a reason
        page.wait_for_timeout(chance.uniform(0, 60))


def answers(rated) -> pd.DataFrame:
    with rated.store.read() as connection:
        return pd.read_sql_query("SELECT * FROM answers ORDER BY answer", connection)


def present_item(rated) -> str | None:
    standing = answers(rated)
    standing = set(standing.loc[standing["undone_at"].isna(), "item"])
    with rated.store.read() as connection:
        items = pd.read_sql_query(
            "SELECT item FROM items ORDER BY position", connection
        )
    return next((item for item in items["item"] if item not in standing), None)


@pytest.mark.parametrize("n_kills", [5, pytest.param(60, marks=pytest.mark.soak)])
def test_a_browser_killed_at_random_points(
    playwright, chromium_command, need, rated, address, tmp_path, n_kills
):
    need(chromium_command, "install chromium to kill it")
    from playwright.sync_api import Error

    chance = random.Random(n_kills)
    acknowledged: set[str] = set()
    rated.session().handle({"type": "start"})
    for number in range(n_kills):
        browser = Browser(playwright, chromium_command, tmp_path / f"profile-{number}")
        with browser.page.expect_response("**/view") as first:
            browser.page.goto(address)
        shown = first.value.json()["item"]
        assert (shown and shown["id"]) == present_item(rated)
        killer = threading.Timer(chance.uniform(1, 4), browser.kill)
        killer.start()
        with pytest.raises(Error):  # the browser is gone
            rate(browser.page, chance)
        killer.join()
        acknowledged |= set(browser.acknowledged)
        stored = answers(rated)
        assert stored["attempt"].is_unique
        assert acknowledged <= set(stored["attempt"])
        assert len(stored) - len(acknowledged) <= number + 1
        assert stored.loc[stored["undone_at"].isna(), "item"].is_unique
    assert len(acknowledged) > n_kills
    print(
        f"{n_kills} browsers killed, {len(acknowledged)} answers, none lost or doubled"
    )
