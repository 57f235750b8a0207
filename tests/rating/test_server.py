"""The served page over HTTP: many subjects, outsiders, expired links."""

import asyncio
import random
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
import uvicorn

from evalkit.rating import Store, rating_app
from evalkit.rating._impatient import ImpatientProtocol

SERVE = Path(__file__).with_name("serve.py")


@contextmanager
def served(database, folder, port):
    """A server in a process of its own; its address."""
    command = [sys.executable, str(SERVE), str(database), str(folder), str(port)]
    process = subprocess.Popen(command)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            assert process.poll() is None
            try:
                httpx.get(address)
                break
            except httpx.TransportError:
                time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "ratings.sqlite")


@pytest.fixture
def page(store, panel):
    """A client of the served page; no server is needed to be answered."""
    app = rating_app(store, panel(store, 2))

    def ask(method: str, address: str, **content) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://panel"
            ) as client:
                return await client.request(method, address, **content)

        return asyncio.run(send())

    return SimpleNamespace(
        **{m: partial(ask, m.upper()) for m in ("get", "post", "put")}
    )


@pytest.fixture
def links(store, page):
    return [f"/r/{store.link(s, days=1)}/" for s in ("s01", "s02")]


@pytest.mark.slow
def test_twenty_subjects_at_once_lose_nothing_and_double_nothing(
    store, panel, answer, free_port, tmp_path
):
    folder = panel(store, 20, minutes=5)
    given = {}

    async def rate(client: httpx.AsyncClient, subject: str, link: str) -> None:
        view = (await client.post(link + "event", json={"type": "start"})).json()
        while view["state"] == "rate":
            event = answer(view, random.randint(1, 5))
            # an impatient click, and a retry of what has long arrived
            replies = await asyncio.gather(
                *(client.post(link + "event", json=event) for _ in range(2))
            )
            again = await client.post(link + "event", json=event)
            given[event["item"]] = (subject, event["value"])
            view = replies[0].json()
            assert again.json() == replies[1].json() == view
            if view["item"]:
                name = view["item"]["stimuli"][0]
                assert (await client.get(f"{link}stimulus/{name}")).status_code == 200

    async def everybody(address: str) -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            links = {
                s: f"{address}/r/{store.link(s, days=1)}/" for s in store.subjects()
            }
            await asyncio.gather(*(rate(client, *pair) for pair in links.items()))

    with served(tmp_path / "ratings.sqlite", folder, free_port()) as address:
        asyncio.run(everybody(address))
    progress = store.progress()
    assert (progress["answered"] == progress["items"]).all()
    scores = store.scores()
    assert len(scores) == len(given) == progress["items"].sum()
    stored = sorted(zip(scores["subject"], scores["score"], strict=True))
    assert stored == sorted(given.values())


def test_the_page_and_its_parts_are_served_to_whoever_has_the_link(page, links):
    html = page.get(links[0])
    assert html.headers["content-type"].startswith("text/html")
    for name in ("page.js", "widget.js", "widget.css", "labels.json"):
        assert page.get(links[0] + name).status_code == 200
        assert name in html.text + page.get(links[0] + "page.js").text
    for reply in (html, page.get(links[0] + "view")):
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in reply.headers["content-security-policy"]


def test_everything_else_is_the_same_404(page, links, store):
    view = page.post(links[0] + "event", json={"type": "start"}).json()
    stimulus = view["item"]["stimuli"][0]
    assert page.get(f"{links[0]}stimulus/{stimulus}").status_code == 200
    expired = f"/r/{store_link(store, 's03', days=-1)}/"
    wrong = [
        "/",
        "/r/",
        "/docs",
        f"/r/{'x' * 43}/",
        f"{links[0][:-2]}/",
        f"{links[0].swapcase()}",
        f"/r/{'x' * 43}/widget.js",
        f"/r/{'x' * 43}/stimulus/{stimulus}",
        f"{links[1]}stimulus/{stimulus}",  # another subject's
        f"{links[0]}stimulus/..%2f..%2fratings.sqlite",
        f"{links[0]}..%2fsession.py",
        f"{links[0]}session.py",
        f"{links[0]}ratings.sqlite",
        expired,
        f"{expired}view",
    ]
    replies = [page.get(address) for address in wrong]
    assert {reply.status_code for reply in replies} == {404}
    assert len({reply.text for reply in replies}) == 1
    assert page.post(f"{expired}event", json={"type": "start"}).status_code == 404


def store_link(store, subject, days):
    store.add_subject(subject)
    return store.link(subject, days)


def test_no_one_writes_into_anothers_session(page, links, store, answer):
    first, second = (
        page.post(link + "event", json={"type": "start"}).json() for link in links
    )
    reply = page.post(links[1] + "event", json=answer(first, 1))
    assert reply.json() == second
    assert store.scores().empty


