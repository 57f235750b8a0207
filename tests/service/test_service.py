"""``evalkit serve`` over HTTP: each gets its own picture, none harms another."""

import io
import json
import re
import socket
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Queue
from unittest.mock import Mock
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image
from skimage import data

from evalkit import load_restorer
from evalkit.daily.pool import Event
from evalkit.restorers import plan_restorer
from evalkit.service.app import UPSCALE
from evalkit.service.desk import BusyError, Desk, Limits, _Place
from evalkit.service.looks import LookError, Looks

SOAK = (pytest.mark.soak, pytest.mark.timeout(900))


def png(value: int, side: int = 24, *, exif: bool = False) -> bytes:
    """A picture with an own level, and a place where it was taken."""
    chance = np.random.default_rng(value).integers(0, 255, (side, side, 3), np.uint8)
    tags = Image.Exif()
    if exif:
        tags.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 29.5)})
    return packed(chance, exif=tags)


def packed(picture: np.ndarray, **more) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png", **more)
    return stream.getvalue()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def restored(content: bytes, condition="lanczos", **settings) -> np.ndarray:
    return load_restorer(condition, **settings).restore(pixels(content)).image


def workers(served) -> list[psutil.Process]:
    """The processes that hold a restorer: those that a server of workers forked."""
    below = psutil.Process(served.process.pid).children(recursive=True)
    return [
        p for p in below if not p.children() and p.parent().pid != served.process.pid
    ]


def test_a_picture_comes_back_with_what_made_it_and_what_it_cost(served):
    answer = served.post(png(1, exif=True))
    assert answer.status_code == 200, answer.text
    assert np.array_equal(pixels(answer.content), restored(png(1), scale=2))
    headers = answer.headers
    assert re.search(
        r'filename="evalkit-\d{8}T\d{12}Z\.png"', headers["content-disposition"]
    )
    parameters = json.loads(headers["x-evalkit-parameters"])
    assert load_restorer(**parameters).parameters == parameters
    assert headers["x-evalkit-condition"] == "lanczos@scale=2"
    assert re.fullmatch(r"queue;dur=[\d.]+, model;dur=[\d.]+", headers["server-timing"])
    assert Image.open(io.BytesIO(answer.content)).getexif().get_ifd(0x8825) == {}
    as_json = served.post(png(1), params=json.dumps(parameters), format="webp")
    assert as_json.headers["content-type"] == "image/webp"


def test_sixteen_at_once_get_their_own(served):
    def ask(number: int) -> list[httpx.Response]:
        return [served.post(png(number), scale=s, condition="lanczos") for s in (2, 3)]

    with ThreadPoolExecutor(16) as clients:
        for number, answers in enumerate(clients.map(ask, range(16))):
            for answer, scale in zip(answers, (2, 3), strict=True):
                assert answer.status_code == 200, answer.text
                assert np.array_equal(
                    pixels(answer.content), restored(png(number), scale=scale)
                )


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"condition": "lanczo"}, 422, "did you mean lanczos"),
        ({"condition": "outputs:/etc"}, 422, "no file and no program"),
        ({"condition": "checkpoint:/etc/passwd"}, 422, "no file and no program"),
        ({"condition": "command:sh {in} {out}"}, 422, "no file and no program"),
        ({"condition": "hybrid@faces=outputs:x"}, 422, "no file and no program"),
        ({"params": '{"name": "gpen-512", "weights": "/etc/passwd"}'}, 422, "no file"),
        ({"params": "{"}, 422, "expected JSON"),
        ({"params": "[" * 100_000}, 422, "expected JSON"),
        ({"params": "[]"}, 422, 'the restorer\'s "name"'),
        ({"condition": "gpen-512"}, 409, "--accept gpen"),
        ({"scale": "0"}, 422, "scale"),
        ({"format": "exe"}, 422, "format: expected one of"),
        ({"condition": "lanczos", "params": '{"name": "lanczos"}'}, 422, "found both"),
    ],
)
def test_what_cannot_be_done_is_said(served, fields, status, says):
    answer = served.post(png(0), **fields)
    assert (answer.status_code, says in answer.json()["error"]) == (status, True), (
        answer.text
    )


