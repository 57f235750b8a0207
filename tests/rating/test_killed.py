"""Nothing that was acknowledged is lost, whenever the kernel or the server dies."""

import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import httpx
import pytest

from evalkit.rating import Session, Store

HERE = Path(__file__).parent
some_kills = pytest.mark.parametrize(
    "n_kills", [3, pytest.param(100, marks=pytest.mark.soak)]
)


def check(store: Store, acknowledged: dict[str, int], n_kills: int) -> None:
    """Every acknowledged score is there once; at most one more for each death."""
    with store.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT item, value FROM answers WHERE undone_at IS NULL"
        ).all()
    stored = {item: int(value) for item, value in rows}
    assert len(stored) == len(rows)
    assert acknowledged.items() <= stored.items()
    assert len(stored) - len(acknowledged) <= n_kills
    progress = store.progress()
    begun = progress[progress["answered"].between(1, progress["items"] - 1)]
    for subject, row in begun.iterrows():
        view = Session(store, subject, HERE).view()
        assert view["item"]["id"] not in stored
        assert view["progress"]["done"] == row["answered"]


@pytest.mark.slow
@some_kills
@pytest.mark.timeout(1800)
def test_a_kernel_killed_at_random_points(panel, tmp_path, n_kills):
    database = tmp_path / "ratings.sqlite"
    store = Store(database)
    folder = panel(store, 4 * n_kills)
    acknowledged: dict[str, int] = {}
    for _ in range(n_kills):
        process = subprocess.Popen(
            [sys.executable, str(HERE / "rate_on.py"), str(database), str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        for line in process.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                item, value = line.split()
                assert item not in acknowledged
                acknowledged[item] = int(value)
        process.wait()
        check(store, acknowledged, n_kills)
    assert len(acknowledged) > n_kills
    print(f"{n_kills} kernels killed, {len(acknowledged)} scores, none lost or doubled")


@pytest.mark.slow
@some_kills
@pytest.mark.timeout(1800)
def test_a_server_killed_at_random_points(panel, tmp_path, free_port, n_kills):
    database = tmp_path / "ratings.sqlite"
    store = Store(database)
    folder = panel(store, 4 * n_kills)
    server = _Server(n_kills, free_port, database, folder)
    acknowledged: dict[str, int] = {}
    for subject in store.subjects():
        root = f"/r/{store.link(subject, days=1)}/"
        view = server.post(root, {"type": "start"})
        while view["state"] == "rate" and server.n_killed < n_kills:
            event = {
                "type": "answer",
                "item": view["item"]["id"],
                "attempt": uuid.uuid4().hex,
                "value": random.randint(1, 5),
                "seconds": 1,
            }
            view = server.post(root, event)
            acknowledged[event["item"]] = event["value"]
    server.process.kill()
    server.process.wait()
    check(store, acknowledged, 0)
    assert server.n_killed == n_kills
    print(f"{n_kills} servers killed, {len(acknowledged)} scores, none lost or doubled")


class _Server:
    """A server that is killed again and again, and a browser that is patient."""

    def __init__(self, n_kills: int, free_port, *arguments: Path) -> None:
        self.n_kills, self.n_killed, self._free_port = n_kills, 0, free_port
        self._command = [sys.executable, str(HERE / "serve.py"), *map(str, arguments)]
        self._start()

    def _start(self) -> None:
        port = self._free_port()
        self.process = subprocess.Popen([*self._command, str(port)])
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)
        while True:
            assert self.process.poll() is None
            try:
                self._client.get("/")
                break
            except httpx.TransportError:
                time.sleep(0.02)
        if self.n_killed < self.n_kills:
            threading.Timer(random.uniform(0, 0.4), self.process.kill).start()

    def post(self, root: str, event: dict) -> dict:
        while True:
            try:
                reply = self._client.post(root + "event", json=event)
                assert reply.status_code == 200
                return reply.json()
            except httpx.TransportError:
                self.process.wait()
                self.n_killed += 1
                self._start()
