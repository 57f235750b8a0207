"""A service as it is started, asked over HTTP."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("fastapi", reason="pip install 'evalkit[service]'")
import httpx
from browsers import chromium, playwright

__all__ = ["chromium", "playwright"]


class Served:
    """A service that is running, what it printed, and a client of it."""

    def __init__(self, folder, *options: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        command = [sys.executable, "-m", "evalkit", "serve", "--port", "0", *options]
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if line.startswith("curl"):
                break
        (self.page,) = re.findall(r"page: (\S+)", "\n".join(self.lines))
        self.address = self.page.partition("/?")[0].rstrip("/")
        self.client = httpx.Client(base_url=self.address, timeout=60)

    def post(self, content: bytes, query: str = "", **fields: object) -> httpx.Response:
        """Send a picture to be restored."""
        return self.client.post(
            f"/api/upscale{query}",
            files={"file": ("of a person.png", content)},
            data=fields,
        )

    def end(self) -> str:
        """Ctrl-C; all that was printed."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        return "\n".join([*self.lines, self.process.stdout.read()])


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Iterator[Callable[..., Served]]:
    """``start(*options)``: a service with files in a folder of its own."""
    begun = []

    def begin(*options: str) -> Served:
        folder = tmp_path_factory.mktemp("service")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(folder))
            begun.append(Served(folder, *options))
        return begun[-1]

    yield begin
    for served in begun:
        if served.process.poll() is None:
            served.process.kill()


@pytest.fixture(scope="module")
def served(start) -> Served:
    """One that interpolates where nothing else is asked for."""
    return start("--with", "lanczos@scale=2", "--waiting", "40")
