import sqlite3

import pytest

from evalkit.article import Evidence, Verdict
from evalkit.errors import TableError
from evalkit.tables import IMAGES, METRICS, RECORDS


def test_an_empty_folder_is_empty_tables_with_their_columns(tmp_path):
    evidence = Evidence(tmp_path)
    for table, frame in (
        (IMAGES, evidence.images),
        (METRICS, evidence.metrics),
        (RECORDS, evidence.records),
    ):
        assert frame.empty
        assert list(frame) == list(table.columns)
    assert (evidence.environment, evidence.study, evidence.gpus) == ({}, {}, None)
    assert list(evidence.scores) == ["subject", "score"]
    assert list(tmp_path.iterdir()) == []


def test_scores_are_found_in_a_folder_with_an_awkward_name(tmp_path):
    folder = tmp_path / "50% of #1?"
    folder.mkdir()
    database = sqlite3.connect(folder / "ratings.sqlite")
    database.execute("CREATE TABLE ratings (subject TEXT, source TEXT, score INTEGER)")
    database.execute("INSERT INTO ratings VALUES ('ann', 's0', 5), ('bob', 's0', NULL)")
    database.commit()
    database.close()
    assert Evidence(folder).scores.values.tolist() == [["ann", 5]]


def test_a_database_without_ratings_has_no_scores(tmp_path):
    database = sqlite3.connect(tmp_path / "ratings.sqlite")
    database.execute("CREATE TABLE choices (subject TEXT, winner TEXT)")
    database.close()
    assert Evidence(tmp_path).scores.empty


def test_a_table_that_is_not_as_it_should_be_is_refused(tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "images.csv").write_text("picture\na\n", encoding="utf-8")
    with pytest.raises(TableError, match="table images"):
        _ = Evidence(tmp_path).images


def test_the_verdicts_are_the_designs():
    assert [str(verdict) for verdict in Verdict] == [
        "reproduced",
        "contradicted",
        "inconclusive",
        "not testable here",
        "not yet tested",
    ]