def test_hostile_bodies_are_the_senders_fault(served):
    bomb = io.BytesIO()
    Image.new("1", (30_000, 30_000)).save(bomb, "png")
    for content in (b"no picture", b"", png(0)[:90], bomb.getvalue()):
        answer = served.post(content)
        assert answer.status_code == 422, answer.text
        assert str(served.folder) not in answer.text
    client = served.client
    assert client.post("/api/upscale", data={"scale": 2}).status_code == 422
    assert client.post("/api/upscale", content=b"x").status_code == 422
    elsewhere = {"Origin": "https://elsewhere.example"}
    files = {"file": png(0)}
    asked = client.post("/api/upscale", files=files, headers=elsewhere)
    assert asked.status_code == 403
    asked = client.get("/api/restorers", headers={"Host": "elsewhere.example"})
    assert asked.status_code == 403

    def endless():
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"'
        yield b"\r\n\r\n"
        for _ in range(80):
            yield b"x" * 2**20

    form = {"Content-Type": "multipart/form-data; boundary=b"}
    too_large = client.post("/api/upscale", content=endless(), headers=form)
    assert too_large.status_code == 413
    assert "at most 65 MiB" in too_large.json()["error"]
    assert served.post(png(3)).status_code == 200


def test_a_hundred_half_open_connections_keep_nobody_out(served):
    address = urlsplit(served.address)
    sockets = [
        socket.create_connection((address.hostname, address.port)) for _ in range(100)
    ]
    for half in sockets:
        half.sendall(b"POST /api/upscale HTTP/1.1\r\nHost: localhost\r\nContent-Le")
    assert served.post(png(4)).status_code == 200
    for half in sockets:
        half.close()


def test_a_job_is_followed_fetched_and_deleted(served):
    sent = served.post(png(5), "?async=1")
    assert sent.status_code == 202
    job = sent.json()
    until = time.monotonic() + 30
    while job["state"] in ("waiting", "running"):
        assert time.monotonic() < until
        time.sleep(0.05)
        job = served.client.get(f"/api/jobs/{job['id']}").json()
    assert (job["state"], job["part"]) == ("done", 1)
    assert job["notes"] == {"en": [], "zh": []}
    for _ in range(2):
        answer = served.client.get(job["result"])
        assert np.array_equal(pixels(answer.content), restored(png(5), scale=2))
    served.client.delete(f"/api/jobs/{job['id']}")
    assert served.client.get(job["result"]).status_code == 404
    assert served.client.get("/api/jobs/none").status_code == 404


def finished(served, content: bytes, name: str, **fields: object) -> str:
    """The address of a job that has ended."""
    files = {"file": (name, content)}
    sent = served.client.post("/api/upscale?async=1", files=files, data=fields)
    job = sent.json()["id"]
    until = time.monotonic() + 30
    while served.client.get(f"/api/jobs/{job}").json()["state"] in (
        "waiting",
        "running",
    ):
        assert time.monotonic() < until
        time.sleep(0.05)
    return job


def test_results_come_as_one_zip_and_never_two_by_one_name(served):
    sent = {"me.png": 1, "ME.jpg": 2, "../../etc/me.png": 3, "C:\\con.png": 4}
    jobs = [finished(served, png(value), name) for name, value in sent.items()]
    jobs.append(finished(served, png(5), "me.png", format="webp"))
    answer = served.client.get("/api/zip", params={"job": [*jobs, jobs[0]]})
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[:3] == ["me.png", "ME-2.png", "me-3.png"]
        assert re.fullmatch(r"_con~[0-9a-f]{8}\.png", names[3])
        assert names[4] == "me.webp"
        for name, value in zip(names[:4], sent.values(), strict=True):
            expected = restored(png(value), scale=2)
            assert np.array_equal(pixels(archive.read(name)), expected)
    broken = finished(served, b"no picture", "none.png")
    refused = served.client.get("/api/zip", params={"job": [jobs[0], broken]})
    assert (refused.status_code, "failed" in refused.text) == (409, True)
    assert served.client.get("/api/zip", params={"job": "none"}).status_code == 404
    assert served.client.get("/api/zip").status_code == 422
    for job in (*jobs, broken):
        served.client.delete(f"/api/jobs/{job}")


