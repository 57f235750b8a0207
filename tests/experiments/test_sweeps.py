"""Experiments of cost: one thing varied, everything recorded, one table."""

import pandas as pd
import pytest

from evalkit.errors import UnknownNameError
from evalkit.experiments import (
    measure_cost,
    measure_experiment,
    summarise_cost,
    summarise_experiments,
    trace_memory,
)
from evalkit.experiments._sources import resized
from evalkit.images import read_image
from evalkit.paths import SHIPPED
from evalkit.study import restore
from evalkit.study.experiment import asked_for, by_notebook
from evalkit.study.run_folder import open_run

ANIME = "realesrgan-animevideo-x4"
TRIED = {
    "batch": [1, 3],
    "size": [32, 48],
    "tile": [0, 48],
    "precision": ["fp32"],
    "scale": [2],
    "background": ["none"],
    "cpu": ["cpu"],
}


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


@pytest.mark.slow
def test_every_experiment_runs_on_a_cpu_and_stands_in_one_table(run, album, capsys):
    images = run.images(str(album))
    restore(run, ANIME, images.head(1))
    measure_cost(run, ANIME, images, repeats=2)
    for name, values in TRIED.items():
        measure_experiment(run, name, ANIME, images, values=values, repeats=2)
    table = summarise_experiments(run)
    assert (table["n_failed"] == 0).all(), table["failure"].dropna().tolist()
    assert (table["n_runs"] == 2).all()
    values = table.groupby("experiment")
    found = {name: list(part["value"].dropna()) for name, part in values}
    for name in ("batch", "size", "tile", "scale", "precision", "cpu"):
        assert found[name] == list(map(str, TRIED[name]))
    assert "background" not in found
    assert "background none: not for realesrgan" in capsys.readouterr().out
    table = table.set_index(["experiment", "value"])
    batch = table.loc[("batch", "3")]
    assert batch["per_picture_s"] == pytest.approx(batch["wall_time_s"] / 3)
    assert batch["same_as_quality"]
    assert table.loc[("scale", "2"), "output_width_px"] == 2 * images["width_px"][0]
    assert (
        table["seams_db"].notna().sum() == 1
    )  # of the tile that is none there is none
    assert table["untiled_levels"].dropna().between(0, 1).tolist() == [True]


def test_nothing_is_measured_twice(run, album):
    images, said = run.images(str(album)), []
    for _ in range(2):
        measure_experiment(
            run, "size", "lanczos", images, values=[32], repeats=1, say=said.append
        )
    assert said[-1].endswith("1 of 1 sources already there, 0 to compute")


def test_an_unknown_experiment_is_refused(run, album):
    with pytest.raises(UnknownNameError, match=r"unknown experiment 'sizes'.*batch"):
        measure_experiment(run, "sizes", "lanczos", run.images(str(album)))


def test_sources_of_another_size_keep_their_proportion_and_have_their_own_digest(
    run, album
):
    images = run.images(str(album))
    smaller = resized(run, images, 32).set_index("source")
    assert smaller.loc["cup@32px", ["width_px", "height_px"]].tolist() == [32, 24]
    assert read_image(smaller.loc["cup@32px", "path"]).shape == (24, 32, 3)
    assert not set(smaller["sha256"]) & set(images["sha256"])


def test_a_run_is_cold_until_times_are_stable(run, album, plant):
    plant("series_cells:timed")
    records = measure_cost(run, "lanczos", run.images(str(album)), repeats=15)
    cold = records.loc[records["phase"] == "cold", "wall_time_s"]
    # 15 repeats allow 3 runs of warm-up, in each of two processes
    assert list(cold) == [2.0, 1.5, 1.0, 1.0] * 2
    assert (records["phase"] == "warm").sum() == 15


def test_no_warm_up_is_claimed_of_few_runs(run, album, plant):
    plant("series_cells:timed")
    records = measure_cost(run, "lanczos", run.images(str(album)), repeats=12)
    cold = records.loc[records["phase"] == "cold", "wall_time_s"]
    assert list(cold) == [2.0, 2.0]


