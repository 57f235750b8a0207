import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from skimage import data

from evalkit import figures
from evalkit.errors import SettingError
from evalkit.figures import Crop, crop_box, cut, on_screen, save
from evalkit.images import read_image
from evalkit.tables import COST, FLOORS, MEMORY, RECORDS

LONG = "realesrgan-x4plus@precision=fp16,runner=upstream,tile=200"


def enlarged(picture: np.ndarray, scale: float) -> np.ndarray:
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)


def all_text(figure: Figure) -> str:
    found = [*figure.texts]
    for axes in figure.axes:
        found += [*axes.texts, *axes.get_yticklabels(), axes.xaxis.label]
    return "\n".join(text.get_text() for text in found)


def assert_nothing_is_cut_off(figure: Figure) -> None:
    FigureCanvasAgg(figure).draw()
    width, height = figure.bbox.size
    texts = [*figure.texts]
    for axes in figure.axes:
        labels = [*axes.get_yticklabels(), axes.xaxis.label] if axes.axison else []
        texts += [*axes.texts, *labels]
    for text in texts:
        box = text.get_window_extent()
        if text.get_text():
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= width, text
            assert box.y1 <= height, text


@pytest.fixture
def small(astronaut) -> np.ndarray:
    return cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA)


# the crop


def test_the_crop_is_where_detail_was_planted():
    source = np.full((300, 400), 128, np.uint8)
    rng = np.random.default_rng(0)
    source[100:190, 200:320] = rng.integers(0, 2, (90, 120), np.uint8) * 255
    box = crop_box(source)
    assert box == pytest.approx(Crop(200, 100, 120, 90), abs=2)


def test_one_hard_edge_does_not_win_over_texture():
    source = np.zeros((200, 400), np.uint8)
    source[:, :60] = 255
    source[50:140, 250:370] = 30 * (np.indices((90, 120)).sum(axis=0) // 3 % 2)
    assert crop_box(source).x > 200


def test_the_crop_holds_the_largest_face(small):
    x, y, width, height = crop_box(small, faces=[(10, 10, 30, 30), (90, 20, 150, 90)])
    assert x <= 90
    assert y <= 20
    assert x + width >= 150
    assert y + height >= 90
    assert (width, height) == (121, 91)  # 70 px and 15 % on both sides, at 4:3


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (60, 300), (3000, 100)])
@pytest.mark.parametrize("faces", [(), [(0, 0, 400, 400)]])
def test_the_crop_lies_inside_a_picture_of_any_size(shape, faces):
    x, y, width, height = crop_box(np.zeros(shape, np.uint8), faces)
    assert min(x, y) >= 0
    assert min(width, height) >= 1
    assert x + width <= shape[1]
    assert y + height <= shape[0]


def test_the_same_part_is_cut_from_an_output_of_another_size(small):
    crop = Crop(30, 40, 120, 90)
    # enlarged by repetition, so that every pixel is known
    output = small.repeat(3, axis=0).repeat(3, axis=1)
    expected = small[40:130, 30:150].repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(cut(output, crop, small.shape), expected)


def test_an_output_of_another_view_has_no_common_crop(small):
    assert cut(small[:200], Crop(0, 0, 120, 90), small.shape) is None


# pictures on a screen


def test_every_kind_of_picture_becomes_rgb_of_8_bits():
    grey = np.array([[0, 255]], np.uint8)
    deep = np.array([[0, 65535]], np.uint16)
    expected = [[[0, 0, 0], [255, 255, 255]]]
    np.testing.assert_array_equal(on_screen(grey), expected)
    np.testing.assert_array_equal(on_screen(deep), expected)
    clear = np.zeros((1, 1, 4), np.uint8)
    np.testing.assert_array_equal(on_screen(clear), [[[128, 128, 128]]])


# side by side


def test_pictures_are_shown_pixel_for_pixel(tmp_path, astronaut):
    source = astronaut[:480, :480]
    crop = Crop(100, 200, 120, 90)
    output = enlarged(source, 4)
    figure = figures.side_by_side(source, {"bicubic": output}, crop, {})
    picture = read_image(save(figure, tmp_path, "figure"))[..., :3]
    second = 24 + 480 + 20  # margin, panel, gap
    shown_crop = picture[24 + 480 + 10 :][:360, second : second + 480]
    np.testing.assert_array_equal(shown_crop, output[800:1160, 400:880])
    expected = cv2.resize(output, (480, 480), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(picture[24:504, second : second + 480], expected)


def test_six_conditions_a_reference_and_a_failure_are_all_told(small, astronaut):
    outputs = {
        "lanczos": enlarged(small, 4),
        LONG: enlarged(small, 4),
        "gpen-512": "oom: 3.2 GiB wanted, 1.1 GiB free",
        "hybrid": small[..., 0],
        "cropped": astronaut[50:300],
        "deep": small.astype(np.uint16) * 257,
    }
    captions = dict.fromkeys(outputs, "2.81 s, 812 MiB")
    figure = figures.side_by_side(
        small, outputs, crop_box(small), captions, reference=astronaut
    )
    text = all_text(figure)
    for part in ("source", "reference", "gpen-512", "oom: 3.2 GiB", "256x256 px"):
        assert part in text
    assert LONG in text.replace("\n", "")
    assert text.count("2.81 s, 812 MiB") == 6
    assert "no common crop" in text
    assert "fitted into 480x480 px" in text
    assert_nothing_is_cut_off(figure)


def test_each_column_is_equally_wide(small):
    outputs = {"one": enlarged(small, 4), "two": small, "three": enlarged(small, 1.5)}
    figure = figures.side_by_side(small, outputs, crop_box(small), {})
    assert len({round(axes.get_position().width, 9) for axes in figure.axes}) == 1


def test_a_seventh_condition_is_refused(small):
    outputs = {str(n): small for n in range(7)}
    with pytest.raises(SettingError, match="up to 6 conditions in one figure, got 7"):
        figures.side_by_side(small, outputs, crop_box(small), {})


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (37, 91)])
def test_tiny_and_narrow_pictures_have_a_figure(tmp_path, shape):
    source = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    output = source.repeat(4, axis=0).repeat(4, axis=1)
    figure = figures.side_by_side(source, {"x4": output}, crop_box(source), {})
    assert save(figure, tmp_path, "tiny").is_file()