def test_the_router_is_asked_and_keeps_nothing(served, tmp_path, told):
    file = tmp_path / "any.png"
    file.write_bytes(png(11, 64))
    answer = served.client.post("/api/route", files={"file": png(11, 64)}).json()
    _, printed, _ = told("route", file)
    chosen, *reasons = printed.splitlines()
    assert chosen == f"{file}: {answer['chosen']}"
    assert [line.strip() for line in reasons[: len(answer["reasons"])]] == answer[
        "reasons"
    ]
    assert (answer["width"], answer["height"]) == (64, 64)
    assert answer["chosen"] in answer["words"]["zh"]
    refused = served.client.post("/api/route", files={"file": b"no picture"})
    assert refused.status_code == 422
    assert str(served.folder) not in refused.text
    assert list(served.folder.rglob("*.look")) == []


def test_a_look_has_an_end_and_not_all_may_wait_for_one(tmp_path):
    desk = Desk(Limits(most_looking=1, look_s=0.01))
    looks = Looks(desk)
    with looks.place() as file:
        file.write_bytes(png(1))
        with pytest.raises(BusyError), looks.place():
            pass
        with pytest.raises(LookError) as ended:
            looks.advise(file)
    assert ended.value.outcome == "timeout"
    with looks.place():
        assert not file.exists()
    desk.close()


def test_no_file_of_a_picture_outlives_its_answer(served):
    served.post(png(6))
    served.post(b"no picture")

    def left() -> list:
        inputs = [p for p in served.folder.rglob("*.in") if p.is_file()]
        return [*inputs, *served.folder.rglob("*-out*")]

    until = time.monotonic() + 10  # they are deleted once the answer has been sent
    while left():
        assert time.monotonic() < until, left()
        time.sleep(0.05)


def test_a_killed_worker_is_replaced(served):
    served.post(png(7))
    (worker,) = workers(served)
    worker.kill()
    assert served.post(png(8)).status_code in (200, 500)
    assert served.post(png(9)).status_code == 200
    assert workers(served) != [worker]


def test_what_requests_get_by_themselves_is_changed_while_it_runs(served):
    before = served.client.get("/api/config").json()
    wrong = served.client.put("/api/config", json={"condition": "nothing"})
    assert wrong.status_code == 422
    assert served.client.get("/api/config").json() == before
    changed = served.client.put("/api/config", json={"condition": "bicubic@scale=3"})
    assert changed.json() == {"condition": "bicubic@scale=3", "device": "auto"}
    answer = served.post(png(10))
    assert np.array_equal(pixels(answer.content), restored(png(10), "bicubic", scale=3))
    served.client.put("/api/config", json=before)


def test_what_is_offered_is_listed_and_nothing_is_loaded_from_elsewhere(served):
    offered = {
        each["name"]: each for each in served.client.get("/api/restorers").json()
    }
    assert "gpen" in offered["gpen-512"]["lacks"]
    assert offered["lanczos"]["lacks"] is None
    settings = offered["realesrgan-x4plus"]["settings"]
    assert settings["tile"] == {
        "type": "number",
        "default": "auto",
        "choices": ["auto"],
        "least": 0,
        "most": 16384,
        "says": settings["tile"]["says"],
    }
    assert settings["precision"]["type"] == "choice"
    assert not {"outputs", "command", "checkpoint"} & offered.keys()
    fit = served.client.get("/api/fit", params={"width": 640, "height": 480})
    assert "640x480 px" in fit.json()[0]
    assert served.client.get("/api/fit?width=0&height=1").status_code == 422
    for path in ("/", "/docs"):
        html = served.client.get(path)
        assert "default-src 'none'" in html.headers["content-security-policy"]
        assert not re.search(r'(?:src|href)="(?:https?:)?//', html.text)
    paths = served.client.get("/openapi.json").json()["paths"]
    assert {"/api/upscale", "/api/jobs/{name}", "/healthz"} <= set(paths)