def test_a_quick_cell_has_seven_runs_of_two_processes(run, album, plant):
    plant("series_cells:steady")
    images = run.images(str(album))
    records = measure_cost(run, "lanczos", images)
    cold, warm = (records[records["phase"] == phase] for phase in ("cold", "warm"))
    assert list(cold["run"]) == [1, 2]
    assert cold["load_time_s"].notna().all()
    assert list(warm["run"]) == [1, 2, 3, 4, 5, 6, 7]
    row = summarise_cost(run).iloc[0]
    assert (row["n_runs"], row["n_processes"]) == (7, 2)
    assert row["wall_time_spread"] == "interval of the median, coverage 98.4 %"
    assert row["wall_time_low_s"] == row["wall_time_high_s"] == 2.0
    assert row["peak_rss_mib"] == records["peak_rss_mib"].max()
    assert measure_cost(run, "lanczos", images).equals(records)


def test_what_is_lacking_of_the_second_process_is_made_up_for(run, album, plant):
    plant("series_cells:steady")
    images = run.images(str(album))
    measure_cost(run, "lanczos", images)
    lines = (run.path / "records.jsonl").read_text(encoding="utf-8").splitlines()
    kept = "\n".join(lines[:7]) + "\n"  # killed after the sixth record
    (run.path / "records.jsonl").write_text(kept, encoding="utf-8")
    warm = measure_cost(run, "lanczos", images).query("phase == 'warm'")
    assert sorted(warm["run"]) == [1, 2, 3, 4, 5, 6, 7]


def test_a_slow_cell_has_three_runs_and_their_range(run, album, plant):
    plant("series_cells:slow")
    images = run.images(str(album))
    records = measure_cost(run, "lanczos", images)
    assert list(records["phase"]) == ["cold", "warm", "warm", "warm"]
    row = summarise_cost(run).iloc[0]
    assert row["wall_time_spread"] == "range of 3 runs"
    assert pd.isna(row["wall_time_low_s"])
    assert (row["wall_time_min_s"], row["wall_time_max_s"]) == (6.0, 8.0)
    assert measure_cost(run, "lanczos", images).equals(records)
    more = measure_cost(run, "lanczos", images, repeats=7)
    assert (more["phase"] == "warm").sum() == 7


def test_planted_bimodal_times_are_shown_and_every_value_is_kept(run, album, plant):
    from evalkit import figures

    plant("series_cells:timed")
    records = measure_cost(run, "lanczos", run.images(str(album)), repeats=14)
    row = summarise_experiments(run).iloc[0]
    # 14 runs: 0.61**14 + 14 * 0.39 * 0.61**13 < 0.01, and 0.62 is over it
    assert (row["percentile"], row["percentile_s"]) == (61, 1.5)
    axes = figures.wall_times(records).axes[0]
    shown = [
        x for line in axes.lines for x in line.get_xdata() if line.get_marker() == "o"
    ]
    assert sorted(shown) == [1.0] * 10 + [1.5] * 4


@pytest.mark.parametrize(("name", "ratio"), [("remembering", 2.0), ("steady", 1.0)])
def test_a_restorer_that_remembers_pictures_is_caught(run, album, plant, name, ratio):
    plant(f"series_cells:{name}")
    images = run.images(str(album))
    measure_experiment(run, "rotating", "lanczos", images, repeats=5)
    (row,) = summarise_experiments(run).to_dict("records")
    assert row["rotating_ratio"] == ratio
    assert row["is_cached"] == (name == "remembering")


def test_every_experiment_is_named_in_the_notebook_that_offers_them():
    notebook = (SHIPPED / "notebooks" / "30_cost.ipynb").read_text(encoding="utf-8")
    assert [
        name
        for name in by_notebook(asked_for(), 1)["30_cost"]["experiments"]
        if f"`{name}`" not in notebook
    ] == []


def test_a_failed_value_is_a_row_with_its_reason(run, album):
    (album / "cup.png").write_bytes(b"no picture")
    (album / "face.png").unlink()  # which would be measured in its place
    measure_experiment(run, "batch", "lanczos", run.images(str(album)), values=[2])
    (row,) = summarise_experiments(run).to_dict("records")
    assert (row["n_runs"], row["n_failed"]) == (0, 1)
    assert "cup.png" in row["failure"]


@pytest.mark.slow
def test_memory_over_time_has_the_stages(run, album):
    samples = trace_memory(run, ANIME, run.images(str(album)))
    assert samples["time_s"].is_monotonic_increasing
    assert samples["stage"].iloc[0] == "load"
    assert samples["rss_mib"].max() > 50
