"""The figure of back ends: a circle for every run, a reason for every row without."""

import json

from evalkit.figures import backends
from evalkit.tables import BACKENDS


def table():
    common = {"network": "n", "source": "s", "machine": "m", "device": "cpu"}
    common |= {"precision": "fp32", "memory_meter": "RSS", "memory_mib": 500.0}
    rows = [
        {
            "backend": "PyTorch, upstream",
            "wall_times_s": [1.0, 2.0, 3.0],
            "wall_time_s": 2.0,
            "psnr_db": float("inf"),
        },
        {
            "backend": "ONNX Runtime",
            "wall_times_s": [0.9, 1.0],
            "wall_time_s": 1.0,
            "psnr_db": 61.25,
            "weights_kind": "random",
        },
        {"backend": "ncnn", "outcome": "disagrees", "psnr_db": 30.0},
        {"backend": "tuned", "outcome": "not here", "error": "no units"},
    ]
    extra = {"speed_up": 2.0, "memory_saved_percent": 10.0}
    return BACKENDS.frame(
        [common | extra | row | {"condition": f"c{i}"} for i, row in enumerate(rows)]
    )


def test_every_raw_time_is_a_circle_and_every_median_a_bar():
    rows = table()
    times, memory = backends(rows).axes
    drawn = sorted(x for line in times.lines for x in line.get_xdata())
    assert drawn == sorted(
        x for raw in rows["wall_times_s"].dropna() for x in json.loads(raw)
    )
    assert sorted(bar.get_width() for bar in times.patches) == [1.0, 2.0]
    assert [bar.get_width() for bar in memory.patches] == [500.0, 500.0]


def test_rows_without_a_time_say_why():
    times, _ = backends(table()).axes
    told = " ".join(text.get_text() for text in times.texts)
    assert "not timed: its output is another" in told
    assert "not timed: no units" in told
    names = [label.get_text() for label in times.get_yticklabels()]
    assert "ncnn\ncpu, fp32, 30.0 dB" in names
    assert "PyTorch, upstream\ncpu, fp32, same output" in names


def test_nothing_timed_is_still_a_figure():
    assert len(backends(table().iloc[2:].reset_index(drop=True)).axes) == 2
