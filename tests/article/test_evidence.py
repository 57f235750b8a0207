import answers
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalkit.article import Evidence, Verdict
from evalkit.article._evidence import LEAST_COVERAGE, all_of, of_panel, within
from evalkit.errors import TableError
from evalkit.rating import Store
from evalkit.stats import simulated_coverage
from evalkit.tables import COST, IMAGES, METRICS, RECORDS


def test_an_empty_folder_is_empty_tables_with_their_columns(tmp_path):
    evidence = Evidence(tmp_path)
    for table, frame in (
        (IMAGES, evidence.usable),
        (METRICS, evidence.read(METRICS)),
        (RECORDS, evidence.results),
    ):
        assert frame.empty
        assert list(frame) == list(table.columns)
    assert (evidence.environment, evidence.study, evidence.gpus) == ({}, {}, None)
    assert {"subject", "score"} <= {*evidence.scores}
    assert evidence.scores.empty
    assert list(tmp_path.iterdir()) == []


def test_scores_are_found_in_a_folder_with_an_awkward_name(tmp_path):
    folder = tmp_path / "50% of #1?"
    folder.mkdir()
    marks = pd.DataFrame({"subject": ["ann", "bob"], "score": ["5", None]})
    answers.fill(Store(folder / "ratings.sqlite"), answers.scores(marks))
    found = Evidence(folder).scores[["subject", "score"]]
    assert found.values.tolist() == [["ann", 5]]


def test_a_database_without_ratings_has_no_scores(tmp_path):
    Store(tmp_path / "ratings.sqlite")
    assert Evidence(tmp_path).scores.empty


def test_a_table_that_is_not_as_it_should_be_is_refused(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "images.csv").write_text("picture\na\n", encoding="utf-8")
    with pytest.raises(TableError, match="table images"):
        _ = Evidence(tmp_path).usable


def test_the_verdicts_are_the_designs():
    assert [str(verdict) for verdict in Verdict] == [
        "reproduced",
        "contradicted",
        "inconclusive",
        "not testable here",
        "not yet tested",
        "followed",
        "not followed",
        "shown",
    ]


INTERVALS = st.tuples(st.floats(-9, 9), st.floats(-9, 9)).map(sorted)


@given(INTERVALS, INTERVALS)
def test_the_rule_never_goes_from_one_verdict_to_the_other_as_intervals_shrink(
    interval, bounds
):
    """More of the same data shrink an interval about its middle."""
    (low, high), (least, most) = interval, bounds
    middle = (low + high) / 2
    verdicts = [
        within(middle - (middle - low) / k, middle + (high - middle) / k, least, most)
        for k in (1, 2, 4, 8)
    ]
    decided = {verdict for verdict in verdicts if verdict is not Verdict.INCONCLUSIVE}
    assert len(decided) <= 1


@given(INTERVALS, st.floats(0, 9))
def test_no_effect_is_never_inside_the_range_of_one(interval, least):
    low, high = interval
    if low <= least:
        verdict = within(low, high, least=least, is_effect=True)
        assert verdict is not Verdict.REPRODUCED


def test_an_unknown_interval_is_open_and_a_claim_falls_with_any_part():
    assert within(float("nan"), float("nan"), 0, 1) is Verdict.INCONCLUSIVE
    no, yes, open_ = Verdict.CONTRADICTED, Verdict.REPRODUCED, Verdict.INCONCLUSIVE
    assert all_of([yes, no, open_]) is no
    assert all_of([yes, yes]) is yes
    assert all_of([yes, open_]) is open_


def test_no_verdict_stands_on_intervals_that_hold_too_seldom():
    panel = {"n_subjects": 3, "n_sources": 7}
    assert of_panel(Verdict.REPRODUCED, panel) == (Verdict.REPRODUCED, "")
    # 3 subjects on many pictures: simulated in benchmarks/panels.py
    assert simulated_coverage(3, 48) < LEAST_COVERAGE
    verdict, why = of_panel(Verdict.REPRODUCED, panel | {"n_sources": 48})
    assert verdict is Verdict.INCONCLUSIVE
    assert "hold the truth in 92" in why


def test_what_unlike_machines_measured_is_never_pooled(run, cpu_only):
    run.environment(cpu_only)  # whose machine is test-2c
    run.record("cost", wall_time_s=1.0)
    run.record("cost", wall_time_s=100.0, machine="other-64c")
    run.record("quality", machine="other-64c")
    cost = [
        {"condition": "bicubic", "source": "s0", "machine": name, "wall_time_s": time}
        for name, time in (("test-2c", 1.0), ("other-64c", 100.0))
    ]
    COST.write(COST.frame(cost), run.path / "tables")
    evidence = Evidence(run.path)
    assert evidence.ok_records("cost")["wall_time_s"].to_list() == [1.0]
    assert evidence.read(COST)["wall_time_s"].to_list() == [1.0]
    assert len(evidence.ok_records("quality")) == 1  # a picture is no measure


def test_where_no_machine_is_known_the_newest_records_are_taken(run):
    run.record("cost", wall_time_s=1.0)
    run.record("cost", wall_time_s=100.0, machine="other-64c")
    assert Evidence(run.path).ok_records("cost")["wall_time_s"].to_list() == [100.0]
