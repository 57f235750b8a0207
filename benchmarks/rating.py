"""100 simulated subjects at once over HTTP: what is lost, what is doubled, how long.

Each of them answers 50 items and thinks for two seconds on average, four times as fast
as a session is planned; the next stimulus is fetched after each answer, as the page
does. Server and subjects share the machine. `python benchmarks/rating.py
[DATABASE_URL]` prints percentiles in milliseconds; without a URL the database is SQLite
in a temporary folder. `SUBJECTS=5 ANSWERS=300 THINKING_S=0.2` before it is a panel of
five in a hurry.
"""

import asyncio
import contextlib
import math
import os
import random
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import pandas as pd
from skimage import data

from evalkit.images import write_image
from evalkit.rating import Store, name_stimuli, plan_session, write_stimuli

N_SUBJECTS = int(os.environ.get("SUBJECTS", "100"))
N_SCORES = int(os.environ.get("ANSWERS", "50"))
THINKING_S = float(os.environ.get("THINKING_S", "2"))
PORT = 8766
SIDE = math.isqrt(N_SCORES // 3)
"""Sources are so many squares of one photograph along each side, in 3 conditions."""

SERVER = """
import socket, sys
from pathlib import Path
from evalkit.rating import Store, rating_app, serve
database, folder, port = sys.argv[1:]
app = rating_app(Store(database if "://" in database else Path(database)), Path(folder))
serve(app, socket.create_server(("127.0.0.1", int(port))))
"""


def plan(store: Store, folder: Path) -> None:
    """Sessions of squares of a photograph of 512 x 512 px, and their stimuli."""
    rows, px = [], 512 // SIDE
    for number in range(SIDE**2):
        row, column = divmod(number, SIDE)
        crop = data.astronaut()[row * px :, column * px :][:px, :px]
        path = folder / f"{number}.png"
        write_image(path, crop)
        for name in ("source", "bicubic", "simulated-1", "simulated-2"):
            role = {"source": "source", "bicubic": "anchor"}.get(name, "system")
            rows.append((f"{number}", name, role, "none", str(path), f"{number}"))
    columns = ["source", "condition", "role", "weights_kind", "path", "picture"]
    outputs = pd.DataFrame(rows, columns=columns).assign(width_px=px, height_px=px)
    stimuli, items = name_stimuli(outputs, 0), []
    for number in range(N_SUBJECTS):
        subject = f"simulated-{number:03}"
        store.add_subject(subject)
        mine = plan_session(outputs, number=number, seed=0, minutes=60)[:N_SCORES]
        store.set_plan(subject, mine, stimuli)
        items += mine
    write_stimuli(items, outputs, stimuli, folder / "stimuli")


class Subjects:
    """Simulated subjects; ``event_s`` and ``stimulus_s`` are what they waited."""

    def __init__(self, address: str) -> None:
        limits = httpx.Limits(max_connections=N_SUBJECTS)
        self._client = httpx.AsyncClient(base_url=address, limits=limits, timeout=60)
        self.event_s: list[float] = []
        self.stimulus_s: list[float] = []

    async def rate(self, secret: str) -> None:
        """Answer everything behind one link."""
        root = f"/r/{secret}/"
        await asyncio.sleep(random.uniform(0, 2 * THINKING_S))
        reply = await self._client.post(root + "event", json={"type": "start"})
        while (view := reply.json())["state"] == "rate":
            start = time.perf_counter()
            await self._client.get(f"{root}stimulus/{view['item']['stimuli'][0]}")
            self.stimulus_s.append(time.perf_counter() - start)
            await asyncio.sleep(random.uniform(0, 2 * THINKING_S))
            event = {
                "type": "answer",
                "item": view["item"]["id"],
                "attempt": uuid.uuid4().hex,
                "value": random.randint(1, 5),
                "seconds": THINKING_S,
            }
            start = time.perf_counter()
            reply = await self._client.post(root + "event", json=event)
            self.event_s.append(time.perf_counter() - start)


def is_listening() -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", PORT)):
        return True
    return False


async def main(database: str) -> None:
    with TemporaryDirectory() as folder:
        database = database or f"{folder}/ratings.sqlite"
        store = Store(database if "://" in database else Path(database))
        plan(store, Path(folder))
        command = [sys.executable, "-c", SERVER, database, f"{folder}/stimuli"]
        server = subprocess.Popen([*command, str(PORT)])
        subjects = Subjects(f"http://127.0.0.1:{PORT}")
        secrets = [store.link(subject, days=1) for subject in store.subjects()]
        while not is_listening():
            await asyncio.sleep(0.2)
        start = time.perf_counter()
        try:
            await asyncio.gather(*map(subjects.rate, secrets))
        finally:
            server.terminate()
            server.wait()
        wall_s = time.perf_counter() - start
        counts = store.scores().groupby("subject").size()
    print(f"{N_SUBJECTS} subjects, {wall_s:.0f} s, {store.engine.dialect.name}")
    print(f"sent {len(subjects.event_s)}, stored {counts.sum()}")
    print(f"a subject's scores: {counts.min()} to {counts.max()}")
    for name, waited_s in vars(subjects).items():
        if name.endswith("_s"):
            p50, p95, p99 = 1000 * np.quantile(waited_s, [0.5, 0.95, 0.99])
            print(f"{name[:-2]}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or [""]))
