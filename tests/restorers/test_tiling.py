import threading

import numpy as np
import pytest
import torch
from scipy import ndimage

from evalkit.errors import CancelledError, OutOfMemoryError, OutputRejectedError
from evalkit.restorers._protocol import Context
from evalkit.restorers.engines.canvas import SEAM, Tiling
from evalkit.restorers.engines.tiling import LoadedNetwork, restore_tiled
from evalkit.restorers.engines.torch import Engine

RADIUS = 3  # of the blur, the farthest that its output looks


class FakeEngine(Engine):
    """Applies `function` to each batch; remembers the shapes that it was given."""

    def __init__(self, function, n_ahead=0):
        super().__init__("fake")
        self.function, self.n_ahead, self.shapes = function, n_ahead, []

    def start(self, batch, watch):
        self.shapes.append(batch.shape)
        with watch("network"):
            output = self.function(batch)
        return lambda: output


def enlarged(batch, scale=2):
    return batch.repeat(scale, axis=2).repeat(scale, axis=3)


def blurred(batch):
    """Zero padding at the picture's borders, as convolutions have it."""
    size = (1, 1, 2 * RADIUS + 1, 2 * RADIUS + 1)
    return enlarged(ndimage.uniform_filter(batch, size, mode="constant"))


def run(sources, engine, *, in_fp32=None, progress=None, cancel=None, **tiling):
    tiling = {"scale": 2, "tile": 0, "margin": RADIUS, **tiling}
    step = LoadedNetwork(engine=engine, tiling=Tiling(**tiling), in_fp32=in_fp32)
    call = Context(
        progress=progress or (lambda done, total: None),
        cancel=cancel or (lambda: False),
    )
    return restore_tiled(sources, step, call)


def picture(height, width, *, channels=3, dtype=np.uint8, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    high = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, high, shape, dtype, endpoint=True)


SIZES = [(1, 1), (1, 97), (97, 1), (2, 3), (41, 29), (64, 64), (63, 130)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [1, 5, 16, 33])
@pytest.mark.parametrize("n_ahead", [0, 1])
def test_tiles_make_the_picture_that_no_tiles_make(size, tile, n_ahead):
    source = picture(*size)
    (whole,), _ = run([source], FakeEngine(blurred))
    (tiled,), notes = run([source], FakeEngine(blurred, n_ahead), tile=tile)
    assert tiled.shape == (2 * size[0], 2 * size[1], 3)
    # one level: rounding of the two products that a seam adds
    assert np.abs(tiled.astype(int) - whole).max() <= 1
    assert notes == []


def test_a_margin_that_is_too_small_is_seen_by_these_tests():
    source = picture(64, 64)
    (whole,), _ = run([source], FakeEngine(blurred))
    (tiled,), _ = run([source], FakeEngine(blurred), tile=16, margin=0)
    assert np.abs(tiled.astype(int) - whole).max() > 5


@pytest.mark.parametrize("size", [(1, 1), (1, 8), (7, 9), (33, 64)])
def test_odd_sides_are_mirrored_to_a_multiple_of_the_step_and_cut_off_again(size):
    source = picture(*size)
    engine = FakeEngine(enlarged)
    (output,), _ = run([source], engine, tile=8, margin=5, step=2)
    np.testing.assert_array_equal(output, source.repeat(2, axis=0).repeat(2, axis=1))
    assert all(h % 2 == w % 2 == 0 for _, _, h, w in engine.shapes)


def test_windows_of_a_stepped_network_begin_and_end_at_a_multiple_of_the_step():
    rows, columns = Tiling(scale=2, tile=9, margin=5, step=2).rows_and_columns(57, 44)
    spans = rows + columns
    assert all(span.start % 2 == span.stop % 2 == 0 for span in spans)


def test_every_kept_pixel_has_its_margin_or_the_border_of_the_picture():
    for step in (1, 2):
        tiling = Tiling(scale=2, tile=9, margin=5, step=step)
        for span in tiling.rows_and_columns(58, 44)[0]:
            assert span.start == 0 or span.low - span.start >= 5
            assert span.stop == 58 or span.stop - span.high >= 5