def test_the_queue_has_an_end_and_jobs_can_be_cancelled(start):
    served = start("--with", "realesrgan-animevideo-x4@tile=64", "--waiting", "2")
    large = png(1, 900)
    sent = [served.post(large, "?async=1") for _ in range(4)]
    statuses = [answer.status_code for answer in sent]
    assert statuses.count(202) in (2, 3)
    refused = next(answer for answer in sent if answer.status_code == 429)
    assert refused.headers["retry-after"].isdecimal()
    assert "limit" in refused.json()["error"]
    jobs = [answer.json() for answer in sent if answer.status_code == 202]
    for job in jobs:
        served.client.delete(f"/api/jobs/{job['id']}")
    until = time.monotonic() + 60
    while any(
        served.client.get(f"/api/jobs/{job['id']}").json().get("state") == "running"
        for job in jobs
    ):
        assert time.monotonic() < until
        time.sleep(0.1)
    states = [served.client.get(f"/api/jobs/{job['id']}").json() for job in jobs]
    assert {state["state"] for state in states} == {"cancelled"}
    with pytest.raises(httpx.ReadTimeout):  # whoever leaves wants nothing any more
        httpx.post(f"{served.address}/api/upscale", files={"file": large}, timeout=1)
    until = time.monotonic() + 60
    while served.client.get("/healthz").json()["running"]:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert served.post(png(2)).status_code == 200
    printed = served.end()
    assert "of a person" not in printed
    assert [path for path in served.folder.iterdir() if "serve" in path.name] == []


def test_of_several_pages_the_first_is_restored_and_that_is_said(served):
    stream = io.BytesIO()
    pages = [Image.new("RGB", (24 + n, 16)) for n in range(3)]
    pages[0].save(stream, "tiff", save_all=True, append_images=pages[1:])
    answer = served.post(stream.getvalue(), format="tiff")
    assert pixels(answer.content).shape == (32, 48, 3)
    (note,) = json.loads(answer.headers["x-evalkit-notes"])
    assert note == "page 1 of 3: the others are left out"
    job = finished(served, stream.getvalue(), "pages.tif")
    notes = served.client.get(f"/api/jobs/{job}").json()["notes"]
    assert notes == {"en": [note], "zh": ["第 1 页，共 3 页：其余各页略去"]}


def test_what_would_change_nothing_is_refused(served):
    answer = served.post(png(0), condtion="bicubic")
    assert answer.status_code == 422
    assert "did you mean condition" in answer.json()["error"]
    described = served.client.get("/openapi.json").json()["components"]["schemas"]
    (body,) = (each for name, each in described.items() if name.startswith("Body_upsc"))
    assert set(body["properties"]) == set(UPSCALE)
    usual = served.client.get("/api/config").json()
    wanted = {"condition": "lanczos", "device": "foo"}
    assert served.client.put("/api/config", json=wanted).status_code == 422
    assert served.client.get("/api/config").json() == usual


def test_what_is_done_before_it_sees_that_it_is_to_stop_is_not_kept(tmp_path):
    desk = Desk(Limits())
    job = desk.new_job(plan_restorer("lanczos"), ".png")
    place = _Place(job.plan, 0)
    place.close()
    place._pool = Mock(events=Queue())
    job.target.write_bytes(b"made")
    job.stop.touch()
    place._pool.events.put(Event(None, {"notes": []}))
    place.run(job, 99)
    assert job.state == "cancelled"
    assert not job.target.exists()
    desk.close()