def test_no_one_votes_after_the_end(page, links, store, answer):
    view = page.post(links[0] + "event", json={"type": "start"}).json()
    first = view
    while view["state"] == "rate":
        view = page.post(links[0] + "event", json=answer(view, 3)).json()
    page.post(links[0] + "event", json={"type": "finish"})
    before = store.scores()
    for event in (answer(first, 1), {"type": "undo"}, {"type": "resume"}):
        reply = page.post(links[0] + "event", json=event).json()
        assert (reply["state"], reply["item"]) == ("closed", None)
    assert store.scores().equals(before)
    rows = page.post(links[0] + "event", json={"type": "reveal"}).json()["reveal"]
    assert all(row["own"] == 3 for row in rows["rows"])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"type": "vote"}', 400),
        (b"[" * 16_000, 400),
        (b"[" * 8_000 + b"]" * 8_000, 400),
        (b'{"a":' * 3_000, 400),
        (b'{"type":' * 1_500 + b"1" + b"}" * 1_500, 400),
        (b"9" * 16_000, 400),
        (b"\xff\xfe", 400),
        (b'"\\ud800"', 400),
        (b" " * 20_000, 413),
    ],
)
def test_what_is_no_event_is_refused_without_a_word_about_the_inside(
    page, links, body, status
):
    reply = page.post(links[0] + "event", content=body)
    assert reply.status_code == status
    assert reply.text == "This was not understood.\n"


def test_a_store_that_cannot_keep_is_told_as_such(page, links, store, capsys):
    with store.engine.connect() as connection:
        connection.exec_driver_sql("DROP TABLE answers")
        connection.commit()
    assert page.post(links[0] + "event", json={"type": "start"}).status_code == 503
    assert "no such table: answers" in capsys.readouterr().err


def test_another_method_is_refused(page, links):
    assert page.put(links[0]).status_code == 405
    assert page.get(links[0] + "event").status_code in (404, 405)


def test_a_link_without_its_last_slash_leads_there_by_a_relative_address(page, links):
    reply = page.get(links[0].rstrip("/"))
    assert reply.status_code == 307
    # an address with a scheme and a host would be this side's of a proxy: http
    assert reply.headers["location"] == links[0].removeprefix("/r/")
    assert page.get("/r/" + "x" * 43).status_code == 404


@pytest.mark.parametrize(
    ("languages", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("de,en;q=0.7,zh;q=0.3", "en"),
        ("fr", "en"),
        ("", "en"),
    ],
)
def test_the_first_visit_is_in_the_browsers_language(page, links, languages, language):
    headers = {"Accept-Language": languages}
    tag = {"zh": "zh-Hans", "en": "en"}[language]
    assert f'<html lang="{tag}">' in page.get(links[0], headers=headers).text
    assert page.get(links[0] + "view", headers=headers).json()["language"] == language


def test_a_language_that_was_chosen_stays(page, links):
    chinese = {"Accept-Language": "zh"}
    page.get(links[0] + "view", headers=chinese)
    page.post(links[0] + "event", json={"type": "language", "language": "en"})
    assert page.get(links[0] + "view", headers=chinese).json()["language"] == "en"
    assert '<html lang="en">' in page.get(links[0], headers=chinese).text


@pytest.fixture
def impatient(store, panel, monkeypatch):
    """The port of a server in this process whose patience is a tenth of a second."""
    monkeypatch.setattr("evalkit.rating._impatient.CHECK_S", 0.05)
    monkeypatch.setattr("evalkit.rating.server.PATIENCE_S", 0.1)
    config = uvicorn.Config(
        rating_app(store, panel(store)), http=ImpatientProtocol, log_level="error"
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize("head", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_connection_without_a_whole_head_is_closed(impatient, head):
    with socket.create_connection(("127.0.0.1", impatient), 20) as client:
        client.sendall(head)
        assert client.recv(99) == b""


@pytest.mark.slow
def test_half_a_head_after_an_answer_is_closed_too(impatient):
    with socket.create_connection(("127.0.0.1", impatient), 20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        received = b""
        while part := client.recv(999):
            received += part
    assert received.startswith(b"HTTP/1.1 404")


def test_a_connection_that_is_kept_alive_between_pictures_stays(impatient):
    with httpx.Client(base_url=f"http://127.0.0.1:{impatient}") as client:
        assert client.get("/").status_code == 404
        time.sleep(0.5)  # ten checks
        stream = client.get("/", timeout=20)
        assert stream.status_code == 404
        (connection,) = client._transport._pool.connections
        assert connection._connection._request_count == 2


def test_half_a_body_is_not_waited_for(impatient, store):
    link = f"/r/{store.link('s01', days=1)}/event"
    head = f"POST {link} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{"
    with socket.create_connection(("127.0.0.1", impatient), 20) as client:
        client.sendall(head.encode())
        assert client.recv(999).startswith(b"HTTP/1.1 408")
