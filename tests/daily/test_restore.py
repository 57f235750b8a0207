"""``evalkit restore``: all pictures of an album, each once, the broken ones named."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evalkit import load_restorer
from evalkit.daily import permitted, pool, settings, worker
from evalkit.daily.journal import Journal
from evalkit.daily.permitted import notices_of, permitted_plan
from evalkit.errors import LicenceError
from evalkit.images import read_image, read_metadata, write_image
from evalkit.restorers import plan_restorer
from evalkit.restorers._routing import ROUTES
from evalkit.weights import WeightsInUse

LANCZOS = ("--with", "lanczos@scale=2")
TAKEN = "2015:06:01 12:00:00"
"""The date of the album's phone picture."""

OUTPUTS = {
    *("face.png", "1990/face.png", "1990/letter-p1.png", "1990/letter-p2.png"),
    "1990/summer/phone.png",
}


def journal(out: Path) -> list[dict]:
    """The lines of pictures that are done."""
    lines = (out / "evalkit-restore.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["done"]]


def outputs(out: Path) -> set[str]:
    files = [p for p in out.rglob("*") if p.is_file() and p.name[0] != "."]
    names = {p.relative_to(out).as_posix() for p in files}
    return names - {"evalkit-restore.jsonl"}


def test_an_album_is_restored_once_and_a_broken_file_is_named(told, attic, tmp_path):
    out = tmp_path / "out"
    status, lines, errors = told(attic, "-o", out, "--recursive", *LANCZOS)
    assert status == 3
    (failure,) = errors.splitlines()
    assert failure.startswith(f"passed over: {attic / '1990' / 'torn.jpg'} is cut off")
    assert outputs(out) == OUTPUTS
    assert "5 restored, 0 were done before, 1 passed over" in lines
    before = {name: (out / name).stat().st_mtime_ns for name in OUTPUTS}
    (attic / "1990" / "torn.jpg").unlink()
    status, lines, _ = told(attic, "-o", out, "--recursive", *LANCZOS)
    assert status == 0
    assert "0 restored, 5 were done before, 0 passed over" in lines
    assert before == {name: (out / name).stat().st_mtime_ns for name in OUTPUTS}
    # what is gone, or another picture now, is made again; nothing is written over
    (out / "1990" / "face.png").unlink()
    write_image(attic / "face.jpg", np.zeros((9, 9), np.uint8))
    told(attic, "-o", out, "--recursive", *LANCZOS)
    assert outputs(out) == OUTPUTS | {"face-2.png"}


def test_what_a_phone_says_travels_and_what_made_the_picture_is_said(
    told, attic, tmp_path
):
    source = attic / "face.jpg"
    told(source, "-o", tmp_path / "out", "--with", "realesrgan-animevideo-x4")
    output = tmp_path / "out" / "face.png"
    assert read_image(output).shape == (88 * 4, 64 * 4, 3)  # upright, once
    metadata = read_metadata(output)
    assert metadata.tags[306] == TAKEN
    assert metadata.gps[1] == "N"
    with Image.open(output) as file:
        assert file.getexif()[305].startswith("evalkit ")
        assert file.getexif()[274] == 1
    assert "not for identification" in metadata.tags[270]
    xmp = metadata.xmp.decode()
    assert "realesrgan-animevideo-x4" in xmp
    assert "evidence" in xmp
    told(source, "-o", tmp_path / "bare", "--strip", *LANCZOS)
    bare = read_metadata(tmp_path / "bare" / "face.png")
    assert (306 in bare.tags, bare.gps, bare.exif) == (False, {}, {})
    assert 270 not in bare.tags  # an interpolation invents nothing
    assert "lanczos" in bare.xmp.decode()


def test_settings_go_to_a_file_and_back(told, refused, attic, tmp_path):
    file, source = tmp_path / "set.json", attic / "face.jpg"
    with_scale = ("--with", "lanczos", "--scale", 3)
    told(source, "-o", tmp_path / "a", *with_scale, "--save-params", file)
    expected = load_restorer("lanczos", scale=3).parameters
    assert json.loads(file.read_text(encoding="utf-8")) == expected
    assert load_restorer(**expected).parameters == expected
    again = tmp_path / "again.json"
    told(source, "-o", tmp_path / "b", "--params", file, "--save-params", again)
    assert again.read_bytes() == file.read_bytes()
    first, second = ((tmp_path / x / "face.png").read_bytes() for x in "ab")
    assert first == second
    file.write_text("[1]", encoding="utf-8")
    assert "as --save-params writes" in refused(source, "-o", "x", "--params", file)
    assert not Path("x").exists()
    status, _, errors = told(source, "-o", "x", "--params", file, "--with", "lanczos")
    assert status == 2
    assert "found both" in errors


def test_a_sheet_is_filled_and_its_dots_are_told(told, refused, attic, tmp_path):
    told(attic / "face.jpg", "-o", tmp_path, "--for-print", "100x50@100", *LANCZOS)
    with Image.open(tmp_path / "face.png") as file:
        # 64x88 px upright: the longer side of 100 mm is not reached
        assert file.size == (197, round(197 * 88 / 64))
        assert file.info["dpi"] == pytest.approx((100, 100), abs=0.1)
    line = refused(attic, "-o", tmp_path / "x", "--for-print", "A4")
    assert "such as A4@300" in line


@pytest.mark.parametrize("form", ["jpg", "webp", "tif", "avif", "jxl", "heic"])
def test_a_format_is_written_where_it_is_asked_for(told, tmp_path, form):
    if form == "heic":
        pytest.importorskip("pillow_heif")
    deep = np.full((20, 30, 4), 40_000, np.uint16)
    write_image(tmp_path / "deep.png", deep)
    status, lines, errors = told(
        tmp_path / "deep.png", "-o", tmp_path / "out", "--format", form, *LANCZOS
    )
    assert (status, errors) == (0, "")
    read = read_image(tmp_path / "out" / f"deep.{form}")
    assert read.shape[:2] == (40, 60)
    assert ("16 bits became 8" in lines) == (form != "tif")
    assert ("transparent became white" in lines) == (form == "jpg")


def test_a_misuse_is_refused_before_anything_is_made(told, refused, attic, tmp_path):
    out = tmp_path / "out"
    assert "got '.xyz'" in refused(attic, "-o", out, "--format", "xyz")
    assert "expected {stem}" in refused(attic, "-o", out, "--name", "{nam}.png")
    assert "give one" in refused(attic, "-o", out, "--name", "a.png", "--format", "jpg")
    assert "another folder for --out" in refused(attic, "-o", attic, *LANCZOS)
    assert "found nothing" in refused(tmp_path / "no", "-o", out, *LANCZOS)
    assert "at most 1" in refused(attic, "-o", out, "--jobs", 2, *LANCZOS)
    assert "did you mean lanczos" in refused(attic, "-o", out, "--with", "lancos")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "found none in" in refused(empty, "-o", out, *LANCZOS)
    status, _, errors = told(attic, "-o", tmp_path / "a.jpg", *LANCZOS)
    assert status == 2
    assert "expected a folder" in errors
    assert not out.exists()


def test_outputs_inside_the_album_are_not_restored_again(told, attic):
    out = attic / "restored"
    for n_before in (0, 1):
        _, lines, _ = told(attic, "-o", out, *LANCZOS)
        assert f"{n_before} were done before" in lines
    assert outputs(out) == {"face.png"}


def test_no_face_is_drawn_by_weights_whose_notice_is_unread(
    refused, attic, tmp_path, monkeypatch
):
    monkeypatch.setenv("EVALKIT_ACCEPT", "")
    line = refused(attic, "-o", tmp_path / "out", "--with", "gpen-512")
    assert "not cleared for commercial use" in line
    assert "2026-03-10" in line
    assert "--accept gpen" in line
    line = refused(attic, "-o", tmp_path, "--with", "hybrid", "--accept", "gpen")
    assert "evalkit weights fetch gpen-bfr-512" in line  # offline: not to be had
    assert "--with auto" in line
    noise = "gpen-512@weights=random"
    line = refused(attic, "-o", tmp_path, "--with", noise, "--accept", "gpen")
    assert "make noise" in line


def test_weights_that_are_here_have_their_notice_too(monkeypatch, tmp_path):
    def with_weights(name, **settings):
        plan = plan_restorer(name, **settings)
        file = WeightsInUse("gpen-bfr-512", tmp_path / "a.pth", "0" * 64, "mirror")
        has_gpen = "gpen-bfr-512" in plan.spec.weights
        names = ROUTES.values() if name == "auto" else ()
        return replace(
            plan,
            weights=(file,) if has_gpen else plan.weights,
            parts=tuple(with_weights(part) for part in names),
        )

    monkeypatch.setattr(permitted, "plan_restorer", with_weights)
    monkeypatch.setenv("EVALKIT_ACCEPT", "")
    with pytest.raises(LicenceError, match="--accept gpen"):
        permitted_plan({"name": "gpen-512"})
    plan = permitted_plan({"name": "auto"})
    assert [part.spec.name for part in plan.parts] == ["realesrgan-x4plus"]
    assert "the notice of its weights is not accepted; --accept gpen" in plan.notes[0]
    monkeypatch.setenv("EVALKIT_ACCEPT", "gpen")
    assert notices_of(permitted_plan({"name": "gpen-512"})) == ["gpen"]
    assert len(permitted_plan({"name": "auto"}).parts) == 3


def test_auto_is_told_what_is_a_page_of_a_pdf(attic):
    told = []
    letter = attic / "letter.pdf"
    Image.open(attic / "face.jpg").convert("RGB").save(letter)

    class Asked:
        def knowing(self, facts):
            told.append(facts)
            return load_restorer("lanczos", scale=2)

    for source in map(str, (letter, attic / "face.jpg")):
        worker.restore(Asked(), source, worker.read(source))
    assert told == [{"is_pdf": 1.0}, {"is_pdf": 0.0}]


@pytest.mark.slow
def test_auto_says_why_and_takes_the_next_best(told, attic, tmp_path, monkeypatch):
    monkeypatch.setenv("EVALKIT_ACCEPT", "")
    status, lines, _ = told(attic / "face.jpg", "-o", tmp_path / "auto")
    assert status == 0
    assert "gpen-512 and hybrid cannot be used, and the next best is" in lines
    assert "    route " in lines
    xmp = read_metadata(tmp_path / "auto" / "face.png").xmp.decode()
    assert 'evalkit:why="route ' in xmp


def test_what_would_be_done_is_said_and_nothing_is_done(told, attic, tmp_path):
    out = tmp_path / "out"
    dry = (attic, "-o", out, "--recursive", "--dry-run", *LANCZOS)
    status, lines, _ = told(*dry)
    assert status == 0
    assert not out.exists()
    assert "5 would be restored, 0 are done, 1 would be passed over" in lines
    assert (
        f"{attic / 'face.jpg'} -> {out / 'face.png'}, 128x176 px, by lanczos" in lines
    )
    assert "time and memory of 5 are unknown" in lines
    assert "GB of disk" in lines
    told(attic, "-o", out, *LANCZOS)
    _, lines, _ = told(*dry)
    assert "4 would be restored, 1 are done" in lines
    assert "min one after the other, up to" in lines
    assert "by what is in this folder" in lines


def test_two_pictures_never_get_one_name(told, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "a.jpg", "A.webp", "a-2.png", "CON.png"):
        write_image(folder / name, np.full((8, 8, 3), 99, np.uint8))
    out = tmp_path / "out"
    told(folder, "-o", out, *LANCZOS)
    windows = "_CON~a3dbc4b6.png"  # where CON is a device
    assert outputs(out) == {"A.png", "a-2.png", "a-3.png", "a-4.png", windows}
    told(folder, "-o", tmp_path / "b", "--name", "x_{time:%Y}.jpg", *LANCZOS)
    year = time.strftime("%Y")
    expected = {f"x_{year}.jpg", *(f"x_{year}-{n}.jpg" for n in range(2, 6))}
    assert outputs(tmp_path / "b") == expected


def test_one_program_at_a_time_writes_to_a_folder(refused, attic, tmp_path):
    out = tmp_path / "out"
    with Journal(out):
        assert "another evalkit restore" in refused(attic, "-o", out, *LANCZOS)


def test_a_crash_costs_its_picture_and_the_restorer_is_loaded_anew(
    told, tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(pool, "WORKER", "planted_worker")
    for number in range(4):
        write_image(tmp_path / f"{number}.png", np.full((8, 8), 40 * number, np.uint8))
    (tmp_path / "1.png").rename(tmp_path / "1-crash.png")
    status, _, errors = told(tmp_path, "-o", tmp_path / "out", *LANCZOS)
    assert status == 3
    assert "1-crash.png: ended with exit code 9" in errors
    assert outputs(tmp_path / "out") == {"0.png", "2.png", "3.png"}
    assert len({row["pid"] for row in journal(tmp_path / "out")}) == 2


def test_a_worker_is_started_anew_before_it_grows(told, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(pool, "WORKER", "planted_worker")
    monkeypatch.setattr(pool, "MOST_OF_ONE_PROCESS", 4)
    told(fill(tmp_path / "in", 10), "-o", tmp_path / "out", *LANCZOS)
    pids = [row["pid"] for row in journal(tmp_path / "out")]
    assert sorted(pids.count(pid) for pid in {*pids}) == [2, 4, 4]


def test_a_full_disk_ends_it(refused, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    monkeypatch.setattr(pool, "WORKER", "planted_worker")
    for number in range(5):
        write_image(tmp_path / f"full-{number}.png", np.zeros((8, 8), np.uint8))
    line = refused(tmp_path, "-o", tmp_path / "out", *LANCZOS)
    assert "3 cells in a row" in line
    assert "No space left on device" in line


def test_each_gpu_has_a_plan_of_its_own(monkeypatch):
    from evalkit.restorers.engines import torch as torch_engine

    for module in (torch_engine, settings):
        monkeypatch.setattr(module, "n_devices", lambda: 2)  # stands in for GPUs
    plan = settings.permitted_plan({"name": "realesrgan-animevideo-x4"})
    plans = settings.plans_by_device(plan, None)
    assert [p.resolved["device"] for p in plans] == ["cuda:0", "cuda:1"]
    assert settings.plans_by_device(plan, 1) == [plan]


def start(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "evalkit", "restore", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.fixture
def many(tmp_path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(8):
        noise = chance.integers(0, 255, (200, 200, 3), np.uint8)
        write_image(folder / f"{number}.png", noise)
    return folder


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_it_goes_on_where_it_was_ended(told, tmp_path, many, end):
    out = tmp_path / "out"
    settings = ("--with", "lanczos@scale=8")
    process = start(many, "-o", out, *settings)
    log = out / "evalkit-restore.jsonl"
    wait_for(lambda: log.is_file() and log.read_text().count("true") > 1, process)
    os.killpg(process.pid, end)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[end]
    if end == signal.SIGINT:
        assert errors == "evalkit: stopped; run it again to go on\n"
    before = {name: (out / name).stat().st_mtime_ns for name in outputs(out)}
    assert 0 < len(before) < 8
    for name in before:
        assert read_image(out / name).shape == (1600, 1600, 3)  # whole
    status, *_ = told(many, "-o", out, *settings)
    assert status == 0
    assert outputs(out) == {f"{number}.png" for number in range(8)}
    assert {n: (out / n).stat().st_mtime_ns for n in before} == before
    assert not [*out.rglob(".evalkit-*-*")]  # nothing half-written


def test_a_watched_folder_is_gone_on_with(tmp_path, many):
    out = tmp_path / "out"
    process = start(many, "-o", out, "--watch", *LANCZOS)
    wait_for(lambda: len(outputs(out)) == 8, process)
    write_image(many / "late.png", np.zeros((9, 9), np.uint8))
    # told once its line is on the disk; Ctrl-C before that takes the line back
    assert any("late.png ->" in line for line in process.stdout)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) == 130
    assert [row["output"] for row in journal(out)].count("late.png") == 1


def memory_grows(out: Path) -> float:
    """MiB between the middle and the end of a batch, by the worker's resident set."""
    sizes = [row["rss_mib"] for row in journal(out)]
    quarter = len(sizes) // 4
    middle = np.median(sizes[quarter : 2 * quarter])
    return float(np.median(sizes[-quarter:]) - middle)


def fill(folder: Path, count: int) -> Path:
    chance = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        sides = chance.integers(60, 120, 2)
        noise = chance.integers(0, 255, (*sides, 3), np.uint8)
        write_image(folder / f"{number}.png", noise)
    return folder


def test_memory_is_flat_over_forty_pictures(told, tmp_path):
    told(fill(tmp_path / "in", 40), "-o", tmp_path / "out", *LANCZOS)
    assert memory_grows(tmp_path / "out") < 5


@pytest.mark.soak
@pytest.mark.parametrize("name", ["lanczos", "realesrgan-animevideo-x4"])
def test_memory_is_flat_over_a_thousand_pictures(told, tmp_path, name):
    status, lines, _ = told(
        fill(tmp_path / "in", 1000), "-o", tmp_path / "out", "--with", name
    )
    assert status == 0
    assert "1000 restored" in lines
    sizes = [row["rss_mib"] for row in journal(tmp_path / "out")]
    assert max(sizes[500:]) - max(sizes[:500]) < 20