def test_elsewhere_a_token_is_asked_for(start):
    served = start("--host", "0.0.0.0", "--with", "lanczos")
    assert "0.0.0.0" not in served.page
    (token,) = re.findall(r"token=(\S+)", served.page)
    client = httpx.Client(base_url=f"http://127.0.0.1:{urlsplit(served.page).port}")
    assert client.get("/healthz").status_code == 200
    assert client.get("/").status_code == 401
    files = {"file": png(0)}
    assert client.post("/api/upscale", files=files).status_code == 401
    bearer = {"Authorization": f"Bearer {token}"}
    asked = client.post("/api/upscale", files=files, headers=bearer)
    assert asked.status_code == 200
    assert client.get(f"/?token={token}").status_code == 200
    listed = client.get(f"/docs?token={token}")
    assert f'href="openapi.json?token={token}"' in listed.text
    assert client.get(f"/openapi.json?token={token}").status_code == 200


def test_what_a_killed_service_left_is_deleted_by_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / "evalkit-serve-99999999-abc"
    left.mkdir()
    desk = Desk(Limits(kept_s=0.2))
    assert not left.exists()
    job = desk.new_job(None, ".png")
    job.source.write_bytes(b"1")
    desk.jobs[job.id] = job
    job.end("failed", f"{job.source} is none")
    assert job.error == "the file is none"
    until = time.monotonic() + 10
    while desk.jobs:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not job.source.exists()
    desk.close()
    assert not desk.folder.exists()


@pytest.mark.slow
def test_what_takes_too_long_is_ended(tmp_path):
    """Also where its network looks at nothing until it is done."""
    desk = Desk(Limits(picture_s=0.5))
    plan = plan_restorer("realesrgan-x4plus", runner="upstream", device="cpu")
    jobs = [desk.new_job(plan, ".png") for _ in range(2)]
    for job, side in zip(jobs, (700, 8), strict=True):
        job.source.write_bytes(png(1, side))
        desk.submit(job)
        job.ended.result(120)
    assert jobs[0].error == "not done after 0.5 s"
    assert jobs[0].facts["outcome"] == "timeout"
    desk.close()


def memory_mib(served) -> float:
    """What the service's processes hold for themselves."""
    process = psutil.Process(served.process.pid)
    tree = [process, *process.children(recursive=True)]
    held = 0
    for each in tree:
        with suppress(psutil.NoSuchProcess):  # a worker that was just started anew
            held += each.memory_full_info().uss
    return held / 2**20


@pytest.mark.parametrize(
    "n_requests",
    [pytest.param(200, marks=pytest.mark.slow), pytest.param(2000, marks=SOAK)],
)
def test_memory_is_flat(start, n_requests):
    served = start("--with", "lanczos")
    content = png(0, 256)
    sizes = []
    for _ in range(n_requests):
        assert served.post(content).status_code == 200
        sizes.append(memory_mib(served))
    half = n_requests // 2
    # the worker is started anew in the midst
    assert max(sizes[half:]) - max(sizes[:half]) < 10
    served.end()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_sixteen_clients_for_two_minutes(start):
    served = start("--with", "realesrgan-animevideo-x4")
    photograph = data.astronaut()  # noise takes half as long again to pack
    parts = [
        photograph[20 * n : 20 * n + 180, 16 * n : 16 * n + 180] for n in range(16)
    ]
    sent = {n: packed(part) for n, part in enumerate(parts)}
    name = "realesrgan-animevideo-x4"
    expected = {n: restored(content, name) for n, content in sent.items()}
    served.post(sent[0])  # the network is loaded once
    beside, until = [], time.monotonic() + 120
    lock, known = threading.Lock(), {}  # clients share two cores with the service

    def ask(number: int) -> None:
        while time.monotonic() < until:
            begin = time.perf_counter()
            answer = served.post(sent[number])
            took_ms = 1000 * (time.perf_counter() - begin)
            assert answer.status_code == 200, answer.text
            if answer.content != known.get(number):  # else the pixels were compared
                assert np.array_equal(pixels(answer.content), expected[number])
                known[number] = answer.content
            timing = re.findall(r"dur=([\d.]+)", answer.headers["server-timing"])
            with lock:
                beside.append(took_ms - sum(map(float, timing)))

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(ask, range(16)))
    assert np.percentile(beside, 95) <= 50
