"""Debian's Chromium, as the tests of pages start it, and a notebook served to it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator

import nbformat
import psutil
import pytest

CHROMIUM = shutil.which("chromium")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update"]


@pytest.fixture(scope="module")
def playwright() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def chromium(playwright) -> Iterator:
    if CHROMIUM is None:
        yield None
        return
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield started
    started.close()


def lab_options(port: int) -> list[str]:
    """Of a JupyterLab that asks nobody anything."""
    settings = {
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "IdentityProvider.token": "",
        "ServerApp.allow_root": True,
        "ServerApp.open_browser": False,
        "LabApp.news_url": "",
    }
    return [f"--{name}={value}" for name, value in settings.items()]


def run_cell(page) -> None:
    """Run the notebook's cell once JupyterLab is connected to its kernel."""
    kernels = []
    while [(k["execution_state"], k["connections"]) for k in kernels] != [("idle", 1)]:
        page.wait_for_timeout(500)
        kernels = page.request.get(
            page.url.partition("/lab")[0] + "/api/kernels"
        ).json()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")


@contextlib.contextmanager
def serving(tmp_path, cell: str, module: str, *options, **more) -> Iterator:
    """The process of ``python -m module``, which serves a folder with one notebook."""
    folder = tmp_path / "only a notebook"
    folder.mkdir()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "one.ipynb")
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    environment = os.environ | {place: str(tmp_path / place) for place in places}
    environment |= {"IPYTHONDIR": str(tmp_path / "ipython")}
    environment |= {name: str(value) for name, value in more.items()}
    command = [sys.executable, "-m", module, *map(str, options)]
    with (
        (tmp_path / "jupyter.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log
        ) as process,
    ):
        yield process
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        psutil.wait_procs(children, 10)
