"""Figures of experiments show every value, every failure, every stage."""

import pytest
from matplotlib.figure import Figure

from evalkit import figures
from evalkit.tables import EXPERIMENTS, RECORDS, TIMELINE

WHO = {"condition": "lanczos", "source": "cup", "machine": "m"}


def texts(figure: Figure) -> list[str]:
    figure.canvas.draw()
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def drawn(axes, marker: str) -> list[tuple[float, float]]:
    lines = [line for line in axes.lines if line.get_marker() == marker]
    return [(x, y) for line in lines for x, y in line.get_xydata() if y == y]


def test_a_sweep_has_a_panel_for_each_experiment_of_several_values():
    rows = [
        WHO
        | {"experiment": "size", "source": f"cup@{px}px", "value": str(px)}
        | {"base_source": "cup"}
        | {"per_picture_s": px / 100, "peak_rss_mib": 50.0 + px, "n_failed": px == 96}
        for px in (128, 64, 96)
    ]
    rows.append(WHO | {"experiment": "cpu", "value": "cpu", "per_picture_s": 1.0})
    times, memory = figures.sweeps(EXPERIMENTS.frame(rows)).axes
    assert [label.get_text() for label in times.get_xticklabels()] == [
        "64",
        "96",
        "128",
    ]
    assert drawn(times, "o") == [(0, 0.64), (1, 0.96), (2, 1.28)]
    assert drawn(memory, "o") == [(0, 114), (1, 146), (2, 178)]
    assert drawn(times, "x") == [(1, 0)]
    assert times.get_ylim()[1] > 1.28


def test_a_series_shows_each_run_and_how_it_failed():
    ok = {"outcome": "ok", "wall_time_s": 1.0, "peak_rss_mib": 60.0}
    runs = [ok | {"phase": "cold"}, ok | {"phase": "warm"}]
    runs.append({"outcome": "timeout", "phase": "warm"})
    facts = WHO | {"experiment": "stability", "key": "k"}
    records = [facts | found | {"run": n + 1} for n, found in enumerate(runs)]
    figure = figures.series(RECORDS.frame(records))
    times, memory = figure.axes
    assert drawn(times, "^") == [(1, 1)]
    assert drawn(times, "o") == [(2, 1)]
    assert drawn(memory, "o") == [(2, 60)]
    assert texts(figure) == ["timeout", "timeout"]


def test_a_timeline_names_the_stages_that_have_room():
    stages = ["load"] * 40 + ["decode"] + ["network"] * 50 + [None] * 9
    rows = [
        WHO | {"time_s": n / 10, "stage": stage, "rss_mib": 100.0 + n}
        for n, stage in enumerate(stages)
    ]
    figure = figures.timeline(TIMELINE.frame(rows))
    assert texts(figure) == ["load", "network"]
    (axes,) = figure.axes
    assert list(axes.lines[0].get_ydata()) == [100.0 + n for n in range(100)]


@pytest.mark.parametrize(
    ("draw", "table"),
    [
        (figures.sweeps, EXPERIMENTS),
        (figures.series, RECORDS),
        (figures.timeline, TIMELINE),
    ],
)
def test_an_empty_table_makes_a_figure(draw, table):
    assert draw(table.frame([])).axes
