"""Experiments are found: one file more is one experiment more, everywhere."""

import pytest

from evalkit import experiments as room
from evalkit.experiments import (
    draw_named,
    measure_experiment,
    summarise_floors,
    summarise_named,
)
from evalkit.figures import sweeps
from evalkit.study.config import read_study
from evalkit.study.experiment import (
    asked_for,
    by_notebook,
    experiments,
    of_records,
)
from evalkit.study.run_folder import open_run

DARKNESS = '''
"""Whether dark pictures cost less."""

import numpy as np
import pandas as pd

from evalkit.experiments import Sweep, made_source
from evalkit.images import read_image


def darker(run, images, percent):
    rows = []
    for row in images.to_dict("records"):
        picture = (read_image(row["path"]) * (percent / 100)).astype(np.uint8)
        rows.append(made_source(run, row, f"{row['source']}, {percent} %", picture))
    return pd.DataFrame(rows)


ENTRIES = (
    Sweep(name="darkness", axis="light, %", values=(50, 25), prepare=darker),
)
'''


@pytest.fixture
def darkness(tmp_path, monkeypatch):
    """An experiment of one file, which the room finds."""
    folder = tmp_path / "more"
    folder.mkdir()
    (folder / "darkness.py").write_text(DARKNESS, encoding="utf-8")
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(folder)])
    experiments.cache_clear()
    yield experiments()["darkness"]
    monkeypatch.undo()
    experiments.cache_clear()


def test_a_file_is_an_experiment_that_is_run_summarised_drawn_and_floored(
    darkness, album, tmp_path
):
    file = tmp_path / "study.yaml"
    file.write_text(
        "name: dark\nconditions: [lanczos]\nexperiments: [darkness]", encoding="utf-8"
    )
    names = read_study(file).experiments
    assert names == ["darkness"]
    assert by_notebook(names, 1)["30_cost"]["experiments"] == names

    run = open_run(str(tmp_path / "run"))
    images = run.images(str(album))
    records = measure_experiment(run, "darkness", "lanczos", images, repeats=1)
    assert records["value"].value_counts().to_dict() == {"25": 2, "50": 2}
    assert records["base_source"].unique().tolist() == ["cup"]
    tables = summarise_named(run, names)
    assert tables["experiments"]["value"].tolist() == ["25", "50"]
    (figure,) = draw_named(run, "lanczos", names, tables).values()
    assert figure.axes[0].get_xlabel() == "light, %"
    floors = summarise_floors(run).query("experiment == 'darkness'")
    assert (floors["floor"] > 0).any()


def test_every_experiment_says_all_of_itself():
    for name, entry in experiments().items():
        assert callable(entry.measure), name
        assert callable(entry.summarise), name
        assert entry.figure, name
        assert entry.values or not entry.is_asked_for, name
    names = [name for entry in experiments().values() for name in entry.names]
    assert sorted(of_records()) == sorted(names)


def test_a_study_gives_notebooks_what_its_experiments_make_of_their_parameters():
    given = by_notebook(["stability"], 7)["40_stability"]["parameters"]
    assert (given["n_runs"], given["n_fresh"]) == (7, 7)
    assert given["with_budget"] is False
    assert given["instances"] == []
    asked = by_notebook(asked_for(), 7)
    assert set(asked) == {"30_cost", "40_stability", "50_backends"}
    assert asked["50_backends"]["experiments"] == ["backends"]


def test_settings_are_varied_by_their_column_and_not_by_their_name(album, tmp_path):
    run = open_run(str(tmp_path / "run"))
    images = run.images(str(album))
    measure_experiment(run, "scale", "lanczos@scale=3", images, values=[2, 4])
    table = summarise_named(run, ["scale"])["experiments"]
    assert table["condition"].tolist() == ["lanczos@scale=2", "lanczos"]
    assert table["base_condition"].tolist() == ["lanczos", "lanczos"]
    assert table["restorer"].tolist() == ["lanczos", "lanczos"]
    (times, _) = sweeps(table).axes
    assert [text.get_text() for text in times.get_legend().texts] == ["lanczos, cup"]


@pytest.mark.parametrize(
    ("name", "condition", "values"),
    [
        ("cost", "lanczos", []),
        ("stability", "lanczos", [1, 2]),
        ("concurrency", "lanczos", [1]),
        ("budget", "lanczos", [64]),
        pytest.param(
            "backends", "realesrgan-animevideo-x4", [], marks=pytest.mark.slow
        ),
    ],
)
def test_any_experiment_is_measured_summarised_and_drawn_by_its_name(
    name, condition, values, album, tmp_path
):
    run = open_run(str(tmp_path / "run"))
    images = run.images(str(album)).head(1)
    records = measure_experiment(run, name, condition, images, values=values, repeats=1)
    assert set(records["experiment"]) <= set(experiments()[name].names)
    tables = summarise_named(run, [name])
    assert len(tables[experiments()[name].table.name])
    (figure,) = draw_named(run, condition, [name], tables).items()
    assert figure[0] == experiments()[name].figure
    assert figure[1].axes