def test_neighbours_fade_into_each_other_in_equal_steps():
    values = iter((0.2, 0.8))
    engine = FakeEngine(lambda batch: np.full_like(enlarged(batch), next(values)))
    source = np.full((4, 120, 3), 90, np.uint8)  # constant, so the output may be
    (output,), _ = run([source], engine, tile=60, margin=0)
    row = output[4, :, 0].astype(int)
    width = 2 * SEAM
    expected = 255 * (0.2 + 0.6 * (np.arange(width) + 0.5) / width)
    assert np.abs(row[120 - SEAM : 120 + SEAM] - expected).max() <= 1
    assert (row[: 120 - SEAM] == 51).all()
    assert (row[120 + SEAM :] == 204).all()


def test_the_device_sees_windows_of_one_size_and_never_the_whole_picture():
    engine = FakeEngine(enlarged)
    run([picture(200, 300)], engine, tile=50)
    assert len(set(engine.shapes)) == 1
    assert max(engine.shapes[0][2:]) <= 50 + SEAM + 2 * RADIUS


@pytest.mark.parametrize("n_ahead", [0, 1])
def test_windows_go_together_up_to_the_batch_and_give_the_same_pictures(n_ahead):
    sources = [picture(40, 50, seed=seed) for seed in range(3)]
    alone = [run([source], FakeEngine(blurred), tile=16)[0][0] for source in sources]
    engine = FakeEngine(blurred, n_ahead)
    together, _ = run(sources, engine, tile=16, batch_px=5 * 1500)
    assert max(shape[0] for shape in engine.shapes) > 1
    np.testing.assert_array_equal(np.stack(together), np.stack(alone))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_value_of_8_and_16_bits_survives(dtype):
    high = np.iinfo(dtype).max
    source = np.arange(high + 1, dtype=dtype).reshape(-1, 256)
    (output,), _ = run([source], FakeEngine(enlarged), tile=100)
    assert output.dtype == dtype
    # grey is made of three equal channels; 16 bits are more than float32 keeps of that
    assert np.abs(output[::2, ::2].astype(int) - source).max() <= high // 65535


class OnADevice(FakeEngine):
    """Keeps the output as PyTorch's, as a GPU would; hands out what is downloaded."""

    def start_then(self, batch, watch, then, stage="blend"):
        finish = self.start(batch, watch)
        made = then(torch.from_numpy(finish()))
        self.downloaded = [part.numpy() for part in made]
        return lambda: self.downloaded


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("tile", [0, 16, 33])
def test_blending_on_a_device_gives_the_same_levels_and_only_they_leave_it(
    dtype, channels, tile
):
    source = picture(63, 90, channels=channels, dtype=dtype)
    on_device, tiling = OnADevice(blurred), {"tile": tile, "step": 2}
    (expected,), _ = run([source], FakeEngine(blurred), **tiling)
    (output,), _ = run([source], on_device, **tiling)
    assert output.dtype == dtype
    np.testing.assert_array_equal(output, expected)
    extremes, levels = on_device.downloaded
    assert (extremes.size, levels.dtype) == (2, dtype)


def test_a_device_s_output_that_is_none_is_seen():
    with pytest.raises(OutputRejectedError, match="NaN"):
        run([picture(9, 9)], OnADevice(spoiled(np.nan)))


def test_grey_and_colour_may_come_together():
    sources = [picture(30, 40), picture(30, 40, channels=1)]
    outputs, _ = run(sources, FakeEngine(enlarged), tile=16)
    assert [output.shape for output in outputs] == [(60, 80, 3), (60, 80)]
    for output, source in zip(outputs, sources, strict=True):
        assert np.abs(output[::2, ::2].astype(int) - source).max() <= 1


def test_the_source_is_left_alone():
    source = picture(40, 40)
    before = source.copy()
    source.flags.writeable = False
    run([source], FakeEngine(enlarged), tile=16)
    np.testing.assert_array_equal(source, before)


def out_of_memory_above(side):
    def function(batch):
        if max(batch.shape[2:]) > side:
            raise OutOfMemoryError(f"no memory for {batch.shape}")
        return blurred(batch)

    return function


def test_the_tile_is_halved_until_memory_suffices_and_that_is_noted():
    source = picture(200, 100)
    (whole,), _ = run([source], FakeEngine(blurred))
    (output,), notes = run([source], FakeEngine(out_of_memory_above(60)), tile=150)
    assert np.abs(output.astype(int) - whole).max() <= 1
    assert [note.split(":")[0] for note in notes] == ["tile 75 px", "tile 38 px"]
    assert "no memory" in notes[0]


