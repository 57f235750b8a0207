"""The same session in JupyterLab and Voila, from a notebook in a folder of its own."""

import importlib.util

import psutil
import pytest
from browsers import lab_options, run_cell, serving

CELL = """import os
from pathlib import Path
from evalkit.rating import Session, Store
from evalkit.rating.widget import RatingWidget
here = Path(os.environ["RATED"])
RatingWidget(Session(Store(here / "ratings.sqlite"), "s01", here / "stimuli"))"""


@pytest.fixture
def jupyter(tmp_path, rated, free_port, wait_for_port):
    """A JupyterLab: its process, and the notebook's address."""
    options = lab_options(free_port)
    with serving(tmp_path, CELL, "jupyterlab", *options, RATED=rated.folder) as process:
        wait_for_port(free_port)
        yield process, f"http://127.0.0.1:{free_port}/lab/tree/one.ipynb"


@pytest.fixture
def voila(tmp_path, rated, free_port, wait_for_port, need):
    """The address of the notebook in Voila, which runs it for each visitor."""
    need(importlib.util.find_spec("voila"), "install Voila: the extra lab of evalkit")
    options = ["one.ipynb", "--no-browser", f"--port={free_port}"]
    with serving(tmp_path, CELL, "voila", *options, RATED=rated.folder):
        wait_for_port(free_port)
        yield f"http://127.0.0.1:{free_port}"


def kernel_of(process) -> psutil.Process:
    (kernel,) = (
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "ipykernel_launcher" in " ".join(child.cmdline())
    )
    return kernel


def test_nothing_leaks_and_a_killed_kernel_loses_nothing(
    page, jupyter, witness, press, rated, begin, ready
):
    process, address = jupyter
    page.goto(address)
    page.set_default_timeout(60_000)
    run_cell(page)
    begin(page)
    page.keyboard.press("1")  # of JupyterLab: make this cell a heading
    page.keyboard.press("Enter")
    page.locator(".count", has_text="1 /").wait_for()
    press("4")
    press("5")
    ready()
    kernel_of(process).kill()
    page.keyboard.press("2")  # into the void: nobody acknowledges it
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("No connection").wait_for()
    for button in page.locator(".jp-Dialog button:has-text('Ok')").all():
        button.click()
    run_cell(page)
    page.locator(".count", has_text="3 /").wait_for()
    page.locator(".stage").click()
    assert rated.store.scores()["score"].tolist() == [1, 4, 5]
    n_answers = 3 + witness.rate_on(press)
    page.get_by_role("button", name="Hand in my answers").click()
    page.get_by_role("button", name="Show what I rated").wait_for()
    page.keyboard.press("Control+s")
    witness.look()
    witness.assert_blind(rated)
    assert len(rated.store.scores()) + len(rated.store.choices()) == n_answers > 20


def test_voila_rates_a_picture(page, voila, witness, press, rated, begin):
    page.set_default_timeout(60_000)
    page.goto(voila)
    begin(page)
    witness.look()
    press("4")
    assert rated.store.scores()["score"].tolist() == [4]
    assert [word for word in rated.secrets if word in "".join(witness.texts)] == []