def test_a_dollar_in_a_name_is_a_dollar(tmp_path, small):
    figure = figures.side_by_side(small, {"$a_b$": small}, crop_box(small), {})
    save(figure, tmp_path, "dollar")
    assert "$a_b$" in all_text(figure)


# contact sheet


def test_the_contact_sheet_names_every_picture():
    names = ["astronaut", "camera", "coffee", "page", "text", "chelsea"]
    figure = figures.contact_sheet({name: getattr(data, name)() for name in names})
    assert all(name in all_text(figure) for name in names)
    assert "448x172 px" in all_text(figure)
    assert_nothing_is_cut_off(figure)


def test_a_contact_sheet_of_nothing_is_refused():
    with pytest.raises(SettingError, match="at least one picture"):
        figures.contact_sheet({})


# cost


@pytest.fixture
def records() -> pd.DataFrame:
    rows = []
    for condition, time_s, kind in (
        ("lanczos", 0.02, "none"),
        (LONG, 14.0, "package"),
        ("gpen-512", 3.0, "random"),
    ):
        for run, factor in enumerate([1.6, 0.9, 1.0, 1.3], 1):
            rows.append(
                {
                    "key": condition,
                    "experiment": "cost",
                    "run": run,
                    "phase": "cold" if run == 1 else "warm",
                    "machine": "workshop PC",
                    "condition": condition,
                    "source": "portrait_backlit",
                    "weights_kind": kind,
                    "outcome": "ok",
                    "wall_time_s": time_s * factor,
                }
            )
    rows.append({**rows[-1], "run": 5, "outcome": "oom", "wall_time_s": None})
    return RECORDS.frame(rows)


@pytest.fixture
def cost() -> pd.DataFrame:
    row = {
        "condition": "gpen-512",
        "source": "portrait_backlit",
        "machine": "workshop PC",
        "weights_kind": "random",
        "wall_time_low_s": 2.7,
        "wall_time_high_s": 3.9,
        "peak_rss_mib": 1843.2,
    }
    other = {**row, "source": "page", "peak_rss_mib": None}
    return COST.frame([row, other])


def test_every_raw_time_is_a_mark(records):
    figure = figures.wall_times(records)
    marks = [
        value
        for line in figure.axes[0].lines
        if line.get_marker() in ("o", "^")
        for value in line.get_xdata()
    ]
    assert sorted(marks) == sorted(records["wall_time_s"].dropna())


def test_median_interval_failures_and_random_weights_are_said(records, cost):
    figure = figures.wall_times(records, cost)
    text = all_text(figure)
    assert "14 s, 3 runs" in text  # the median of 0.9, 1.0 and 1.3 times 14
    assert "[2.7, 3.9]" in text
    assert "1 failed" in text
    assert text.count("random weights: cost only") == 1
    assert "workshop PC" in text
    assert_nothing_is_cut_off(figure)


def test_the_machine_can_be_named(records, cost):
    assert "RTX 4090" in all_text(figures.wall_times(records, machine="RTX 4090"))
    assert "RTX 4090" in all_text(figures.memory(cost, machine="RTX 4090"))


def test_memory_that_is_unknown_has_no_bar(cost):
    figure = figures.memory(cost)
    assert "1,843 MiB" in all_text(figure)
    assert "not measured" in all_text(figure)
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == [1843.2, 0]
    assert_nothing_is_cut_off(figure)


def test_the_ratio_stands_beside_and_the_legend_tells_what_is_drawn(records, cost):
    tuned = records[records["condition"] == LONG].assign(restorer=LONG)
    slow = tuned.assign(condition="slow", wall_time_s=tuned["wall_time_s"] * 4)
    sized = cost.assign(source_width_px=256, source_height_px=171)
    figure = figures.wall_times(
        pd.concat([tuned, slow]), sized, floors=FLOORS.frame([])
    )
    text = all_text(figure)
    assert "4 x as long" in text
    assert text.count("fastest of its restorer") == 1
    assert "portrait_backlit, 256x171 px" in text
    assert "cold run" in text
    assert "dotted" not in text
    assert "grey bar" not in text
    assert_nothing_is_cut_off(figure)
    warm = figures.wall_times(tuned[tuned["phase"] == "warm"])
    assert "cold run" not in all_text(warm)