def test_a_picture_without_tiles_is_halved_too():
    _, notes = run([picture(200, 100)], FakeEngine(out_of_memory_above(130)), tile=0)
    assert notes[0].startswith("tile 100 px")


def test_whole_pictures_go_together_and_half_as_many_when_memory_runs_out():
    def scanty(batch):
        if len(batch) > 1:
            raise OutOfMemoryError(f"no memory for {batch.shape}")
        return blurred(batch)

    sources = [picture(40, 50, seed=seed) for seed in range(5)]
    alone = [run([source], FakeEngine(blurred))[0][0] for source in sources]
    engine = FakeEngine(blurred)
    together, notes = run(sources, engine, batch_px=1)
    assert [shape[0] for shape in engine.shapes] == [5]
    assert notes == []
    np.testing.assert_array_equal(np.stack(together), np.stack(alone))
    engine = FakeEngine(scanty)
    halved, notes = run(sources, engine, batch_px=10**6)
    assert [shape[0] for shape in engine.shapes] == [5, 2, 1, 1, 1, 1, 1]
    assert [n.split(":")[0] for n in notes] == [
        "2 pictures at a time",
        "1 pictures at a time",
    ]
    np.testing.assert_array_equal(np.stack(halved), np.stack(alone))


def test_where_a_device_does_not_gain_pictures_go_one_after_the_other():
    engine = FakeEngine(blurred)
    run([picture(40, 50)] * 3, engine, batch_px=0)
    assert [shape[0] for shape in engine.shapes] == [1, 1, 1]


def test_too_little_memory_for_the_smallest_tile_is_an_error():
    with pytest.raises(OutOfMemoryError, match="no memory"):
        run([picture(200, 100)], FakeEngine(out_of_memory_above(8)))


def spoiled(value):
    def function(batch):
        output = enlarged(batch)
        output[..., 1, 1] = value
        return output

    return function


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_sends_the_picture_to_fp32(value):
    source = picture(40, 40)
    (output,), notes = run(
        [source], FakeEngine(spoiled(value)), in_fp32=lambda: FakeEngine(enlarged)
    )
    np.testing.assert_array_equal(output[::2, ::2], source)
    assert notes == ["in fp32: the network's output holds NaN or infinity (fake)"]


@pytest.mark.parametrize("in_fp32", [None, lambda: FakeEngine(spoiled(np.nan))])
def test_an_output_that_is_not_finite_in_fp32_either_is_an_error(in_fp32):
    with pytest.raises(OutputRejectedError, match="NaN"):
        run([picture(9, 9)], FakeEngine(spoiled(np.nan)), in_fp32=in_fp32)


def test_a_constant_output_of_a_constant_source_is_right_and_of_another_is_not():
    black = FakeEngine(lambda batch: np.zeros_like(enlarged(batch)))
    (output,), notes = run([np.full((9, 9, 3), 7, np.uint8)], black)
    assert not output.any()
    assert not notes
    with pytest.raises(OutputRejectedError, match="0 everywhere"):
        run([picture(9, 9)], black)


def test_nan_is_seen_in_a_window_of_a_constant_source_too():
    with pytest.raises(OutputRejectedError, match="NaN"):
        run([np.full((9, 9), 7, np.uint8)], FakeEngine(spoiled(np.nan)))


def test_progress_counts_every_window_once():
    told = []
    run(
        [picture(60, 60)] * 2,
        FakeEngine(enlarged, n_ahead=1),
        tile=20,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(number, 18) for number in range(1, 19)]


def test_cancel_stops_between_windows():
    engine = FakeEngine(enlarged)
    with pytest.raises(CancelledError):
        run([picture(60, 60)], engine, tile=20, cancel=lambda: len(engine.shapes) == 2)
    assert len(engine.shapes) == 2


def test_two_threads_do_not_mix_their_pictures():
    engine = FakeEngine(enlarged, n_ahead=1)
    sources = [picture(90, 90, seed=seed) for seed in range(4)]
    outputs = {}

    def work(number):
        for _ in range(5):
            outputs[number] = run([sources[number]], engine, tile=20)[0][0]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, source in enumerate(sources):
        assert np.abs(outputs[number][::2, ::2].astype(int) - source).max() <= 1
