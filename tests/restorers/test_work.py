"""The least work of a picture, against figures of upstream and counts by hand."""

import pytest
import torch

from evalkit.paths import cache_dir
from evalkit.restorers import _work, restorers
from evalkit.restorers._work import Batches, count_work

UPSTREAM = {"runner": "upstream", "device": "cpu", "precision": "fp32", "tile": 0}
X4PLUS = {**UPSTREAM, "scale": 4}
GPEN = {**UPSTREAM, "background": "none"}
GIB = 2**30


def work(name, settings, height=768, width=1024):
    return restorers()[name].work(settings, height, width)


def convolution(n_channels):
    return torch.nn.Conv2d(n_channels, 8, 3, padding=1, bias=False)


def test_one_convolution_is_counted_as_by_hand():
    counted = count_work([Batches(convolution, 4, (2, 4, 10, 20), 3)], "fp32")
    assert counted.operations == 3 * 2 * (2 * 10 * 20) * 8 * (4 * 9)
    weights, ends = 4 * 8 * 4 * 9, 4 * (2 * 10 * 20) * (4 + 8)
    assert counted.coexisting_bytes == weights + ends
    assert counted.moved_bytes == weights + 3 * ends


def test_what_works_in_place_needs_its_memory_once():
    def build(_):
        return torch.nn.Sequential(torch.nn.ReLU(inplace=True))

    assert count_work([Batches(build, 1, (1, 1, 8, 8))], "fp16").coexisting_bytes == 128


def test_x4plus_takes_the_28_tflop_and_two_maps_that_its_sources_tell():
    counted = work("realesrgan-x4plus", X4PLUS)
    assert counted.operations / 1e12 == pytest.approx(28.2, abs=0.05)
    assert counted.operations / (1024 * 768) == pytest.approx(35.85e6, rel=1e-3)
    two_maps, n_parameters = 2 * 64 * 3072 * 4096 * 4, 16_697_987
    assert counted.coexisting_bytes == two_maps + 4 * n_parameters
    assert two_maps == 6 * GIB
    half = work("realesrgan-x4plus", X4PLUS | {"precision": "fp16"})
    assert half.coexisting_bytes == counted.coexisting_bytes / 2
    assert half.operations == counted.operations


@pytest.mark.parametrize(("name", "gflop"), [("gpen-512", 276), ("gpen-256", 17.4)])
def test_gpen_takes_what_its_sources_tell_for_a_face_of_any_picture(name, gflop):
    counted = work(name, GPEN)
    assert counted.operations / 1e9 == pytest.approx(gflop, rel=2e-3)
    assert work(name, GPEN, 2000, 3000) == counted


def test_a_background_is_added_to_the_faces():
    alone = work("gpen-512", GPEN)
    settings = GPEN | {"background": "realesrgan"}
    both = work("gpen-512", settings)
    behind = work("realesrgan-x2plus", {**UPSTREAM, "scale": 2})
    assert both.operations == alone.operations + behind.operations


def test_upstreams_tiles_overlap_and_the_whole_picture_stays_on_the_device():
    """Of 100 and 150 px with a tile of 100: 100, and then 110 and 60 with context."""
    whole = work("realesrgan-animevideo-x4", X4PLUS, 100, 150)
    tiled = work("realesrgan-animevideo-x4", X4PLUS | {"tile": 100}, 100, 150)
    assert tiled.operations / whole.operations == pytest.approx((110 + 60) / 150)
    larger = work("realesrgan-animevideo-x4", X4PLUS | {"tile": 100}, 1000, 1500)
    held = 4 * 3 * (1 + 16) * (1000 * 1500 - 100 * 150)
    assert larger.coexisting_bytes - tiled.coexisting_bytes > held
    untiled = work("realesrgan-animevideo-x4", X4PLUS, 1000, 1500)
    assert larger.coexisting_bytes < untiled.coexisting_bytes


def test_our_windows_are_the_tilers(monkeypatch):
    from evalkit.restorers.engines.canvas import Tiling

    settings = {**UPSTREAM, "runner": "tuned", "tile": 64, "scale": 4}
    whole = work("realesrgan-animevideo-x4", {**settings, "tile": 0}, 200, 300)
    cut = work("realesrgan-animevideo-x4", settings, 200, 300)
    rows, columns = Tiling(scale=4, tile=64, margin=18).rows_and_columns(200, 300)
    n_px = sum((r.stop - r.start) * (c.stop - c.start) for r in rows for c in columns)
    assert cut.operations / whole.operations == pytest.approx(n_px / (200 * 300))


def test_a_scale_of_8_is_two_passes_of_ours_and_one_of_upstreams():
    eight = X4PLUS | {"scale": 8}
    name = "realesrgan-animevideo-x4"
    once = work(name, X4PLUS, 20, 20).operations
    assert work(name, eight, 20, 20).operations == once
    tuned = work(name, eight | {"runner": "tuned"}, 20, 20).operations
    assert tuned == pytest.approx(once * 17)  # the second one on 16 times the pixels


def test_ncnn_mirrors_ten_pixels_around_every_tile():
    settings = {"tile": 200, "precision": "fp16 storage, fp32 arithmetic"}
    mirrored = work("ncnn-realesrgan-animevideo-x4", settings, 180, 280)
    whole = work("realesrgan-animevideo-x4", X4PLUS, 200, 320)  # 220 and 100 by 200
    assert mirrored.operations == pytest.approx(whole.operations)
    assert mirrored.precision == "fp16"


def test_interpolation_only_moves_its_pictures():
    counted = work("lanczos", {"scale": 4}, 10, 20)
    assert counted.operations == 0
    assert counted.moved_bytes == 10 * 20 * 17


@pytest.mark.parametrize("name", [name for name in restorers() if "gan" in name])
def test_every_network_has_its_work_told(name):
    assert restorers()[name].work


@pytest.fixture
def counts(monkeypatch):
    """What is counted, and not read; as a fresh process would."""
    counted, count = [], _work._count

    def spy(*given):
        counted.append(given)
        return count(*given)

    monkeypatch.setattr(_work, "_count", spy)
    _work._cached_count.cache_clear()
    yield counted
    _work._cached_count.cache_clear()


def test_a_count_is_kept_until_code_network_size_or_precision_change(
    counts, monkeypatch
):
    def counted(name="gpen-256", **settings):
        _work._cached_count.cache_clear()
        before = len(counts)
        return work(name, GPEN | settings), len(counts) - before

    first, n = counted()
    assert n == 1
    assert counted() == (first, 0)
    assert counted(precision="fp16")[1] == 1
    assert counted("gpen-512")[1] == 1
    for file in (cache_dir() / "work").iterdir():
        file.write_text("[1, 2", encoding="ascii")
    assert counted() == (first, 1)
    for change in ("records.code_digest", "restorers._work.versions"):
        monkeypatch.setattr(f"evalkit.{change}", lambda _: "of another time")
        assert counted() == (first, 1)
        assert counted() == (first, 0)


def test_where_nothing_can_be_kept_it_is_counted(counts, monkeypatch, tmp_path):
    (tmp_path / "cache").write_text("no folder", encoding="ascii")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    assert work("gpen-256", GPEN).operations > 0
    assert len(counts) == 1


def test_a_network_whose_code_is_not_followed_is_counted_each_time(counts):
    for _ in range(2):
        _work._cached_count.cache_clear()
        count_work([Batches(convolution, 4, (1, 4, 10, 20))], "fp32")
    assert len(counts) == 2
    assert not (cache_dir() / "work").exists()
