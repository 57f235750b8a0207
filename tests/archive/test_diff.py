"""`evalkit diff`: ratios with their intervals, and what is not equal."""

import shutil

import pandas as pd
import pytest

from evalkit.archive.diff import cards, differences, sides_of
from evalkit.tables import CARDS

TIMES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
"""The median is 0.35; at 95 % the interval of six is the least and the greatest."""


def test_a_ratio_is_of_medians_and_its_interval_what_both_allow(timed):
    runs = [timed("before", TIMES), timed("after", [2 * t for t in TIMES])]
    first, second = cards(sides_of(runs)).to_dict("records")
    assert first["wall_time_s"] == pytest.approx(0.35)
    assert pd.isna(first["ratio"])
    assert second["ratio"] == pytest.approx(2)
    assert second["ratio_low"] == pytest.approx(0.2 / 0.6)
    assert second["ratio_high"] == pytest.approx(1.2 / 0.1)
    assert second["same_output"]


def test_fewer_than_six_runs_have_no_interval(timed):
    runs = [timed("before", TIMES), timed("after", TIMES[:5])]
    row = cards(sides_of(runs)).iloc[1]
    assert row["ratio"] == pytest.approx(0.3 / 0.35)
    assert pd.isna(row["ratio_low"])


def test_another_picture_of_the_same_name_has_no_ratio(timed):
    runs = [timed("a", TIMES), timed("b", TIMES, source_sha256="2" * 64, key="l")]
    assert cards(sides_of(runs))["ratio"].isna().all()


def test_machines_of_one_run_stand_beside_each_other_and_are_not_pooled(timed):
    run = timed("both", TIMES)
    timed("both", [1.0] * 6, machine="two", gpus=[{"name": "A GPU"}])
    table = cards(sides_of([run]))
    assert list(table["machine"]) == ["one", "two"]
    assert list(table["n_runs"]) == [6, 6]
    assert table["wall_time_s"].tolist() == [pytest.approx(0.35), 1.0]


def test_what_differs_is_named_with_both_values(timed):
    card = {"gpus": [{"name": "A GPU"}], "cuda_reserved_peak_mib": 9.0}
    runs = [timed("a", TIMES), timed("b", TIMES, "two", setting={"scale": 2}, **card)]
    sides = sides_of(runs)
    found = {name: values for name, *values in differences(*sides)}
    assert found["machine, machine"] == ["one", "two"]
    assert found["lanczos, scale"] == ["4", "2"]
    assert "versions, torch" not in found
    assert cards(sides)["card"].tolist() == ["A CPU", "A GPU"]


def test_the_command_writes_the_table(timed, told, tmp_path):
    paths = [timed(n, TIMES).path for n in ("a", "b")]
    status, out, _ = told("diff", *paths, "-o", tmp_path / "cards.csv")
    assert status == 0
    assert "0.35 s [0.1, 0.6], 1 [0.167, 6] times the first's, 60 MiB" in out
    assert len(CARDS.read(tmp_path / "cards.csv")) == 2


def test_runs_of_one_name_are_told_apart_and_the_same_twice_is_refused(
    timed, told, refused, tmp_path
):
    one = timed("a", TIMES).path
    other = tmp_path / "later" / one.name
    shutil.copytree(one, other)
    _, out, _ = told("diff", one, other)
    assert f"later/{one.name}, A CPU: 0.35 s" in out
    assert f"{one.parent.name}/{one.name}, A CPU: 0.35 s" in out
    assert "found the same twice" in refused("diff", one, one)


def test_a_run_that_is_not_there_is_refused(refused, timed):
    line = refused("diff", timed("a", TIMES).path, "nowhere")
    assert "expected a run folder at nowhere" in line
