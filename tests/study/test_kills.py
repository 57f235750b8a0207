"""kill -9 of worker, monitor or kernel at any moment: nothing lost, left or stuck."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid

import numpy as np
import psutil
import pytest

from evalkit.images import write_image
from evalkit.records import RecordStore

N_WARM = 4
MANY = 20  # kills of a monitor, of which one at least comes while a cell goes on

KERNEL = f"""
import sys
from pathlib import Path
from evalkit.experiments import measure_cost
from evalkit.study.run_folder import open_run
run = open_run(sys.argv[1])
images = run.images(sys.argv[2])
measure_cost(run, "lanczos", images, n_sources=0, repeats={N_WARM})
print("done")
"""


def wait_until(is_true, timeout_s=60.0):
    end = time.monotonic() + timeout_s
    while not (found := is_true()):
        assert time.monotonic() < end, "still not so"
        time.sleep(0.005)
    return found


def below(kernel, depth):
    """The processes so far below a kernel: 1 the server, 2 workers, 3 monitors."""
    found = [kernel]
    try:
        for _ in range(depth):
            found = [child for process in found for child in process.children()]
    except psutil.NoSuchProcess:
        return []
    return found


class Study:
    """A kernel that measures one album after another in one run folder."""

    def __init__(self, folder):
        self.folder, self.run = folder, folder / "run"
        self.mark, self.n_albums, self.seen = uuid.uuid4().hex, 0, b""
        self.random = random.Random(11)
        self.add_album()

    def add_album(self):
        self.album = self.folder / f"album-{self.n_albums}"
        self.n_albums += 1
        pixels = np.random.default_rng(self.n_albums)
        for number in range(6):
            picture = pixels.integers(0, 256, (16, 16, 3), np.uint8)
            write_image(self.album / f"{number}.png", picture)

    def start(self):
        self.kernel = psutil.Popen(
            [sys.executable, "-c", KERNEL, str(self.run), str(self.album)],
            env={**os.environ, "EVALKIT_TEST_MARK": self.mark},
            stdout=subprocess.PIPE,
            text=True,
        )

    def kill(self, depth):
        """Kill one of that depth at a random moment; say whether one was there."""
        if not wait_until(lambda: below(self.kernel, depth) or self.has_ended()):
            return False
        time.sleep(self.random.uniform(0, 0.3))
        victims = below(self.kernel, depth)
        if not victims or self.has_ended():
            return False
        try:
            victims[0].send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return False
        return True

    def has_ended(self):
        return self.kernel.poll() is not None

    def is_left(self):
        """Whether a process that the kernel started, at any depth, is still there."""
        for process in psutil.process_iter():
            try:
                if process.environ().get("EVALKIT_TEST_MARK") == self.mark:
                    return True
            except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                continue
        return False

    def check_that_nothing_is_lost(self):
        """All whole lines that were ever on the disk are there, as they were."""
        file = self.run / "records.jsonl"
        data = file.read_bytes() if file.is_file() else b""
        assert data.startswith(self.seen)
        self.seen = data[: data.rfind(b"\n") + 1]


def survive(study, n_kills):
    """Kill that many processes, of each kind in turn; check after each."""
    killed = {0: 0, 2: 0, 3: 0}
    study.start()
    while sum(killed.values()) < n_kills:
        if study.has_ended():
            study.kernel.communicate()
            wait_until(lambda: not study.is_left())
            if study.kernel.returncode == 0:
                study.add_album()
            study.start()
        study.check_that_nothing_is_lost()
        depth = min(killed, key=killed.get)
        killed[depth] += study.kill(depth)
        if not depth:
            wait_until(study.has_ended)
    while True:
        told, _ = study.kernel.communicate(timeout=120)
        if study.kernel.returncode == 0:
            break
        study.start()
    assert "done" in told
    wait_until(lambda: not study.is_left())
    study.check_that_nothing_is_lost()
    return killed


def check_records(study, killed):
    """Each cell has all of its runs, or those before a kill and the kill itself."""
    records = RecordStore(study.run).read()
    assert records["source_sha256"].nunique() == 6 * study.n_albums
    for _, cell in records.groupby("key"):
        outcomes = list(cell["outcome"])
        if "interrupted" in outcomes:  # and nobody ran that album again
            assert outcomes == ["ok"] * (len(cell) - 1) + ["interrupted"]
            assert "SIGKILL" in cell["error"].iloc[-1]
        else:
            assert outcomes == ["ok"] * (1 + N_WARM)
    n_interrupted = study.seen.count(b'"outcome":"interrupted"')
    assert 1 <= n_interrupted <= killed[2]
    without_monitor = records["notes"].str.contains("monitor: ended", na=False)
    # of few kills each may come when a cell is about to end
    assert without_monitor.any() or killed[3] < MANY
    assert records.loc[without_monitor, "wall_time_s"].notna().all()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_ten_kills_lose_nothing_leave_nothing_and_stop_nothing(tmp_path):
    study = Study(tmp_path)
    killed = survive(study, 10)
    check_records(study, killed)


@pytest.mark.soak
def test_a_hundred_kills_lose_nothing_leave_nothing_and_stop_nothing(tmp_path):
    study = Study(tmp_path)
    killed = survive(study, 100)
    check_records(study, killed)
    n_records = len(RecordStore(study.run).read())
    print(
        f"\nkilled {killed[0]} kernels, {killed[2]} workers, {killed[3]} monitors; "
        f"{study.n_albums} albums of 6, {n_records} records, none lost, none left"
    )