def test_memory_is_stacked_of_what_it_is_made_of(cost):
    row = {"condition": "gpen-512", "source": "portrait_backlit"}
    row |= {"machine": "workshop PC"}
    row |= {"start_rss_mib": 300, "loaded_rss_mib": 1000, "peak_rss_mib": 1843.2}
    figure = figures.memory(cost, parts=MEMORY.frame([row]))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths[:3] == pytest.approx([300, 700, 843.2])
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "added by loading" in legend
    assert_nothing_is_cut_off(figure)


def test_the_floor_of_a_network_is_a_dotted_line(records, cost):
    common = {"figure": "measured", "condition": "gpen-512", "experiment": "cost"}
    common |= {"source": "portrait_backlit", "machine": "workshop PC"}
    floors = FLOORS.frame(
        [
            common | {"quantity": quantity, "floor": floor, "operations_tflop": tflop}
            for quantity, floor, tflop in (
                ("wall time", 0.5, 1),
                ("peak memory", 90, 1),
            )
        ]
        + [common | {"condition": LONG, "quantity": "wall time", "floor": 1e-6}]
    )
    for figure, floor in (
        (figures.wall_times(records, cost, floors=floors), 0.5),
        (figures.memory(cost, floors=floors), 90),
    ):
        lines = figure.axes[0].collections
        drawn = [segment for line in lines for segment in line.get_segments()]
        assert [segment[0][0] for segment in drawn] == [floor]
        assert "least that the arithmetic allows" in all_text(figure)
        assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize("draw", [figures.wall_times, figures.memory])
def test_no_run_is_said_in_an_empty_figure(draw):
    table = RECORDS if draw is figures.wall_times else COST
    assert "no run" in all_text(draw(table.frame([])))


def test_cost_is_told_without_colour(records, cost):
    for figure in (figures.wall_times(records, cost), figures.memory(cost)):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
        assert np.ptp(pixels, axis=2).max() == 0


# saving


def test_a_pdf_is_saved_where_it_is_asked_for_or_would_grow_old(
    tmp_path, records, cost, monkeypatch
):
    monkeypatch.delenv("EVALKIT_PDF", raising=False)
    pdf = save(figures.wall_times(records, cost), tmp_path, "one").with_suffix(".pdf")
    assert not pdf.exists()
    pdf.write_bytes(b"of another run")
    save(figures.wall_times(records, cost), tmp_path, "one")
    assert pdf.read_bytes().startswith(b"%PDF")


def test_the_same_figure_is_the_same_bytes(tmp_path, records, cost, monkeypatch):
    monkeypatch.setenv("EVALKIT_PDF", "1")
    for name in ("one", "two"):
        save(figures.wall_times(records, cost), tmp_path, name)
    for suffix in ("png", "pdf"):
        one, two = (tmp_path / f"{name}.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
        assert b"CreationDate" not in one.read_bytes()
        assert b"atplotlib" not in one.read_bytes()[:2000]


def test_figures_are_not_kept_open(records):
    figures.wall_times(records)
    assert not sys.modules["matplotlib.pyplot"].get_fignums()


def test_runs_on_unlike_machines_are_lines_of_their_own():
    times = {"slow-1c": (10.0, 12.0), "fast-9c": (1.0, 2.0)}
    rows = [
        {"experiment": "cost", "key": "k", "run": run, "phase": "warm", "outcome": "ok"}
        | {"condition": "lanczos", "source": "cup", "weights_kind": "none"}
        | {"machine": name, "wall_time_s": time}
        for name, both in times.items()
        for run, time in enumerate(both, 1)
    ]
    axes = figures.wall_times(RECORDS.frame(rows)).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == [f"lanczos\ncup\n{name}" for name in times]
    medians = {
        float(line.get_xdata()[0]) for line in axes.lines if line.get_linewidth() == 2
    }
    assert medians >= {11.0, 1.5}


def test_a_ratio_is_of_times_on_one_machine():
    times = {"slow-1c": {"a": 10.0, "b": 30.0}, "fast-9c": {"a": 1.0, "b": 2.0}}
    rows = [
        {"experiment": "cost", "key": name, "run": 1, "phase": "warm", "outcome": "ok"}
        | {"condition": name, "source": "cup", "restorer": "r", "weights_kind": "none"}
        | {"machine": machine, "wall_time_s": time}
        for machine, of_machine in times.items()
        for name, time in of_machine.items()
    ]
    axes = figures.wall_times(RECORDS.frame(rows)).axes[0]
    beside = " ".join(text.get_text() for text in axes.texts)
    assert "3x" in beside.replace(" ", "")
    assert "2x" in beside.replace(" ", "")
    assert "30x" not in beside.replace(" ", "")
