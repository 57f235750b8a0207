"""Every figure of pictures, of every odd one: drawn, seen, named, without a warning."""

import tracemalloc
import warnings

import numpy as np
import oddities
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from evalkit import figures
from evalkit.figures._screen import shrunk
from evalkit.figures._sheet import fitted, inside
from evalkit.figures._style import NO_GLYPH, printable, wrap
from evalkit.images import resize, write_image
from evalkit.metrics import metrics
from evalkit.report._views import _reduced

HOSTILE = [
    "$5_ to $10^2$ {x}",
    "\x1b[31mred\x00\x7f",
    "right\u202eto left",
    "日本語の写真 中文图片 한국어",
    "😀👨\u200d👩\u200d👧 emoji",
    "x" * 255,
    "<b>&amp;</b>",
    "\udcff not UTF-8",
]


def drawn(figure) -> np.ndarray:
    """Its pixels, with every warning an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]


def test_the_contact_sheet_shows_them_all(tmp_path):
    pictures = {name: make() for name, make in oddities.PICTURES.items()}
    (tmp_path / "broken.png").write_bytes(b"<html>")
    missing = {"broken": tmp_path / "broken.png", "gone": tmp_path / "gone.png"}
    figure = figures.contact_sheet(pictures | missing)
    drawn(figure)
    texts = {text.get_text() for text in figure.texts}
    assert {"tiny 1x1", "1x1 px", "broken", "gone"} <= texts
    assert "1500x18 px, drawn thicker" in texts
    reasons = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert len(reasons) == 2
    assert all(reason.startswith("no picture\n") for reason in reasons)


@pytest.mark.parametrize("name", oddities.PICTURES)
def test_every_figure_of_a_picture_is_drawn(name):
    source = oddities.PICTURES[name]()
    height, width = source.shape[:2]
    output = resize(source, 3 * width, 3 * height)
    crop = figures.crop_box(source)
    assert 0 <= crop.x <= crop.x + crop.width <= width
    assert 0 <= crop.y <= crop.y + crop.height <= height
    outputs = {"same": source, "larger": output, "none": "oom: no memory"}
    drawn(figures.side_by_side(source, outputs, crop, {}, reference=source))
    located = {n: m for n, m in metrics().items() if m.where}
    maps = {"same": {n: (m.where(source, source), "0") for n, m in located.items()}}
    legends = {n: (n, m.unit) for n, m in located.items()}
    drawn(figures.pathology_maps(source, {"same": source}, maps, legends))
    drawn(figures.face_parts(source, np.zeros(source.shape[:2], np.uint8)))


def test_one_output_that_cannot_be_read_is_an_empty_frame(tmp_path):
    source = oddities.PICTURES["RGB 8 bit"]()
    write_image(tmp_path / "good.png", source)
    (tmp_path / "bad.png").write_bytes(b"\x89PNG")
    outputs = {"good": tmp_path / "good.png", "bad": tmp_path / "bad.png"}
    figure = figures.side_by_side(source, outputs, figures.crop_box(source), {})
    told = [text.get_text() for axes in figure.axes for text in axes.texts]
    (reason,) = filter(None, told)
    assert reason.startswith("no picture\n")


@pytest.mark.parametrize("shape", [(18, 1500), (1, 4000), (1500, 18), (4000, 1)])
def test_a_strip_is_drawn_thick_enough_to_be_seen(shape):
    panel = fitted(np.zeros(shape, np.uint8), 228, 228, ground=1.0)
    rows, columns = np.nonzero(panel[..., 0] < 128)
    assert sorted((np.ptp(rows) + 1, np.ptp(columns) + 1)) == [12, 228]


def test_a_picture_that_is_no_strip_keeps_its_proportions():
    assert inside(480, 480, (200, 100)) == (120, 0, 240, 480)
    assert inside(480, 480, (1, 1)) == (0, 0, 480, 480)


def test_the_pixels_of_a_tiny_picture_are_seen():
    picture = oddities.PICTURES["tiny 3x3"]()
    figure = figures.contact_sheet({"tiny": picture})
    panel = figure.axes[0].images[0].get_array()
    np.testing.assert_array_equal(panel[38::76, 38::76], picture)
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) == 9


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_any_name_is_written_in_every_figure(name):
    source = oddities.PICTURES["RGB 8 bit"]()
    drawn(figures.contact_sheet({name: source}))
    drawn(figures.side_by_side(source, {name: name}, figures.crop_box(source), {}))


def test_a_name_is_taken_literally_and_what_has_no_shape_is_a_box():
    assert printable("$a_b$ 1^2") == "$a_b$ 1^2"
    assert printable("\x1b[31m\u202e\udcff") == f"{NO_GLYPH}[31m{NO_GLYPH * 2}"


def test_a_long_name_keeps_its_beginning_and_its_end():
    name = f"IMG_{'0' * 250}_17"
    lines = wrap(name, 228, 7.5, 2)
    assert len(lines) == 2
    assert lines[0].startswith("IMG_0")
    assert " … " in lines[1]
    assert lines[1].endswith("_17")


def test_a_letter_as_wide_as_two_takes_the_room_of_two():
    narrow, wide = wrap("a" * 100, 228, 7.5), wrap("中" * 100, 228, 7.5)
    assert len(wide[0]) == -(-len(narrow[0]) // 2)
    assert "".join(wide) == printable("中") * 100


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_large_picture_is_shrunk_in_bands_as_it_would_be_whole(dtype, alpha):
    rng = np.random.default_rng(1)
    peak = np.iinfo(dtype).max
    small = rng.integers(0, peak, (30, 40, 4 if alpha else 3)).astype(dtype)
    large = small.repeat(90, axis=0).repeat(80, axis=1)  # 2700x3200 px
    whole = figures.on_screen(resize(figures.on_screen(large), 40, 30))
    difference = shrunk(large, 40, 30).astype(int) - whole
    assert abs(difference).max() <= 1


def test_the_crop_of_a_huge_picture_lies_on_its_detail():
    picture = np.full((2000, 9000), 128, np.uint8)
    picture[1000:1090, 7000:7120] = oddities.PICTURES["noise"]()[0, 0, 0]
    noise = np.random.default_rng(0).integers(0, 256, (90, 120), dtype=np.uint8)
    picture[1000:1090, 7000:7120] = noise
    crop = figures.crop_box(picture)
    assert abs(crop.x - 7000) <= 8
    assert abs(crop.y - 1000) <= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "dtype"), [((9000, 12000), np.uint8), ((4000, 6000, 4), np.uint16)]
)
def test_a_huge_picture_is_never_copied_whole(shape, dtype):
    huge = np.zeros(shape, dtype)
    huge[1000:1400, 2000:2600] = np.iinfo(dtype).max
    tracemalloc.start()
    figures.contact_sheet({"huge": huge})
    crop = figures.crop_box(huge) if huge.ndim == 2 else figures.Crop(0, 0, 120, 90)
    figures.side_by_side(huge, {"same": huge}, crop, {})
    report_view = _reduced(huge, 1280)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(report_view.shape) == 1280
    assert peak < 500e6  # to look for detail in all of it would take over 3 GB
