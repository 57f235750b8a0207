"""A planned session with names that must not leak, a served page, and a browser."""

import contextlib
import itertools
import secrets
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from browsers import ARGUMENTS, CHROMIUM, chromium, playwright
from PIL import Image, ImageFilter
from skimage import data

from evalkit.rating import (
    Item,
    Session,
    Stimulus,
    Store,
    name_stimuli,
    plan_session,
    write_stimuli,
)

__all__ = ["chromium", "playwright"]

SEED = 11
READY = ".evalkit-rating:not(.waiting):not(.fresh)"
"""The screen once what is pressed counts."""


@dataclass(frozen=True)
class Rated:
    """A session in a folder, and the words that nobody who rates may come to see."""

    folder: Path
    store: Store
    items: list[Item]
    stimuli: dict[tuple[str, str], Stimulus]
    secrets: list[str]

    def begin_again(self) -> None:
        if self.store.subjects():
            self.store.delete_subject("s01")
        self.store.add_subject("s01")
        self.store.set_plan("s01", self.items, self.stimuli)

    def session(self) -> Session:
        return Session(self.store, "s01", self.folder / "stimuli")

    def lengths(self) -> dict[str, set[int]]:
        """By source, the lengths of its stimuli's files."""
        with self.store.read() as connection:
            items = pd.read_sql_query("SELECT * FROM items", connection)
        columns = ["left_stimulus", "right_stimulus", "source_stimulus"]
        files = self.folder / "stimuli"
        return {
            source: {
                (files / f"{name}.webp").stat().st_size
                for name in pd.unique(rows[columns].to_numpy().ravel())
                if isinstance(name, str)
            }
            for source, rows in items.groupby("source")
        }


def make_rated(folder: Path) -> Rated:
    """Plan a session of single pictures and pairs; every name carries a token."""
    tokens = [secrets.token_hex(6) for _ in range(6)]
    conditions = [f"gpen-512@t={tokens[0]}", f"realesrgan-x4plus@t={tokens[1]}"]
    rows = []
    for token, photograph in zip(
        tokens[2:5], (data.astronaut(), data.coffee(), data.chelsea()), strict=True
    ):
        picture = Image.fromarray(photograph[20:276, 80:400])
        source = picture.resize((80, 64), Image.Resampling.BOX)
        made = {
            "source": ("source", source),
            f"bicubic@t={tokens[5]}": ("anchor", source),
            conditions[0]: ("system", picture.filter(ImageFilter.GaussianBlur(3))),
            conditions[1]: ("system", picture),
        }
        for condition, (role, shown) in made.items():
            path = folder / "outputs" / condition / f"{token}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            shown.save(path)
            cell = {"source": f"photo-{token}", "condition": condition, "role": role}
            cell |= {"path": str(path), "picture": condition + token}
            cell |= {"width_px": source.width, "height_px": source.height}
            rows.append(cell | {"weights_kind": "none"})
    outputs = pd.DataFrame(rows)
    items = plan_session(outputs, number=0, seed=SEED, mode="both", minutes=4)
    stimuli = name_stimuli(outputs, SEED)
    write_stimuli(items, outputs, stimuli, folder / "stimuli")
    store = Store(folder / "ratings.sqlite")
    words = [*tokens, "gpen", "realesrgan", "bicubic"]
    return Rated(folder, store, items, stimuli, words)


