"""Instances beside each other: what they make together, who does not fit, advice."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from evalkit.experiments import (
    advise_concurrency,
    measure_concurrency,
    summarise_concurrency,
)
from evalkit.study.run_folder import open_run
from evalkit.tables import CONCURRENCY, EXPERIMENTS, IMAGES


@pytest.fixture
def run(tmp_path):
    return open_run(str(tmp_path / "run"))


@pytest.fixture
def planted(plant):
    plant("limited_cells:sleeping")


def measured(run, album, n):
    """The row of `n` sleepers; places are free again."""
    images = run.images(str(album))
    measure_concurrency(run, "lanczos", images, instances=[n], say=lambda _: None)
    for place in (run.path / "pictures").glob("*.place-*"):
        place.unlink()
    table = summarise_concurrency(run).set_index("n_instances")
    return table.loc[n]


def test_throughput_of_sleepers_grows_with_their_number(run, album, planted):
    one, three = (measured(run, album, n) for n in (1, 3))
    assert 0.6 * 5 < one["throughput_per_s"] <= 5.05
    assert 0.7 * 3 < three["speedup"] < 3.6
    # what latencies allow, and the gain itself
    assert three["speedup_low"] == pytest.approx(min(3, three["speedup"]))
    assert three["speedup_high"] == pytest.approx(max(3, three["speedup"]))
    assert (three["n_ok"], three["n_runs"], three["outcome"]) == (3, 21, "ok")
    assert three["latency_s"] == 0.2
    assert three["memory_mib"] == 300
    assert three["memory_kind"] == "sum of peak RSS"
    assert three["memory_total_mib"] > 300


def test_those_that_do_not_fit_are_counted_and_the_others_go_on(run, album, planted):
    row = measured(run, album, 4)
    assert (row["n_ok"], row["n_runs"], row["outcome"]) == (3, 21, "oom")
    assert row["throughput_per_s"] > 0.6 * 15
    records = run.records.read()
    assert records["outcome"].value_counts().to_dict() == {"ok": 24, "oom": 1}
    assert not records.duplicated(["instance", "run", "phase"]).any()


def test_real_instances_are_recorded_once(run, album):
    images, said = run.images(str(album)), []
    options = {"instances": [1, 2], "repeats": 2, "say": said.append}
    first = measure_concurrency(run, "lanczos", images, **options)
    again = measure_concurrency(run, "lanczos", images, **options)
    assert again.equals(first)
    assert set(first["experiment"]) == {"concurrency"}
    assert first.groupby("value").size().to_dict() == {"1": 3, "2": 6}
    two = first[(first["value"] == "2") & (first["phase"] == "warm")]
    runs = sorted(zip(two["instance"], two["run"], strict=True))
    assert runs == [(1, 1), (1, 2), (2, 1), (2, 2)]
    table = summarise_concurrency(run)
    assert list(table["n_ok"]) == [1, 2]
    assert table["latency_low_s"].isna().tolist() == [True, True]  # of 2 and 4 runs
    assert table["speedup_low"].isna().all()
    assert table["memory_mib"].iloc[1] > 1.5 * table["memory_mib"].iloc[0]


def test_the_utilisation_is_that_of_the_whole_warm_series(run, album):
    """Each run tells of the series up to itself: the last of each instance counts."""
    run.images(str(album))
    row = {"experiment": "concurrency", "value": "2", "key": "k", "machine": "m"}
    row |= {"condition": "c", "source": "cup", "setting": {}, "outcome": "ok"}
    row |= {"started_at": "2026-10-01T10:00:00+00:00", "wall_time_s": 1.0}
    digest = run.read(IMAGES).set_index("source").loc["cup", "sha256"]
    rows = [
        row
        | {"instance": instance, "run": n, "phase": "warm" if busy else "cold"}
        | {"gpu_busy_percent": busy, "source_sha256": digest}
        for instance, series in ((1, (None, 10, 80)), (2, (None, 20, 60)))
        for n, busy in enumerate(series, 1)
    ]
    run.records.append(rows)
    assert summarise_concurrency(run)["gpu_busy_percent"].tolist() == [70]


@pytest.mark.slow
def test_the_order_of_the_numbers_is_shuffled_by_the_seed(run, album, planted):
    orders = []
    for seed in (0, 1, 0):
        part = open_run(str(run.path.parent / f"run{len(orders)}"))
        images, said = part.images(str(album)), []
        options = {"instances": [1, 2, 3], "repeats": 1, "say": said.append}
        measure_concurrency(part, "lanczos", images, seed=seed, **options)
        orders.append([line for line in said if line.startswith("concurrency")])
        for place in (run.path / "pictures").glob("*.place-*"):
            place.unlink()
    assert orders[0] == orders[2] != orders[1]


def table(*rows, total_mib=24000.0, busy=None):
    """Rows of instances, those that are ok, throughput."""
    return CONCURRENCY.frame(
        [
            {
                "condition": "c",
                "source": "s",
                "machine": "m",
                "n_instances": n,
                "n_ok": n_ok,
                "outcome": "ok" if n == n_ok else "oom",
                "throughput_per_s": rate,
                "speedup": rate / rows[0][2],
                "memory_mib": 6000.0 * n_ok,
                "memory_kind": "nvml device delta",
                "memory_total_mib": total_mib,
                "gpu_busy_percent": busy,
            }
            for n, n_ok, rate in rows
        ]
    )


def batches(*rates):
    return EXPERIMENTS.frame(
        [
            {
                "experiment": "batch",
                "condition": "c",
                "source": "s",
                "machine": "m",
                "value": str(n),
                "pictures_per_s": rate,
            }
            for n, rate in rates
        ]
    )


NONE = EXPERIMENTS.frame([])


def best(ways):
    """Instances, pictures in a batch and gain of the one best way."""
    (row,) = ways[ways["is_best"]].to_dict("records")
    return row["n_instances"], row["n_pictures"], pytest.approx(row["gain"])


def test_a_gain_lies_inside_its_interval_though_one_instance_is_slow(run, album):
    run.images(str(album))
    digest = run.read(IMAGES).set_index("source").loc["cup", "sha256"]
    row = {"experiment": "concurrency", "machine": "m", "condition": "c"}
    row |= {"source": "cup", "source_sha256": digest, "setting": {}, "outcome": "ok"}
    begin = datetime(2026, 10, 1, 10, tzinfo=UTC)
    for seconds in ((1.0,), (3.6, 3.6, 3.6, 12.0)):
        group = {"value": str(len(seconds)), "key": f"k{len(seconds)}"}
        runs = [
            {"instance": n, "run": i + 1, "phase": "warm" if i else "cold"}
            | {"wall_time_s": s}
            | {"started_at": (begin + i * timedelta(seconds=s)).isoformat()}
            for n, s in enumerate(seconds, 1)
            for i in range(8)
        ]
        run.records.append([row | group | one for one in runs])
    four = summarise_concurrency(run).iloc[1]
    assert four["speedup"] == pytest.approx(3 / 3.6 + 1 / 12)
    assert four["speedup_low"] <= four["speedup"] <= four["speedup_high"]


def test_one_busy_instance_is_left_alone():
    found = advise_concurrency(table((1, 1, 5.0), (2, 2, 5.2), busy=94.0), NONE)
    assert best(found) == (1, 1, 1.0)
    assert found["gain"].tolist() == pytest.approx([1, 1.04])
    assert found["n_pictures"].tolist() == [1, 1]  # batches were not measured
    two = found.iloc[1]
    assert (two["memory_mib"], two["memory_total_mib"]) == (12_000, 24_000)
    assert (two["memory_kind"], two["gpu_busy_percent"]) == ("nvml device delta", 94)


def test_where_memory_ends_first_as_many_as_fit_are_best():
    rows = [(1, 1, 5.0), (2, 2, 9.0), (3, 3, 13.0), (4, 3, 13.0)]
    found = advise_concurrency(table(*rows), NONE)
    assert best(found) == (3, 1, 2.6)
    four = found.iloc[3]
    assert four["outcome"] == "oom"
    assert pd.isna(four["gain"])


def test_batches_that_make_more_are_better_than_instances():
    rows = [(1, 1, 5.0), (2, 2, 6.0)]
    found = advise_concurrency(table(*rows), batches((1, 5.0), (4, 10.0), (8, 9.0)))
    assert best(found) == (1, 4, 2.0)
    assert found["n_pictures"].tolist() == [1, 1, 4, 8]


def test_batches_that_make_no_more_are_not_advised():
    rows = [(1, 1, 5.0), (2, 2, 8.0)]
    found = advise_concurrency(table(*rows), batches((1, 5.0), (4, 5.5)))
    assert best(found) == (2, 1, 1.6)
    assert (found["outcome"].dropna() == "ok").all()


def test_without_one_instance_there_is_no_advice():
    assert not advise_concurrency(table((1, 0, 1.0)), NONE)["is_best"].any()
    failed_alone = advise_concurrency(table((1, 0, 1.0), (2, 2, 2.0)), NONE)
    assert not failed_alone["is_best"].any()
    assert advise_concurrency(CONCURRENCY.frame([]), NONE).empty
