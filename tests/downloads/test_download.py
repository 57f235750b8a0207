"""Downloads against a local server that misbehaves in every way we know."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from errno import ENOSPC
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import pytest

from evalkit import downloads
from evalkit.downloads.files import fetch_file
from evalkit.errors import HashMismatchError, WeightsError

CONTENT = Random(1).randbytes(300_001)
OTHER = Random(2).randbytes(len(CONTENT))
HALF = 2 * downloads.CHUNK_BYTES
FACTS = {
    "file_name": "network.pth",
    "size_bytes": len(CONTENT),
    "sha256": sha256(CONTENT).hexdigest(),
}


class Handler(BaseHTTPRequestHandler):
    """The path says how to answer; ``server.asked`` keeps path and range."""

    def do_GET(self):
        asked = self.headers["Range"]
        self.server.asked.append((self.path, asked))
        with suppress(ConnectionError):  # the client may be killed meanwhile
            getattr(self, self.path.strip("/").replace("-", "_"))(asked)

    def head(self, length, status=200, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def good(self, asked, body=CONTENT):
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if asked:
            self.head(len(body) - start, 206, Content_Range=span)
        else:
            self.head(len(body))
        self.wfile.write(body[start:])

    def other(self, asked):
        self.good(asked, OTHER)

    def no_ranges(self, asked):
        self.head(len(CONTENT))
        self.wfile.write(CONTENT)

    def wrong_range(self, asked):
        self.head(10, 206, Content_Range=f"bytes 0-9/{len(CONTENT)}")
        self.wfile.write(CONTENT[:10])

    def cut(self, asked):
        self.head(len(CONTENT))
        self.wfile.write(CONTENT[:HALF])

    def page(self, asked):
        self.head(20)
        self.wfile.write(b"<html>sign in</html>")

    def short_unsaid(self, asked):
        self.head(None)
        self.wfile.write(CONTENT[:HALF])

    def long_unsaid(self, asked):
        self.head(None)
        self.wfile.write(CONTENT + CONTENT)

    def gone(self, asked):
        self.head(0, 404)

    def slow(self, asked):
        self.head(len(CONTENT))
        for start in range(0, len(CONTENT), 30_000):
            self.wfile.write(CONTENT[start : start + 30_000])
            self.wfile.flush()
            time.sleep(0.15)

    def wordy_length(self, asked):
        self.head("abc")
        self.wfile.write(CONTENT)

    def negative_length(self, asked):
        self.head("-5")
        self.wfile.write(CONTENT)

    def two_lengths(self, asked):
        self.head("5, 6")
        self.wfile.write(CONTENT)

    def wordy_page(self, asked):
        self.head("abc")
        self.wfile.write(b"<html>sign in</html>")

    def dribbled(self, asked):
        self.head(len(CONTENT))
        for byte in CONTENT[:HALF]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.server.stop.wait(0.02):
                return

    def stalled(self, asked):
        self.head(len(CONTENT))
        self.wfile.write(CONTENT[:HALF])
        self.wfile.flush()
        self.server.stop.wait(10)

    def silent(self, asked):
        self.server.stop.wait(10)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("EVALKIT_OFFLINE", "0")
    monkeypatch.setenv("EVALKIT_MIRROR", "")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.stop = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.stop.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def get(server, tmp_path):
    """``get("cut", "good")`` fetches from these addresses, in order."""

    def fetch(*answers):
        urls = [f"{server.url}/{answer}" for answer in answers]
        return fetch_file(urls, folder=tmp_path, **FACTS)

    return fetch


def files(folder):
    """Everything in `folder` but the locks."""
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def part(folder):
    return folder / f".network.pth.{FACTS['sha256'][:16]}.part"


def test_a_good_file_arrives_whole_with_a_progress_bar(get, tmp_path, capsys):
    assert get("good") == (tmp_path / "network.pth", "released")
    assert (tmp_path / "network.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["network.pth"]
    assert "100%" in capsys.readouterr().err


def test_a_file_that_is_here_is_not_downloaded_again(get, server):
    get("good")
    get("good")
    assert server.asked == [("/good", None)]


def test_a_damaged_file_in_the_cache_is_replaced(get, tmp_path):
    (tmp_path / "network.pth").write_bytes(OTHER)
    get("good")
    assert (tmp_path / "network.pth").read_bytes() == CONTENT


def test_a_cut_connection_leaves_nothing_that_counts(get, tmp_path):
    with pytest.raises(WeightsError, match="the connection broke"):
        get("cut")
    assert files(tmp_path) == [part(tmp_path).name]
    assert part(tmp_path).read_bytes() == CONTENT[:HALF]


def test_the_next_attempt_asks_for_the_rest_only(get, server, tmp_path):
    with pytest.raises(WeightsError):
        get("cut")
    get("good")
    assert server.asked == [("/cut", None), ("/good", f"bytes={HALF}-")]
    assert (tmp_path / "network.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["network.pth"]


def test_another_address_goes_on_where_the_first_one_broke(get, server, tmp_path):
    get("cut", "good")
    assert server.asked[1] == ("/good", f"bytes={HALF}-")
    assert (tmp_path / "network.pth").read_bytes() == CONTENT


def test_a_server_without_ranges_begins_anew(get, tmp_path):
    part(tmp_path).write_bytes(CONTENT[:HALF])
    get("no-ranges")
    assert (tmp_path / "network.pth").read_bytes() == CONTENT


def test_a_range_that_was_not_asked_for_is_refused(get, tmp_path):
    part(tmp_path).write_bytes(CONTENT[:HALF])
    with pytest.raises(WeightsError, match="a range not asked for"):
        get("wrong-range")
    get("good")
    assert (tmp_path / "network.pth").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [OTHER[:HALF], OTHER, OTHER + b"x", CONTENT], ids=len)
def test_whatever_an_old_part_holds_the_file_is_right(get, tmp_path, left):
    part(tmp_path).write_bytes(left)
    get("good")
    assert (tmp_path / "network.pth").read_bytes() == CONTENT
    assert files(tmp_path) == ["network.pth"]


def test_a_whole_part_needs_no_network(get, server, tmp_path):
    part(tmp_path).write_bytes(CONTENT)
    get("good")
    assert server.asked == []


def test_a_wrong_digest_is_told_and_deleted(get, tmp_path):
    with pytest.raises(HashMismatchError) as caught:
        get("other")
    assert FACTS["sha256"] in str(caught.value)
    assert sha256(OTHER).hexdigest() in str(caught.value)
    assert "EVALKIT_MIRROR" in str(caught.value)
    assert files(tmp_path) == []


@pytest.mark.parametrize("answer", ["short-unsaid", "long-unsaid"])
def test_a_wrong_size_is_told_and_deleted(get, tmp_path, answer):
    with pytest.raises(HashMismatchError, match=f"expected {len(CONTENT)} bytes, got"):
        get(answer)
    assert files(tmp_path) == []


def test_a_sign_in_page_does_not_touch_the_half_that_came(get, tmp_path):
    part(tmp_path).write_bytes(CONTENT[:HALF])
    with pytest.raises(HashMismatchError, match="the server offers 20"):
        get("page")
    assert part(tmp_path).read_bytes() == CONTENT[:HALF]


def test_the_second_address_serves_when_the_first_is_gone(get, server, tmp_path):
    get("gone", "other", "good")
    assert [path for path, _ in server.asked] == ["/gone", "/other", "/good"]
    assert (tmp_path / "network.pth").read_bytes() == CONTENT


def test_every_address_that_failed_is_told(get):
    with pytest.raises(WeightsError) as caught:
        get("gone", "cut")
    assert "/gone: HTTP status 404" in str(caught.value)
    assert "/cut: the connection broke" in str(caught.value)


def test_a_refused_connection_fails_at_once(tmp_path, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/network.pth"
        start = time.monotonic()
        with pytest.raises(WeightsError, match="Connection refused"):
            fetch_file([url], folder=tmp_path, **FACTS)
    assert time.monotonic() - start < 2
    assert files(tmp_path) == []


def test_an_unroutable_address_fails_within_seconds(tmp_path, server):
    url = "http://10.255.255.1/network.pth"
    start = time.monotonic()
    with pytest.raises(WeightsError):
        fetch_file([url], folder=tmp_path, **FACTS)
    assert time.monotonic() - start < downloads.CONNECT_LIMIT_S + 2


def test_a_name_lookup_that_hangs_fails_within_seconds(monkeypatch, tmp_path, server):
    monkeypatch.setattr(downloads, "OPENING_LIMIT_S", 0.3)

    def lookup(*arguments, **options):
        server.stop.wait(10)
        raise socket.gaierror("the lookup was hung by the test")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(WeightsError, match=r"no answer in 0\.3 s"):
        fetch_file(["http://weights.invalid/a"], folder=tmp_path, **FACTS)


def test_a_server_that_never_answers_fails_within_seconds(monkeypatch, get):
    monkeypatch.setattr(downloads, "OPENING_LIMIT_S", 0.3)
    with pytest.raises(WeightsError, match=r"no answer in 0\.3 s"):
        get("silent")


def test_a_body_that_stalls_fails_and_is_kept(monkeypatch, get, tmp_path):
    monkeypatch.setattr(downloads, "READ_LIMIT_S", 0.3)
    with pytest.raises(WeightsError, match="the connection broke"):
        get("stalled")
    assert part(tmp_path).read_bytes() == CONTENT[:HALF]


def test_a_server_below_the_lowest_rate_is_given_up_for_the_next(
    monkeypatch, get, server, tmp_path
):
    monkeypatch.setattr(downloads, "LOWEST_RATE_S", 0.3)
    path, _ = get("dribbled", "good")
    assert path.read_bytes() == CONTENT
    assert [path for path, _ in server.asked] == ["/dribbled", "/good"]
    _, asked = server.asked[1]
    assert int(asked.removeprefix("bytes=").removesuffix("-")) > 0  # what came is kept
    path.unlink()
    with pytest.raises(WeightsError, match=r"too slow to wait for; what came is kept"):
        get("dribbled")
    get("good")  # the lock is free again


@pytest.mark.parametrize("answer", ["wordy-length", "negative-length"])
def test_a_length_that_is_no_number_is_no_length(get, answer):
    path, _ = get(answer)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("answer", ["two-lengths", "wordy-page"])
def test_after_a_bad_answer_with_a_bad_length_the_next_address_is_tried(get, answer):
    path, _ = get(answer, "good")
    assert path.read_bytes() == CONTENT


def test_too_little_room_is_told_before_anything_is_written(monkeypatch, get, tmp_path):
    usage = downloads.shutil.disk_usage(tmp_path)._replace(free=2**17)
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(WeightsError, match="EVALKIT_CACHE"):
        get("good")
    assert files(tmp_path) == []


def test_a_disk_that_fills_up_is_told_and_relieved(get, tmp_path):
    part(tmp_path).symlink_to("/dev/full")  # where the kernel says ENOSPC
    with pytest.raises(WeightsError, match="is full") as caught:
        get("good")
    assert caught.value.__cause__.errno == ENOSPC
    assert files(tmp_path) == []


def test_a_folder_that_cannot_be_made_is_told(server, tmp_path):
    (tmp_path / "cache").write_text("a file where a folder was meant", encoding="utf-8")
    with pytest.raises(WeightsError, match="EVALKIT_CACHE"):
        fetch_file([f"{server.url}/good"], folder=tmp_path / "cache", **FACTS)


def test_offline_never_touches_the_network(monkeypatch, get, server):
    monkeypatch.setenv("EVALKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match="EVALKIT_OFFLINE=1 forbids"):
        get("good")
    assert server.asked == []


def test_a_mirror_comes_before_a_download(monkeypatch, get, server, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "deep" / "down").mkdir(parents=True)
    (mirror / "network.pth").write_bytes(OTHER)  # the name and size, not the bytes
    (mirror / "deep" / "down" / "other name").write_bytes(CONTENT)
    (mirror / "broken").symlink_to("nowhere")
    monkeypatch.setenv("EVALKIT_MIRROR", f"/no/such{os.pathsep}{mirror}")
    assert get("good") == (mirror / "deep" / "down" / "other name", "mirror")
    assert server.asked == []


def test_a_mirror_is_read_again_when_its_file_changes(monkeypatch, get, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "a").write_bytes(OTHER)
    monkeypatch.setenv("EVALKIT_MIRROR", str(mirror))
    monkeypatch.setenv("EVALKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match=str(mirror)):
        get("good")
    (mirror / "a").write_bytes(CONTENT)
    assert get("good") == (mirror / "a", "mirror")


FETCH = f"""
import sys
from pathlib import Path
from evalkit.downloads.files import fetch_file
print(fetch_file([sys.argv[1]], folder=Path(sys.argv[2]), **{FACTS!r})[1])
"""


def fetch_elsewhere(server, folder):
    """Start a process that downloads slowly."""
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, f"{server.url}/slow", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_download_a_file_once(server, tmp_path):
    processes = [fetch_elsewhere(server, tmp_path) for _ in range(2)]
    told = [process.communicate(timeout=30) for process in processes]
    assert [output for output, _ in told] == ["released\n", "released\n"]
    assert [path for path, _ in server.asked] == ["/slow"]
    assert any("another process is downloading" in error for _, error in told)
    assert (tmp_path / "network.pth").read_bytes() == CONTENT


def test_a_killed_download_is_taken_up_by_the_next_process(server, get, tmp_path):
    process = fetch_elsewhere(server, tmp_path)
    while not (part(tmp_path).exists() and part(tmp_path).stat().st_size):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert files(tmp_path) == [part(tmp_path).name]
    get("good")
    assert (tmp_path / "network.pth").read_bytes() == CONTENT
    assert server.asked[1][1].startswith("bytes=")
