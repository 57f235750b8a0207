"""Figures of experiments show every value, every failure, every stage."""

import pytest
from matplotlib.figure import Figure

from evalkit import figures
from evalkit.tables import CONCURRENCY, EXPERIMENTS, RECORDS, TIMELINE

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


def names(axes) -> list[str]:
    return [text.get_text().replace("\n", "") for text in axes.get_legend().texts]


@pytest.mark.parametrize("experiment", ["size", "batch"])
def test_each_runner_of_a_restorer_has_a_line_through_all_values(experiment):
    """The conditions of the default study."""
    rows = [
        {"condition": condition, "source": "cup", "machine": "m", "value": value}
        | {"experiment": experiment, "per_picture_s": time_s * int(value)}
        for condition, time_s in [("net-x4", 1.0), ("net-x4@runner=upstream", 2.0)]
        for value in ("16", "8")
    ]
    times, _ = figures.sweeps(EXPERIMENTS.frame(rows)).axes
    assert drawn(times, "o") == [(0, 8), (1, 16)]
    assert drawn(times, "s") == [(0, 16), (1, 32)]
    assert names(times) == ["net-x4, cup", "net-x4@runner=upstream, cup"]


@pytest.mark.parametrize(
    ("experiment", "conditions"),
    [
        ("tile", "net@tile=0 net@tile=48 net@runner=up,tile=0 net@runner=up,tile=48"),
        ("scale", "net@scale=2 net net@runner=up,scale=2 net@runner=up"),
        (
            "cpu",
            "net@device=a net@device=b net@device=a,runner=up net@device=b,runner=up",
        ),
    ],
)
def test_conditions_that_differ_by_what_is_varied_share_a_line(experiment, conditions):
    values, bases = ("2", "4") * 2, ("net", "net", "net@runner=up", "net@runner=up")
    rows = [
        {"condition": condition, "source": "cup", "machine": "m", "value": value}
        | {"experiment": experiment, "per_picture_s": time_s, "base_condition": base}
        for condition, base, value, time_s in zip(
            conditions.split(), bases, values, (1, 1, 2, 2), strict=True
        )
    ]
    times, _ = figures.sweeps(EXPERIMENTS.frame(rows)).axes
    assert drawn(times, "o") == [(0, 1), (1, 1)]
    assert drawn(times, "s") == [(0, 2), (1, 2)]
    assert names(times) == ["net, cup", "net@runner=up, cup"]


def test_two_machines_of_one_run_folder_are_two_lines_two_panels_and_two_bars():
    one, other = WHO, WHO | {"machine": "n"}
    rows = [
        who | {"experiment": "size", "value": value, "per_picture_s": 1.0}
        for who in (one, other)
        for value in ("64", "96")
    ]
    times, _ = figures.sweeps(EXPERIMENTS.frame(rows)).axes
    assert names(times) == ["lanczos, cup, m", "lanczos, cup, n"]
    samples = [
        who | {"time_s": t, "rss_mib": 1.0} for who in (one, other) for t in (0, 1)
    ]
    assert len(figures.timeline(TIMELINE.frame(samples)).axes) == 2
    runs = [
        who | {"experiment": "stability", "run": 1, "key": "k"} for who in (one, other)
    ]
    assert len(figures.series(RECORDS.frame(runs)).axes) == 4
    beside = [
        who | {"n_instances": n, "n_ok": n, "memory_kind": "RSS", "throughput_per_s": n}
        for who, most in ((one, 2), (other, 3))
        for n in range(1, most + 1)
    ]
    figure = figures.instances(CONCURRENCY.frame(beside), RECORDS.frame([]))
    assert len(figure.axes) == 6


def test_a_sweep_of_which_every_value_failed_is_drawn():
    rows = [
        WHO | {"experiment": "size", "value": value, "n_failed": 1}
        for value in ("64", "96")
    ]
    times, _ = figures.sweeps(EXPERIMENTS.frame(rows)).axes
    assert drawn(times, "x") == [(0, 0), (1, 0)]


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