def wait_until(is_so: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{seconds:.0f} s passed before {what}"
        time.sleep(0.05)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Server:
    """The page's server: a process that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = unused_port()
        self.start()

    def start(self) -> None:
        program = Path(__file__).parents[1] / "rating" / "serve.py"
        what = [self.folder / "ratings.sqlite", self.folder / "stimuli", str(self.port)]
        command = [sys.executable, program, *what]
        self.process = subprocess.Popen(command)
        wait_until(lambda: listens(self.port), "the page's server answers")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Witness:
    """All that a browser gets to see while pages are open in it."""

    def __init__(self, page) -> None:
        self.page, self._responses = page, []
        self.texts: list[str] = []
        self.pictures: dict[str, bytes] = {}
        page.on("console", lambda message: self.texts.append(message.text))
        page.on("pageerror", lambda error: self.texts.append(str(error)))
        page.on("request", self._request)
        page.on("response", lambda response: self._responses.append(response))
        page.on("websocket", self._socket)

    def look(self) -> None:
        """Note what is there now: the document, its title, storage, and what came."""
        self.texts.append(self.page.content())
        self.texts.append(self.page.title())
        self.texts.append(self.page.evaluate("JSON.stringify({...localStorage})"))
        for response in self._responses:
            if "/static/" in response.url or response.request.resource_type == "other":
                continue  # JupyterLab's own programs
            self.texts.append(f"{response.url} {response.headers}")
            if response.status == 200 and not response.url.startswith(
                ("blob:", "data:")
            ):
                self._bytes(response.url, response.body())
        self._responses.clear()

    def rate_on(self, press: Callable[[str], None]) -> int:
        """Answer all that is left, by keys, and look each time; how many there were."""
        finish = self.page.get_by_role("button", name="Hand in my answers")
        for number in itertools.count():
            self.look()
            self.page.wait_for_selector(READY)
            if finish.count():
                return number
            is_pair = self.page.locator(".screen.ab").count()
            arrows = ["ArrowLeft", "ArrowRight", "ArrowDown"]
            press(arrows[number % 3] if is_pair else str(1 + number % 5))
        raise AssertionError

    def assert_blind(self, rated: Rated) -> None:
        """No secret word, no telling length, no metadata in what was seen."""
        seen = "\n".join(self.texts).lower()
        assert '"seconds":' in seen  # the answers, so this is the session
        assert [word for word in rated.secrets if word in seen] == []
        lengths = rated.lengths()
        assert {len(found) for found in lengths.values()} == {1}
        received = {len(webp) for webp in self.pictures.values()}
        assert received == set().union(*lengths.values())
        for webp in self.pictures.values():
            riff, size, form, chunk = struct.unpack("<4sI4s4s", webp[:16])
            assert (riff, form, chunk) == (b"RIFF", b"WEBP", b"VP8L")  # and no other
            assert not webp[8 + size :].strip(b"\0")

    def _request(self, request) -> None:
        self.texts.append(f"{request.url} {request.headers} {request.post_data}")

    def _socket(self, socket) -> None:
        socket.on("framesent", lambda frame: self._bytes("sent", frame))
        socket.on("framereceived", lambda frame: self._bytes("received", frame))

    def _bytes(self, origin: str, content: bytes | str) -> None:
        if isinstance(content, str):
            self.texts.append(content)
            return
        before, signature, picture = content.partition(b"RIFF")
        self.texts.append(before.decode(errors="replace"))
        if signature:
            name = origin if origin != "received" else f"frame {len(self.pictures)}"
            self.pictures[name] = signature + picture


@pytest.fixture
def chromium_command() -> list[str] | None:
    return CHROMIUM and [CHROMIUM, *ARGUMENTS]


@pytest.fixture
def page(chromium, need) -> Iterator:
    need(chromium, "install chromium to test the rating page as a subject sees it")
    context = chromium.new_context(viewport={"width": 1280, "height": 720})
    yield context.new_page()
    context.close()


@pytest.fixture
def witness(page) -> Witness:
    return Witness(page)


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> Rated:
    return make_rated(tmp_path_factory.mktemp("run"))


@pytest.fixture
def rated(planned) -> Rated:
    """A session that nobody has begun."""
    planned.begin_again()
    return planned


@pytest.fixture
def free_port() -> int:
    return unused_port()


@pytest.fixture
def wait_for_port() -> Callable[[int], None]:
    return lambda port: wait_until(lambda: listens(port), f"port {port} answers")


@pytest.fixture(name="wait_until")
def wait_until_fixture() -> Callable:
    return wait_until


@pytest.fixture(scope="module")
def server(planned) -> Iterator[Server]:
    started = Server(planned.folder)
    yield started
    started.kill()


@pytest.fixture
def serve_folder() -> Iterator[Callable[[Path], Server]]:
    """``serve_folder(folder)``: a server of another store, until the test ends."""
    started = []

    def serve(folder: Path) -> Server:
        started.append(Server(folder))
        return started[-1]

    yield serve
    for server in started:
        server.kill()


@pytest.fixture
def address(rated, server) -> str:
    """The secret address of subject s01's session."""
    secret = rated.store.link("s01", days=1)
    return f"http://127.0.0.1:{server.port}/r/{secret}/"


def begin(page) -> None:
    """From the first screen to the first picture, without the check of the screen."""
    page.get_by_role("checkbox", name="I have read this").check()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("button", name="Skip").click()
    page.wait_for_selector(".stage")
    page.wait_for_selector(READY)


@pytest.fixture(name="begin")
def begin_fixture() -> Callable:
    return begin


@pytest.fixture
def ready(page) -> Callable[[], object]:
    """``ready()``: wait until a picture is shown for so long that an answer counts."""
    return lambda: page.wait_for_selector(READY)


@pytest.fixture
def press(page):
    """``press(key)``: answer by a key, and wait until something else is shown.

    An answer is given without a reason, by Enter, where one is asked for.
    """

    def answer(key: str) -> None:
        page.wait_for_selector(READY)
        before = page.locator(".count").inner_text()
        page.keyboard.press(key)
        if page.locator(".reasons").count():
            page.keyboard.press("Enter")
        changed = "before => document.querySelector('.count').textContent !== before"
        page.wait_for_function(changed, arg=before)
        page.wait_for_selector(".evalkit-rating:not(.waiting)")

    return answer
