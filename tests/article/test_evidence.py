import answers
import pandas as pd
import pytest

from evalkit.article import Evidence, Verdict
from evalkit.errors import TableError
from evalkit.rating import Store
from evalkit.tables import IMAGES, METRICS, RECORDS


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
    ]
